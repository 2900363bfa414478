"""Training programs, one per shipped network: `python -m train.classifier --help`."""
