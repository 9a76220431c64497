"""What profile_features is made of: the data dictionary."""
