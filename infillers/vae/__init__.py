"""Infill by a variational autoencoder: the infiller and its two networks.

The modules `mnist` and `natural` have their losses.
"""

from infillers.vae.mnist import MnistVAE
from infillers.vae.natural import NaturalVAE
from infillers.vae.vae import vae

__all__ = ["MnistVAE", "NaturalVAE", "vae"]
