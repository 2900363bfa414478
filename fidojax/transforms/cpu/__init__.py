"""Rewrite a classifier into operations that are fast on XLA's CPU backend."""

from fidojax.transforms.cpu.rewrite import bind, fast

__all__ = [
    "bind",
    "fast",
]
