"""The picture that the classifier would have seen."""

from jaxtyping import Array, Float

from fidojax.types import Image, Mask


def mix(image: Image, mask: Mask, reference: Image) -> Float[Array, "h w c"]:
    """Keep the image where the mask is 1, show the reference where it is 0, mix between.

    Reference: FIDO equation 2; VDSM equation 4.
    """
    z = mask[..., None]  # one mask for all colours
    return z * image + (1 - z) * reference  # FIDO eq. 2, VDSM eq. 4
