"""The explainers of the papers' tables by name, with the settings that the tables use."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eval.methods import settings
from eval.study import Row
from eval.varsal.rankings import random
from fidojax.data.boxes import boxes_of
from fidojax.encoders import load_encoder, load_masker
from fidojax.names import check_name
from fidojax.presets import PRESETS
from infillers import INFILLERS

MASKS = {
    "max", "center", "box", "realtime", "fido", "bbmp", "meaningful_perturbation",
    "extremal_perturbation",
}  # fmt: skip
"""Methods whose maps lie in [0, 1] and mean what they say at one half."""
CONTROLS = {"random", "max", "center", "box"}
FILLED = ("fido", "bbmp")
"""Methods with a row for each of several infillers."""


def explainers(
    names: Sequence[str],
    infill: Mapping[str, Sequence[str]],
    preset: str,
    classifier: str,
    *,
    encoder: str | None = None,
    masker: str | None = None,
    tell: Callable[[str], None] = print,
) -> dict[str, Row]:
    """Rows by name; those whose weights are not there are left out.

    Args:
        names: "random", "max", "box", "varsal", "realtime" (at its authors' confidence),
            "realtime-0" (at confidence 0), or rows of `eval.methods.settings`.
        infill: for "fido" and "bbmp", the infillers of their rows, such as "fido-mean".
        preset: of FIDO.
        classifier: whose encoder and masker are used where none is given.
        encoder: VarSal's, as `fidojax.encoders.load_encoder` takes it.
        masker: Realtime's, as `load_masker` takes it.
        tell: called with a sentence for each row that is left out.

    Raises:
        ValueError: an unknown name, or no row is left.
    """
    check_name("preset", preset, PRESETS)
    known = settings()
    special: dict[str, Callable[[], Row]] = {
        "random": lambda: Row(random, {}),
        "max": lambda: Row("max", {}),
        "box": lambda: Row("box", {}, each=boxes_of),
        "varsal": lambda: Row("varsal", {"encoder": load_encoder(encoder or classifier)}),
        "realtime": lambda: Row("realtime", {"masker": load_masker(masker or classifier)}),
        "realtime-0": lambda: Row(
            "realtime", {"masker": load_masker(masker or classifier), "confidence": 0.0},
            why="confidence 0, that of its training, not 6",
        ),
    }  # fmt: skip
    rows: dict[str, Row] = {}
    for name in names:
        check_name("methods", name, [*known, *special])
        if name in FILLED:
            for fill in infill[name]:
                check_name("infill", fill, INFILLERS)
                rows[f"{name}-{fill}"] = _filled(name, fill, preset)
        elif name in special:
            try:
                rows[name] = special[name]()
            except FileNotFoundError as error:
                tell(f"{name} is left out: {error}")
        else:
            setting = known[name]
            rows[name] = Row(setting.method, setting.options, why=setting.why)
    if not rows:
        raise ValueError("methods: none of them has its weights")
    return {
        name: row._replace(
            cut="absolute" if row.name in MASKS else "mean",
            group=row.group or ("controls" if name in CONTROLS else ""),
        )
        for name, row in rows.items()
    }


def _filled(method: str, fill: str, preset: str) -> Row:
    options: dict[str, Any] = {"infill": INFILLERS[fill]()}
    if method == "fido":
        return Row(method, PRESETS[preset] | options, "FIDO", f"preset {preset}")
    return Row(method, options, "BBMP")
