"""Trained networks of methods that explain by one, such as VarSal's encoder."""

from collections.abc import Callable
from typing import Any, NamedTuple

from fidojax.cli.options import Explain
from fidojax.methods import METHOD_ROWS
from fidojax.networks import load_encoder, load_masker

LOADERS: dict[str, Callable[[str], Any]] = {"encoder": load_encoder, "masker": load_masker}
"""Options of methods that take a trained network, and the functions that load it: by the name of a
shipped classifier, or from a file."""


class Explainer(NamedTuple):
    """A trained network that explains.

    Attributes:
        option: the method's option, a key of `LOADERS`.
        source: the name of the shipped classifier that it explains, or a file.
        network: a callable pytree.
    """

    option: str
    source: str
    network: Any


def load_explainer(asked: Explain, classifier: str) -> Explainer | None:
    """Load the network that the method explains by; None for methods that need none.

    Raises:
        ValueError: the method needs none but one is given, none is shipped for the classifier, or
            the file holds none.
    """
    option = next((name for name in METHOD_ROWS[asked.method].required if name in LOADERS), None)
    if option is None:
        if asked.explainer is not None:
            raise ValueError(f"--explainer: the method {asked.method} needs no trained network")
        return None
    if asked.explainer is not None:
        try:
            return Explainer(option, asked.explainer, LOADERS[option](asked.explainer))
        except (ValueError, OSError) as error:
            raise ValueError(f"--explainer: {error}") from None
    # A shipped network is trained for the shipped weights and explains no others.
    try:
        if asked.weights is None:
            return Explainer(option, classifier, LOADERS[option](classifier))
    except FileNotFoundError:
        pass
    whose = f"{classifier} with other weights" if asked.weights else classifier
    raise ValueError(
        f"--method {asked.method}: no {option} is shipped for {whose}; give the file of one that "
        f"was trained for it by --explainer FILE (python -m train.{asked.method} trains one)"
    )
