"""FIDO's Figure 15, A.4: the weight of the total variation.

python -m eval.run fido-tv --data-dir DATA --out runs/tv --limit 24
"""

from eval.protocols.fido_ablations import fido_row, sweep
from eval.subject import StudyRun


def fido_tv(
    run: StudyRun,
    tv: tuple[float, ...] = (0.0, 1e-3, 1e-2, 1e-1),
    infill: tuple[str, ...] = ("mean", "ca"),
    preset: str = "fast",
) -> None:
    """FIDO Figure 15 (A.4): total variation smooths the map.

    Args:
        run: where and on what.
        tv: weights of the sum over pixels; the paper's is 0.01.
        infill: of FIDO.
        preset: a name in `fidojax.presets.PRESETS`.
    """
    rows = {
        f"{fill} {value:g}": fido_row(fill, preset, tv=value, like=f"{fill} {tv[0]:g}")
        for fill in infill
        for value in tv
    }
    sweep(
        run, "fido-tv", "FIDO Figure 15 (A.4): weight of the total variation",
        "The same pictures under several weights of the map's total variation. Likeness is to the "
        "first weight's maps.",
        rows, {"tv": tv, "infill": infill, "preset": preset},
    )  # fmt: skip
