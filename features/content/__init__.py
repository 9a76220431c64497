"""What is known of items and users without any event: encoded, fitted on the training period, scaled."""
