"""The check of a map's shape that all metrics share."""

from fidojax.types import Image, Saliency


def check_map(saliency: Saliency, image: Image) -> None:
    """Raise ValueError unless the map has the height and the width of the image."""
    if saliency.shape != image.shape[:2]:
        raise ValueError(f"saliency has shape {saliency.shape}, expected {image.shape[:2]}")
