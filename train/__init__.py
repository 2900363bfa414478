"""Training programs, one for each kind of shipped network: `python -m train.classifier --help`."""
