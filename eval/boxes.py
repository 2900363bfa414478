"""Where chosen pixels lie beside the boxes of a picture."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from fidojax.data.boxes import padded
from fidojax.metrics.localisation import out_of_box


def outside(on: Bool[np.ndarray, "h w"], boxes: np.ndarray | None) -> float:
    """Share of the chosen pixels outside the union of the boxes; NaN without boxes or pixels.

    Args:
        boxes: "b 4", half-open (top, left, bottom, right) in pixels.

    Reference: FIDO section 4.4, Figure 8.
    """
    return float(_out_of_box(jnp.asarray(on), jnp.asarray(padded([boxes])[0])))


_out_of_box = jax.jit(out_of_box)
