"""Infill by a variational autoencoder: the infiller, its two networks and their losses.

`mnist.loss` and `natural.loss` are taken from their modules.
"""

from infillers.vae import mnist, natural
from infillers.vae.mnist import MnistVAE
from infillers.vae.natural import NaturalVAE
from infillers.vae.vae import vae

__all__ = ["MnistVAE", "NaturalVAE", "mnist", "natural", "vae"]
