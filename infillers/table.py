"""The table of infillers. Everything that the library knows of one infiller stands in its row."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fidojax.core import Column, add_row, check_name
from fidojax.types import Infiller
from infillers.blur import blur
from infillers.ca import ca
from infillers.local import local
from infillers.mae import mae
from infillers.mean import mean
from infillers.random import random
from infillers.road import road
from infillers.unet import unet
from infillers.vae import vae

SEES = ("nothing", "kept pixels", "all pixels")
"""What of the picture an infiller may depend on; one that sees all pixels leaks dropped ones."""


@dataclass(frozen=True, kw_only=True)
class InfillerRow:
    """An infiller and what lists, citations and documentation say of it.

    Attributes:
        factory: makes the infiller from its constants; its name is the name of the row.
        says: what stands where pixels were dropped, in one phrase for the documentation.
        sees: a name in `SEES`.
        papers: keys of `fidojax/papers.bib`, the one that tells most about the infiller first.
        learned: it is a trained network with weights in a file.
        fits: the classifier whose pictures the default weights were trained on; empty for any.
    """

    factory: Callable[..., Infiller]
    says: str
    sees: str
    papers: tuple[str, ...]
    learned: bool = False
    fits: str = ""

    @property
    def name(self) -> str:
        """The name of the factory."""
        return self.factory.__name__

    @property
    def defaults(self) -> dict[str, Any]:
        """The constants and their defaults; `inspect.Parameter.empty` if it must be given."""
        parameters = inspect.signature(self.factory).parameters.values()
        return {parameter.name: parameter.default for parameter in parameters}

    @property
    def required(self) -> tuple[str, ...]:
        """The constants without a default, such as the weights of a network that is not shipped."""
        return required_constants(self.factory)


def required_constants(factory: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a factory's parameters that have no default."""
    parameters = inspect.signature(factory).parameters.values()
    return tuple(each.name for each in parameters if each.default is each.empty)


INFILLER_ROWS: dict[str, InfillerRow] = {}
"""The rows by name."""

INFILLERS: Mapping[str, Callable[..., Infiller]] = Column(INFILLER_ROWS, "factory")
"""The factories of infillers by name."""


def default_infillers() -> tuple[str, ...]:
    """Return the names of the infillers that are made without arguments: what "all" stands for."""
    return tuple(name for name, row in INFILLER_ROWS.items() if not row.required)


def register_infiller(row: InfillerRow) -> None:
    """Add an infiller to the table, and so to everything that takes infillers by name.

    Raises:
        ValueError: there is an infiller of that name, or `sees` is not a name in `SEES`.
    """
    check_name("sees", row.sees, SEES)
    add_row(INFILLER_ROWS, row, "infiller")


_ROWS = (
    InfillerRow(
        factory=mean,
        says="one colour: ImageNet's mean, or MNIST's background with `color=0.0`",
        sees="nothing",
        papers=("fido",),
    ),
    InfillerRow(
        factory=blur,
        says="the image, blurred with a standard deviation of 10 pixels",
        sees="all pixels",
        papers=("fido", "bbmp"),
    ),
    InfillerRow(
        factory=random,
        says="one random colour with pixel noise",
        sees="nothing",
        papers=("fido", "realtime"),
    ),
    InfillerRow(
        factory=local,
        says="the mean of the kept pixels in a 15 x 15 window",
        sees="kept pixels",
        papers=("fido",),
    ),
    InfillerRow(
        factory=road,
        says="noisy linear imputation: each dropped pixel is the weighted mean of its neighbours",
        sees="kept pixels",
        papers=("road",),
    ),
    InfillerRow(
        factory=vae,
        says="the picture of a variational autoencoder, 64 x 64 in colour (shipped, and any size "
        'by `resized`) or MNIST\'s (`weights="mnist"`)',
        sees="kept pixels",
        papers=("fido", "vdsm", "vae"),
        learned=True,
        fits="tiny_imagenet40",
    ),
    InfillerRow(
        factory=ca,
        says="what the contextual attention GAN paints, copying from known patches (64 x 64 "
        "shipped)",
        sees="kept pixels",
        papers=("fido", "ca_gan"),
        learned=True,
        fits="tiny_imagenet40",
    ),
    InfillerRow(
        factory=mae,
        says="what a public masked autoencoder draws from the patches of which half is kept "
        "(`mae:facebook/vit-mae-base`, or a file)",
        sees="kept pixels",
        papers=("mae",),
        learned=True,
    ),
    InfillerRow(
        factory=unet,
        says="what a U-Net draws from the kept pixels, coarsely and then in detail, at any size "
        "(shipped for photos; `unet:FILE` for weights of `python -m train.unet`)",
        sees="kept pixels",
        papers=("fido", "gated"),
        learned=True,
    ),
)

for _row in _ROWS:
    register_infiller(_row)
