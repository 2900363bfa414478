"""Train the infilling variational autoencoder."""
