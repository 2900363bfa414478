"""FIDO's Table 2 and Figure 18: BBMP with the CA-GAN at several thresholds, against FIDO.

    python -m eval.run fido-table2 --data-dir DATA --out runs/table2 --limit 100

BBMP optimises one soft mask; a generative infiller must be told which pixels are there: those whose
mask is at least tau.
"""

from eval.explainers import boxes_of
from eval.study import Claim, Row
from eval.subject import Run
from eval.sweep import bbmp_row, fido_row, sweep

# WSL error and saliency metric on 1000 pictures of ImageNet, ResNet-50.
PUBLISHED = {
    "bbmp-blur": (0.613, 1.097),
    "bbmp-random": (0.550, 0.912),
    "bbmp-ca 0": (0.686, 0.722),
    "bbmp-ca 0.1": (0.902, 1.426),
    "bbmp-ca 0.2": (0.891, 1.272),
    "bbmp-ca 0.3": (0.791, 0.535),
    "bbmp-ca 0.4": (0.575, 0.595),
    "bbmp-ca 0.5": (0.631, 1.103),
    "bbmp-ca 0.7": (0.635, 1.123),
    "bbmp-ca 1": (0.635, 1.117),
    "fido-blur": (0.487, 0.763),
    "fido-random": (0.533, 0.784),
    "fido-ca": (0.521, -0.092),
    "box": (0.0, 0.432),
}


def fido_table2(
    run: Run,
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
    rows = {"box": Row("box", {}, "controls", cut="absolute", each=boxes_of)}
    rows |= {f"bbmp-{fill}": bbmp_row(fill) for fill in bbmp_infill}
    rows |= {f"bbmp-ca {value:g}": bbmp_row("ca", threshold=value) for value in tau}
    rows |= {f"fido-{fill}": fido_row(fill, preset) for fill in infill}
    rivals = [name for name in rows if name.startswith("bbmp")]
    claims = [
        Claim("fido-ca", other, number, _published(other, place))
        for place, number in enumerate(("error", "metric"))
        for other in rivals
    ]
    claims += [Claim("fido-ca", other, "deletion50", "Figure 18") for other in rivals]
    sweep(
        run, "fido-table2", "FIDO Table 2 and Figure 18: BBMP with generative infill",
        "BBMP shows its infiller the pixels whose mask is at least tau; FIDO draws hard masks.",
        rows, "fido-ca" if "ca" in infill else next(reversed(rows)),
        {"tau": tau, "infill": infill, "bbmp_infill": bbmp_infill, "preset": preset},
        claims=claims, deletion="ca", right=False,
        published={row: {"error": e, "metric": m} for row, (e, m) in PUBLISHED.items()},
    )  # fmt: skip


def _published(other: str, place: int) -> str:
    ours = PUBLISHED["fido-ca"][place]
    theirs = PUBLISHED.get(other)
    return f"{ours:g} against {theirs[place]:g}" if theirs else ""
