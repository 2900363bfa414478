"""A Gaussian over small patches of pictures, to draw windows from given their surroundings.

The conditional sampler of prediction difference analysis (Zintgraf et al. 2017, section 3.1). It is
fitted once to patches of the data and then infills square windows:

    patches = sample_patches(key, images, side=14, count=20_000)
    infill = fit_patch_gaussian(patches, window=10)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fidojax.core import check_count
from fidojax.types import Image, Images, Mask, PRNGKey


class PatchGaussian(NamedTuple):
    """An infiller of one square window by a draw from the Gaussian given the ring around it.

    The mask drops one window of the fitted side and nothing else. The infiller reads kept pixels
    only. Near the border the patch is moved into the picture, so that the window lies off its
    centre. Channels are independent and draws are clipped to [0, 1].

    Attributes:
        mean: "c l l", the mean of the patches.
        gain: "places places c k*k l*l", regression of the window on the patch, for each place of
            the window in the patch; 0 at the window's own pixels.
        factor: "places places c k*k k*k", Cholesky factor of the window's conditional covariance.
    """

    mean: Float[Array, "c l l"]
    gain: Float[Array, "places places c inner patch"]
    factor: Float[Array, "places places c inner inner"]

    @property
    def fitted_window(self) -> int:
        """The side of the fitted window in pixels, k."""
        return self.mean.shape[1] - self.gain.shape[0] + 1

    def __call__(self, key: PRNGKey, image: Image, mask: Mask) -> Image:
        """Return the image with its dropped window drawn anew."""
        channels, side, _ = self.mean.shape
        window = self.fitted_window
        if min(image.shape[:2]) < side or image.shape[2] != channels:
            raise ValueError(
                f"image has shape {image.shape}, expected sides of at least {side} and "
                f"{channels} channels, as the Gaussian was fitted to"
            )
        hole = jnp.stack([jnp.argmax(jnp.any(mask == 0, axis=axis)) for axis in (1, 0)])
        room = jnp.asarray(image.shape[:2]) - side
        corner = jnp.clip(hole - (side - window) // 2, 0, room)
        # Clipped, in case the mask drops nothing or the window reaches over the border.
        row, column = jnp.clip(hole - corner, 0, side - window)
        patch = jax.lax.dynamic_slice(image, (*corner, 0), (side, side, channels))
        ring = patch.transpose(2, 0, 1) - self.mean
        centre = jax.lax.dynamic_slice(self.mean, (0, row, column), (channels, window, window))
        noise = jax.random.normal(key, (channels, window**2), image.dtype)
        shift = _apply(self.gain[row, column], ring.reshape(channels, -1))  # conditional mean
        drawn = centre.reshape(channels, -1) + shift + _apply(self.factor[row, column], noise)
        drawn = jnp.clip(drawn, 0, 1).reshape(channels, window, window).transpose(1, 2, 0)
        start = (corner[0] + row, corner[1] + column, 0)
        return jax.lax.dynamic_update_slice(image, drawn.astype(image.dtype), start)


def _apply(matrices: Float[Array, "c a b"], vectors: Float[Array, "c b"]) -> Float[Array, "c a"]:
    return jnp.einsum("cab,cb->ca", matrices, vectors, precision="highest")


def fit_patch_gaussian(
    patches: Float[Array, "n l l c"], *, window: int = 10, ridge: float = 1e-4
) -> PatchGaussian:
    """Fit a Gaussian to the patches of each channel and condition it on all but one window.

    Args:
        patches: values in [0, 1]; the authors use 20 000.
        window: side of the window, which is the side of the patch less twice the ring's width.
        ridge: added to every pixel's variance, so that constant pixels can be conditioned on.

    Raises:
        ValueError: the patch is not larger than the window by an even number of pixels, or there
            are fewer than two patches.

    Reference: Zintgraf et al. 2017, section 3.1 and Algorithm 1.
    """
    count, side = patches.shape[:2]
    check_count(window=window)
    if side <= window or (side - window) % 2:
        raise ValueError(
            f"patches have side {side}, expected window {window} plus twice the width of a ring"
        )
    if count < 2:
        raise ValueError(f"patches are {count}, expected at least 2")
    values = patches.transpose(3, 0, 1, 2).reshape(patches.shape[3], count, -1)
    mean = values.mean(axis=1)
    spread = values - mean[:, None]
    covariance = jnp.einsum("cna,cnb->cab", spread, spread, precision="highest") / (count - 1)
    covariance += ridge * jnp.eye(side**2, dtype=patches.dtype)
    inner, outer = _places(side, window)

    def condition(covariance, inner, outer):
        between = covariance[inner][:, outer]
        known = jax.scipy.linalg.cho_factor(covariance[outer][:, outer])
        weights = jax.scipy.linalg.cho_solve(known, between.T).T
        rest = covariance[inner][:, inner] - jnp.matmul(weights, between.T, precision="highest")
        gain = jnp.zeros((len(inner), side**2), weights.dtype).at[:, outer].set(weights)
        return gain, jnp.linalg.cholesky(rest)

    each_channel = jax.vmap(condition, in_axes=(0, None, None))
    gain, factor = jax.vmap(each_channel, in_axes=(None, 0, 0))(covariance, inner, outer)
    places = side - window + 1
    return PatchGaussian(
        mean.reshape(-1, side, side),
        gain.reshape(places, places, *gain.shape[1:]),
        factor.reshape(places, places, *factor.shape[1:]),
    )


def _places(side: int, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the flat indices of the pixels in and around the window, for each of its places."""
    index = np.arange(side**2).reshape(side, side)
    starts = range(side - window + 1)
    inner = [index[y : y + window, x : x + window].ravel() for y in starts for x in starts]
    return np.stack(inner), np.stack([np.setdiff1d(index, pixels) for pixels in inner])


def sample_patches(
    key: PRNGKey, images: Images, *, side: int = 14, count: int = 20_000
) -> Float[Array, "count side side c"]:
    """Cut square patches at uniformly random places of uniformly random images.

    Raises:
        ValueError: `side` or `count` is below 1, or the images are smaller than a patch.
    """
    check_count(side=side, count=count)
    n, height, width, channels = images.shape
    if min(height, width) < side:
        raise ValueError(f"images are {height} x {width}, expected at least a patch of {side}")
    which, row, column = (
        jax.random.randint(k, (count,), 0, limit)
        for k, limit in zip(
            jax.random.split(key, 3), (n, height - side + 1, width - side + 1), strict=True
        )
    )
    cut = jax.vmap(
        lambda *at: jax.lax.dynamic_slice(images, (*at, 0), (1, side, side, channels))[0]
    )
    return cut(which, row, column)
