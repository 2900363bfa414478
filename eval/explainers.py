"""The explainers of the papers' tables by name, with the settings that the tables use."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from eval.protocols.varsal.rankings import random as random_map
from eval.study import StudyRow
from fidojax import presets
from fidojax.core import check_name
from fidojax.data import boxes_of
from fidojax.methods import SHORTER
from fidojax.networks import load_encoder, load_masker
from fidojax.presets import PRESETS
from infillers import INFILLERS, blur, mean, random

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
) -> dict[str, StudyRow]:
    """Rows by name; those whose weights are not there are left out.

    Args:
        names: "random", "max", "box", "varsal", "realtime" (at its authors' confidence),
            "realtime-0" (at confidence 0), or rows of `eval.explainers.settings`.
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
    known = settings()
    special: dict[str, Callable[[], StudyRow]] = {
        "random": lambda: StudyRow(random_map, {}),
        "max": lambda: StudyRow("max", {}),
        "box": lambda: StudyRow("box", {}, each=boxes_of),
        "varsal": lambda: StudyRow("varsal", {"encoder": load_encoder(encoder or classifier)}),
        "realtime": lambda: StudyRow("realtime", {"masker": load_masker(masker or classifier)}),
        "realtime-0": lambda: StudyRow(
            "realtime", {"masker": load_masker(masker or classifier), "confidence": 0.0},
            why="confidence 0, that of its training, not 6",
        ),
    }  # fmt: skip
    rows: dict[str, StudyRow] = {}
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
            rows[name] = StudyRow(setting.method, setting.options, why=setting.why)
    if not rows:
        raise ValueError("methods: none of them has its weights")
    return {
        name: row._replace(
            cut="absolute" if row.name in MASKS else "mean",
            group=row.group or ("controls" if name in CONTROLS else ""),
        )
        for name, row in rows.items()
    }


def _filled(method: str, fill: str, preset: str) -> StudyRow:
    options: dict[str, Any] = {"infill": INFILLERS[fill]()}
    if method == "fido":
        return StudyRow(method, PRESETS[preset] | options, "FIDO", f"preset {preset}")
    return StudyRow(method, options, "BBMP")


class Setting(NamedTuple):
    """A row of the comparison.

    Attributes:
        method: name in `fidojax.methods.table.METHODS`.
        options: for the method; a function of nothing, since infillers hold arrays.
        why: what differs from the method's own defaults, if anything does.
    """

    method: str
    options: Mapping[str, Any]
    why: str = ""


def settings() -> dict[str, Setting]:
    """The rows by name: the methods' own defaults but where `why` says otherwise."""
    colour, blurred = {"infill": mean()}, {"infill": blur()}
    return {
        "fido": Setting("fido", presets.fast | colour, "preset fast"),
        "bbmp": Setting("bbmp", blurred),
        "meaningful_perturbation": Setting("meaningful_perturbation", blurred),
        "extremal_perturbation": Setting(
            "extremal_perturbation", {"steps": 300}, "300 steps, not 800"
        ),
        "nonlinear": Setting("nonlinear", {}),
        "linear": Setting("linear", {}),
        "occlusion": Setting("occlusion", colour | {"chunk": 16}),
        "pda": Setting(
            "pda",
            colour | SHORTER["pda"] | {"chunk": 16},
            "every 8th window of 16, not 1",
        ),
        "prediction_difference": Setting(
            "prediction_difference",
            {"infill": random()} | SHORTER["prediction_difference"] | {"chunk": 16},
            "random colours, every 16th window, 2 samples, not 10",
        ),
        "rise": Setting("rise", SHORTER["rise"] | {"chunk": 16}, "1000 masks, not 4000"),
        "deeplift": Setting("deeplift", {}),
        "deeplift-rescale": Setting("deeplift", {"rule": "rescale"}),
        "integrated_gradients": Setting("integrated_gradients", {}),
        "expected_gradients": Setting(
            "expected_gradients",
            {"infill": random()} | SHORTER["expected_gradients"],
            "50 samples, not 200",
        ),
        "gradient": Setting("gradient", {}),
        "input_x_gradient": Setting("input_x_gradient", {}),
        "smoothgrad": Setting("smoothgrad", {}),
        "smoothgrad_squared": Setting("smoothgrad_squared", {}),
        "vargrad": Setting("vargrad", {}),
        "deconvnet": Setting("deconvnet", {}),
        "guided_backprop": Setting("guided_backprop", {}),
        "grad_cam": Setting("grad_cam", {}),
        "guided_grad_cam": Setting("guided_grad_cam", {}),
        "center": Setting("center", {}),
    }
