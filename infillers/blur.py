"""The blurred picture itself: FIDO's "Blur"."""

import jax

from fidojax.core import gaussian_blur
from fidojax.types import Image, Infiller, Mask, PRNGKey


def blur(sigma: float = 10.0) -> Infiller:
    """Infill with the image blurred by a Gaussian; by definition it leaks what was dropped.

    The kernel reaches four sigma, has unit sum, and the border is mirrored without repeating the
    edge pixel (OpenCV's default, as the authors ran it: 81 taps at sigma 10).

    Args:
        sigma: standard deviation in pixels, positive.

    Raises:
        ValueError: sigma is not positive.

    Reference: FIDO section 4.1, "Blur".
    """
    if sigma <= 0:
        raise ValueError(f"sigma is {sigma}, expected a positive number of pixels")
    return _Blur(float(sigma))


@jax.tree_util.register_static
class _Blur:
    """Static: the kernel's size is part of the program."""

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma

    def __hash__(self) -> int:
        return hash(self.sigma)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Blur) and other.sigma == self.sigma

    def __call__(self, key: PRNGKey, image: Image, mask: Mask) -> Image:
        del key, mask
        return gaussian_blur(image, self.sigma)
