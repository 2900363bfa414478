"""FIDO's Figure 12, A.1: the weight of the region's size, for FIDO-CA and BBMP.

python -m eval.run fido-lambda --data-dir DATA --out runs/lambda --limit 24
"""

from eval.protocols.fido_ablations import bbmp_row, fido_row, sweep
from eval.study import Claim
from eval.subject import StudyRun


def fido_lambda(
    run: StudyRun,
    lam: tuple[float, ...] = (5e-4, 1e-3, 2e-3, 5e-3),
    infill: tuple[str, ...] = ("ca",),
    bbmp_infill: tuple[str, ...] = ("blur", "random"),
    preset: str = "fast",
) -> None:
    """FIDO Figure 12 (A.1): a larger weight of the region's size leaves a smaller region.

    Args:
        run: where and on what.
        lam: weights of the sum over pixels.
        infill: of FIDO.
        bbmp_infill: of BBMP.
        preset: of FIDO, a name in `fidojax.presets.PRESETS`.
    """
    kinds = {f"fido-{fill}": (fido_row, fill, {"preset": preset}) for fill in infill}
    kinds |= {f"bbmp-{fill}": (bbmp_row, fill, {}) for fill in bbmp_infill}
    rows = {
        f"{kind} {value:g}": make(fill, lam=value, like=f"{kind} {lam[0]:g}", **options)
        for kind, (make, fill, options) in kinds.items()
        for value in lam
    }
    steps = zip(sorted(lam)[1:], sorted(lam)[:-1], strict=True)
    claims = [
        Claim(f"{kind} {more:g}", f"{kind} {less:g}", "size", "Figure 12")
        for more, less in steps
        for kind in kinds
    ]
    sweep(
        run, "fido-lambda", "FIDO Figure 12 (A.1): weight of the region's size",
        "The same pictures under several weights. The region must shrink as the weight grows. "
        "Likeness is to the first weight's maps.",
        rows, {"lam": lam, "preset": preset}, claims=claims, size="low",
    )  # fmt: skip
