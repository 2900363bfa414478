"""Infill by a masked autoencoder: the infiller, its network and its files."""

from infillers.mae.mae import mae
from infillers.mae.network import Sizes, ViTMAE

__all__ = ["Sizes", "ViTMAE", "mae"]
