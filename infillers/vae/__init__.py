"""Infill by a variational autoencoder."""

from infillers.vae.vae import vae

__all__ = ["vae"]
