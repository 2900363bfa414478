"""The explainers of the papers' tables by name, with the settings that the tables use."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from eval.controls import random as random_map
from eval.study import StudyRow
from fidojax.core import check_name, current_name
from fidojax.data import boxes_of
from fidojax.methods import METHOD_ROWS, RENAMED_METHODS, MethodRow
from fidojax.networks import load_encoder, load_masker
from fidojax.presets import PRESETS
from infillers import make_infill


class Setting(NamedTuple):
    """A row of the comparison.

    Attributes:
        method: name in `fidojax.METHODS`.
        options: of the method.
        why: how they differ from the method's own defaults, if they do.
    """

    method: str
    options: Mapping[str, Any]
    why: str = ""


VARIANTS = {
    "deeplift-rescale": Setting("deeplift", {"rule": "rescale"}),
    "realtime-0": Setting(
        "realtime", {"confidence": 0.0}, "confidence 0, that of its training, not 6"
    ),
}
"""Rows for methods with other options than those of the method's row in the table."""


def controls() -> tuple[str, ...]:
    """The rows whose maps do not depend on the classifier."""
    return ("random", *(name for name, row in METHOD_ROWS.items() if row.control))


def settings() -> dict[str, Setting]:
    """The rows that need neither boxes nor a trained network nor a transformer, by name."""
    needs = {name: {*METHOD_ROWS[_method(name)].required} - {"infill"} for name in _names()}
    # `max_box` is the same everywhere: it has no order that could be compared.
    return {name: setting(name) for name in _names() if not needs[name] and name != "max_box"}


def setting(name: str) -> Setting:
    """The setting of a row: as the table of methods has it, changed where it is a variant."""
    row = METHOD_ROWS[_method(name)]
    preset = PRESETS[row.preset] if row.preset else {}
    options: dict[str, Any] = {**preset, **row.quick, **row.evaluation}
    if "infill" in options:
        names = options["infill"]
        one = isinstance(names, str)
        options["infill"] = make_infill(names) if one else tuple(map(make_infill, names))
    why = row.differs or (f"preset {row.preset}" if row.preset else "")
    if name in VARIANTS:
        return Setting(row.name, {**options, **VARIANTS[name].options}, VARIANTS[name].why or why)
    return Setting(row.name, options, why)


def _names() -> tuple[str, ...]:
    return tuple(
        name
        for method, row in METHOD_ROWS.items()
        if not row.attention
        for name in (method, *(v for v, of in VARIANTS.items() if of.method == method))
    )


def _method(name: str) -> str:
    return VARIANTS[name].method if name in VARIANTS else name


def explainers(
    names: Sequence[str],
    infill: Mapping[str, Sequence[str]],
    preset: str,
    classifier: str,
    *,
    encoder: str | None = None,
    masker: str | None = None,
    tell: Callable[[str], None] = print,
) -> dict[str, StudyRow]:
    """Rows by name; those whose weights are not there are left out.

    Args:
        names: "random", methods (old names with a DeprecationWarning), or `VARIANTS`.
        infill: for "fido" and "bbmp", the infillers of their rows, such as "fido-mean".
        preset: of FIDO.
        classifier: whose encoder and masker are used where none is given.
        encoder: VarSal's, as `fidojax.networks.load_encoder` takes it.
        masker: Realtime's, as `load_masker` takes it.
        tell: called with a sentence for each row that is left out.

    Raises:
        ValueError: an unknown name, or no row is left.
    """
    check_name("preset", preset, PRESETS)
    trained = {
        "encoder": (load_encoder, encoder or classifier),
        "masker": (load_masker, masker or classifier),
    }
    rows: dict[str, StudyRow] = {}
    for asked in names:
        name = current_name("methods", asked, RENAMED_METHODS)
        check_name("methods", name, ["random", *_names()])
        if name == "random":
            rows[name] = StudyRow(random_map, {}, "controls")
            continue
        row = METHOD_ROWS[_method(name)]
        if row.family:
            rows |= {f"{name}-{fill}": _filled(row, fill, preset) for fill in infill[name]}
            continue
        of = setting(name)
        try:
            needs = {
                option: load(source)
                for option, (load, source) in trained.items()
                if option in row.required
            }
        except FileNotFoundError as error:
            tell(f"{name} is left out: {error}")
            continue
        rows[name] = StudyRow(
            row.name,
            {**of.options, **needs},
            "controls" if row.control else "",
            of.why,
            _cut(row),
            each=boxes_of if "boxes" in row.required else None,
        )
    if not rows:
        raise ValueError("methods: none of them has its weights")
    return rows


def _filled(row: MethodRow, fill: str, preset: str) -> StudyRow:
    made = [make_infill(name) for name in fill.split("+")]
    options = {"infill": made[0] if len(made) == 1 else tuple(made)}
    if row.preset is None:
        return StudyRow(row.name, options, row.family, cut=_cut(row))
    why = f"preset {preset}"
    return StudyRow(row.name, PRESETS[preset] | options, row.family, why, _cut(row))


def _cut(row: MethodRow) -> str:
    return "absolute" if row.mask else "mean"
