"""FIDO's Table 2 and Figure 18: BBMP with the CA-GAN at several thresholds, against FIDO.

    python -m eval.run fido-table2 --data-dir DATA --out runs/table2 --limit 100

BBMP optimises one soft mask; a generative infiller must be told which pixels are there: those whose
mask is at least tau.
"""

from eval.protocols.fido_ablations import bbmp_row, fido_row, sweep
from eval.protocols.fido_published import TABLE2, table2_claims
from eval.study import StudyRow
from eval.subject import StudyRun
from fidojax.data import boxes_of


def fido_table2(
    run: StudyRun,
    tau: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0),
    infill: tuple[str, ...] = ("blur", "random", "ca"),
    bbmp_infill: tuple[str, ...] = ("blur", "random"),
    preset: str = "fast",
) -> None:
    """FIDO Table 2 and Figure 18: no threshold makes BBMP with CA infill as good as FIDO-CA.

    Args:
        run: where and on what.
        tau: thresholds above which BBMP's infiller sees a pixel.
        infill: of FIDO.
        bbmp_infill: of BBMP with infills that need no threshold.
        preset: of FIDO, a name in `fidojax.presets.PRESETS`.
    """
    like = "fido-ca" if "ca" in infill else f"fido-{infill[-1]}"
    rows = {
        "object_box": StudyRow(
            "object_box", {}, "controls", cut="absolute", each=boxes_of, like=like
        )
    }
    rows |= {f"bbmp-{fill}": bbmp_row(fill, like=like) for fill in bbmp_infill}
    rows |= {f"bbmp-ca {value:g}": bbmp_row("ca", threshold=value, like=like) for value in tau}
    rows |= {f"fido-{fill}": fido_row(fill, preset, like=like) for fill in infill}
    rivals = [name for name in rows if name.startswith("bbmp")]
    sweep(
        run, "fido-table2", "FIDO Table 2 and Figure 18: BBMP with generative infill",
        "BBMP shows its infiller the pixels whose mask is at least tau; FIDO draws hard masks.",
        rows, {"tau": tau, "infill": infill, "bbmp_infill": bbmp_infill, "preset": preset},
        claims=table2_claims(rivals), deletion="ca", right=False,
        published={row: {"error": e, "metric": m} for row, (e, m) in TABLE2.items()},
    )  # fmt: skip
