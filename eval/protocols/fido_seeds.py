"""FIDO's Figure 14, A.3: maps of several seeds.

python -m eval.run fido-seeds --data-dir DATA --out runs/seeds --limit 24
"""

from eval.protocols.fido_ablations import fido_row, sweep
from eval.subject import StudyRun
from fidojax.core import check_count


def fido_seeds(
    run: StudyRun,
    seeds: int = 4,
    infill: tuple[str, ...] = ("mean", "ca"),
    preset: str = "fast",
) -> None:
    """FIDO Figure 14 (A.3): other seeds give nearly the same map.

    Args:
        run: where and on what.
        seeds: so many.
        infill: of FIDO.
        preset: a name in `fidojax.presets.PRESETS`.
    """
    check_count(seeds=seeds)
    rows = {
        f"{fill} {seed}": fido_row(fill, preset, seed=seed, like=f"{fill} 0")
        for fill in infill
        for seed in range(seeds)
    }
    sweep(
        run, "fido-seeds", "FIDO Figure 14 (A.3): seeds",
        "The same pictures with other masks drawn. Likeness is to the first seed's maps.",
        rows, {"seeds": seeds, "infill": infill, "preset": preset},
    )  # fmt: skip
