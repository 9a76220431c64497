"""What the tables tell beside the network: transitions, values of items, content, likeness."""
