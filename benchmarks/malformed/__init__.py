"""Malformed files: how the library meets damaged pictures and weights."""
