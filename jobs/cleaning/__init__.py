"""What clean_events is made of: labelled rows, fitted statistics, counts and limits."""
