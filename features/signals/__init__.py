"""What a network is helped by or replaced by: transitions, neighbours, values of items, popularity."""
