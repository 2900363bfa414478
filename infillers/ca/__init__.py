"""Infill by the contextual attention GAN."""

from infillers.ca.ca import ca

__all__ = ["ca"]
