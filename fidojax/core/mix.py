"""The counterfactual picture: kept pixels of the image on a reference."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.types import Image, Mask, PRNGKey


def mix(image: Image, mask: Mask, reference: Image) -> Float[Array, "h w c"]:
    """Return the image where the mask is 1, the reference where it is 0, and a mixture between.

    Reference: FIDO equation 2; VDSM equation 4.
    """
    # Colour by colour: XLA:CPU is slow at the sum over colours that z[..., None] has as gradient.
    colours = zip(jnp.unstack(image, axis=-1), jnp.unstack(reference, axis=-1), strict=True)
    z = mask
    return jnp.stack([z * x + (1 - z) * r for x, r in colours], axis=-1)  # FIDO eq. 2, VDSM eq. 4


def black(key: PRNGKey, image: Image, mask: Mask) -> Image:
    """Infill with black: 0 everywhere."""
    del key, mask
    return jnp.zeros_like(image)
