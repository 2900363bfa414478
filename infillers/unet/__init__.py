"""A U-Net with gated convolutions, in scales: an infiller for real photos."""

from infillers.unet.blocks import folded
from infillers.unet.network import UNet, shrunk
from infillers.unet.unet import unet

__all__ = ["UNet", "folded", "shrunk", "unet"]
