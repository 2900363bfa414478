"""Infillers from any inpainter: a function of pictures and masks, or a PyTorch module."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from fidojax import networks
from fidojax.core import check_name, shown
from fidojax.types import Image, Infiller, Mask, PRNGKey
from infillers.channels import OTHERS, check_channels, in_channels
from infillers.resized import resized

LAYOUTS = ("nhwc", "nchw", "hwc", "chw")
MASKS = ("keep", "drop")
INPUTS = ("separate", "stacked")


@dataclass(frozen=True)
class Convention:
    """What an inpainter takes and returns, of `from_function` and `from_torch`."""

    values: tuple[float, ...]
    mask: str
    layout: str
    blank: float
    composite: bool
    keyed: bool = False

    def __post_init__(self) -> None:
        check_name("mask", self.mask, MASKS)
        check_name("layout", self.layout, LAYOUTS)
        if len(self.values) != 2 or not self.values[0] < self.values[1]:
            raise ValueError(f"values is {self.values}, expected the lowest and the highest value")


def from_function(
    function: Callable[..., Any],
    size: int | None = None,
    *,
    values: tuple[float, float] = (0.0, 1.0),
    mask: str = "keep",
    layout: str = "nhwc",
    blank: float = 0.0,
    keyed: bool = False,
    composite: bool = True,
) -> Infiller:
    """Return the infiller of any inpainter `function(picture, mask) -> picture` in JAX.

    Dropped pixels never reach the function: they are `blank`. The result is brought back to [0, 1]
    and clipped.

    Args:
        function: pure, and a pytree if it has arrays, `jax.tree_util.Partial(apply, weights)`, so
            that new weights do not retrace. Pass the same function again, since a new lambda at
            each call retraces.
        size: the side of the square pictures that it takes; others are resized (`resized`). None if
            it takes any size.
        values: the lowest and the highest value of its pictures, (-1, 1) or (0, 255).
        mask: "keep" if its mask is 1 where a pixel is kept, "drop" if 1 where one is dropped.
        layout: the axes of its pictures: "nhwc" or "nchw", with n = 1, or "hwc" or "chw". The mask
            has the same axes and one channel.
        blank: the value of dropped pixels in what it sees, in its own range.
        keyed: whether it is called as `function(key, picture, mask)`.
        composite: whether the infill has the picture's kept pixels, or what the function returns.

    Raises:
        ValueError: an option is unknown; at the call (under `jax.jit` while it is traced): the
            function returns another shape than the picture's.

    Example:
        >>> import jax, jax.numpy as jnp, infillers
        >>> def grey(pictures, holes):  # "n c h w" in [-1, 1], holes 1
        ...     return jnp.where(holes == 1, 0.0, pictures)
        >>> infill = infillers.from_function(grey, 16, values=(-1, 1), mask="drop", layout="nchw")
        >>> image = jnp.ones((32, 32, 3))
        >>> float(infill(jax.random.key(0), image, jnp.zeros((32, 32)))[0, 0, 0].round(3))
        0.5
    """
    convention = Convention(tuple(values), mask, layout, blank, composite, keyed)
    if jax.tree_util.all_leaves([function]):
        function = Partial(function)
    return _sized(_Wrapped(function, convention), size)


def from_torch(
    module: Any,
    size: tuple[int, int, int] = (224, 224, 3),
    *,
    inputs: str = "separate",
    values: tuple[float, float] = (0.0, 1.0),
    mask: str = "keep",
    blank: float = 0.0,
    composite: bool = True,
) -> Infiller:
    """Return the infiller of an inpainter that is a PyTorch module, as pure JAX.

    `fidojax.networks.from_torch` converts the module: the result needs no PyTorch, and its leaves
    are the weights. Of several results the last is taken. A grey picture is seen as three equal
    channels, and its infill is averaged.

    Args:
        module: a `torch.nn.Module` of pictures "n c h w" and masks "n 1 h w".
        size: (h, w, c) of the pictures that it takes, h = w; others are resized (`resized`).
        inputs: "separate" for `module(pictures, masks)`, "stacked" for a module of one tensor
            "n c+1 h w", the mask behind the channels.
        values, mask, blank, composite: as `from_function` takes them.

    Raises:
        ImportError: PyTorch is missing.
        TypeError: `module` is no `torch.nn.Module`.
        ValueError: an option is unknown, the module cannot be converted, or it returns another
            shape than the pictures'.

    Example:
        >>> infill = infillers.from_torch(lama, (256, 256, 3), inputs="stacked", mask="drop")
    """
    check_name("inputs", inputs, INPUTS)
    convention = Convention(tuple(values), mask, "nchw", blank, composite)
    torch = networks.import_torch()
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"from_torch expects a torch.nn.Module, got {type(module).__name__}")
    height, width, channels = size
    if height != width:
        raise ValueError(f"from_torch: size is {tuple(size)}, expected a square, h = w")
    stacked = inputs == "stacked"

    class Flat(torch.nn.Module):
        """The module as a classifier: one tensor in, one row of numbers out."""

        def __init__(self) -> None:
            super().__init__()
            self.inpainter = module

        def forward(self, x: Any) -> Any:
            drawn = self.inpainter(x) if stacked else self.inpainter(x[:, :-1], x[:, -1:])
            while isinstance(drawn, (tuple, list)):
                drawn = drawn[-1]
            if drawn.shape != x[:, :-1].shape:
                raise ValueError(_wrong(tuple(drawn.shape), (1, channels, height, width)))
            return drawn.flatten(1)

    network = networks.from_torch(Flat(), (height, width, channels + 1))
    function = Partial(_call_flat, network)
    return _sized(_Wrapped(function, convention, channels), height)


def _call_flat(network, pictures, masks):
    both = jnp.concatenate([pictures, masks], axis=1)
    return network(jnp.moveaxis(both, 1, -1)).reshape(pictures.shape)


def _sized(infill: Infiller, size: int | None) -> Infiller:
    return infill if size is None else resized(infill, size)


def _wrong(got: Any, expected: tuple[int, ...]) -> str:
    return f"the inpainter returns {got}, expected a picture of shape {expected}, as it was given"


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["function"],
    meta_fields=["convention", "channels"],
)
@dataclass(frozen=True)
class _Wrapped:
    function: Callable[..., Any]
    convention: Convention
    channels: int | None = None

    __repr__ = shown

    @property
    def composite(self) -> bool:
        return self.convention.composite

    def __call__(self, key: PRNGKey, image: Image, mask: Mask) -> Image:
        asked, keep = self.convention, mask[..., None]
        seen = image
        if self.channels is not None:
            check_channels(image, self.channels, "the inpainter", OTHERS)
            seen = jnp.broadcast_to(image, (*mask.shape, self.channels))
        low, high = asked.values
        seen = keep * (low + (high - low) * seen) + (1 - keep) * asked.blank
        inputs = [self._given(seen), self._given(keep if asked.mask == "keep" else 1 - keep)]
        drawn = self.function(*([key] if asked.keyed else []), *inputs)
        if getattr(drawn, "shape", None) != inputs[0].shape:
            got = f"shape {drawn.shape}" if hasattr(drawn, "shape") else f"a {type(drawn).__name__}"
            raise ValueError(_wrong(got, inputs[0].shape))
        drawn = drawn[0] if asked.layout[0] == "n" else drawn
        drawn = jnp.moveaxis(drawn, 0, -1) if asked.layout[-3] == "c" else drawn
        drawn = jnp.clip((drawn - low) / (high - low), 0.0, 1.0).astype(image.dtype)
        drawn = in_channels(drawn, image.shape[-1])
        return keep * image + (1 - keep) * drawn if asked.composite else drawn

    def _given(self, picture: Any) -> Any:
        """The picture, or the mask, in the inpainter's layout."""
        if self.convention.layout[-3] == "c":
            picture = jnp.moveaxis(picture, -1, 0)
        return picture[None] if self.convention.layout[0] == "n" else picture
