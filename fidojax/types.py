"""The types that the library's signatures are written with.

A *mask* says what the classifier may see: everywhere in the library 1 keeps a pixel and 0 drops it.
Images have values in [0, 1] and channels last; preprocessing is part of the classifier.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Float, Int, Key

Image = Float[Array, "h w c"]
"""One picture, values in [0, 1]."""

Images = Float[Array, "n h w c"]
"""A batch of pictures."""

Mask = Float[Array, "h w"]
"""1 = keep the pixel, 0 = drop it; values between are a relaxation or a probability."""

Saliency = Float[Array, "h w"]
"""Larger = more important for the target; float32, or the image's own wider type."""

Logits = Float[Array, "... k"]
"""One value per class, before the softmax."""

Target = Int[Array, ""] | int
"""The index of the class to explain."""

PRNGKey = Key[Array, ""]
"""A typed key, `jax.random.key(seed)`."""

Scalar = Float[Array, ""]
"""One number."""

Device = Any
"""A `jax.Device`, which JAX declares as a variable, so that annotations cannot name it."""


@runtime_checkable
class Classifier(Protocol):
    """A callable pytree: `classifier(images "n h w c") -> logits "n k"`.

    `jax.tree_util.Partial(apply, params)` is the plain form, and `fidojax.networks` builds it from
    Flax, Keras and Equinox. It is an argument of every compiled function, so that new weights
    neither retrace the function nor become constants of the program.
    """

    def __call__(self, images: Any, /) -> Any: ...


@runtime_checkable
class Infiller(Protocol):
    """A callable pytree: `infill(key, image, mask) -> reference image`, the whole picture.

    The mask is hard (values 0 and 1). The values of the reference at kept pixels do not matter.
    """

    def __call__(self, key: Any, image: Any, mask: Any, /) -> Any: ...


class Explanation(NamedTuple):
    """What a method returns for one picture.

    Attributes:
        saliency: "h w", larger = more important; float32, or the image's own wider type.
        info: the method's own NamedTuple of further results (objective per step, mask, ...).
    """

    saliency: Saliency
    info: Any

    def __repr__(self) -> str:
        """The shapes of the arrays, not their values."""
        from wadler_lindig import pformat

        return pformat(self, width=100)


Method = Callable[..., Explanation]
"""`method(key, classifier, image, target, *, options) -> Explanation`, for one image."""

Masker = Callable[..., tuple[Float[Array, "n rows columns"], Float[Array, "n rows2 columns2"]]]
"""A callable pytree, (targets "n", confidence, *features) -> mask and the selector's activation.

The features are those of `fidojax.transforms.feature_pyramid`, the coarsest first. The mask lies in
[0, 1] and may have any sides. The leaves are the weights; `fidojax.networks.load_masker` reads them
from a file.
"""

Encoder = Callable[[Images], tuple[Float[Array, "n h w"], Float[Array, "n h w"]]]
"""A callable pytree, images "n h w c" -> mean and log-variance of the map's pixels, each "n h w".

The leaves are the weights; `fidojax.networks.load_encoder` reads them from a file.
"""
