"""Infill by the contextual attention GAN: the infiller, its generator, its critics and losses."""

from infillers.ca.ca import ca
from infillers.ca.critics import (
    Critics,
    Hole,
    adversarial_loss,
    box_weights,
    completed,
    critic_loss,
    hole_weights,
    reconstruction_loss,
)
from infillers.ca.generator import Generator

__all__ = [
    "Critics",
    "Generator",
    "Hole",
    "adversarial_loss",
    "box_weights",
    "ca",
    "completed",
    "critic_loss",
    "hole_weights",
    "reconstruction_loss",
]
