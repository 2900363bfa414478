"""Train the shipped classifiers."""
