"""A U-Net with gated convolutions, in scales: an infiller for real photos."""

from infillers.unet.blocks import folded
from infillers.unet.network import UNet, shrink
from infillers.unet.unet import unet

__all__ = ["UNet", "folded", "shrink", "unet"]
