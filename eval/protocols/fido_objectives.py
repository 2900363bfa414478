"""FIDO's Figure 6: the smallest region that supports, and the smallest whose loss destroys.

python -m eval.run fido-objectives --data-dir DATA --out runs/objectives --limit 24
"""

from eval.protocols.fido_ablations import fido_row, sweep
from eval.study import Claim
from eval.subject import StudyRun


def fido_objectives(
    run: StudyRun, infill: tuple[str, ...] = ("mean", "ca"), preset: str = "fast"
) -> None:
    """FIDO Figure 6: SDR and SSR, each with a heuristic and with the paper's infill.

    Args:
        run: where and on what.
        infill: of FIDO.
        preset: a name in `fidojax.presets.PRESETS`.
    """
    rows = {
        f"{objective} {fill}": fido_row(fill, preset, objective=objective, like=f"ssr {fill}")
        for objective in ("ssr", "sdr")
        for fill in infill
    }
    claims = [Claim(f"ssr {fill}", f"sdr {fill}", "outside", "Figure 6") for fill in infill]
    sweep(
        run, "fido-objectives", "FIDO Figure 6: SDR and SSR",
        "The same pictures under both objectives. SDR's map is the probability to be dropped. "
        "Likeness is to SSR's maps.",
        rows, {"infill": infill, "preset": preset}, claims=claims,
    )  # fmt: skip
