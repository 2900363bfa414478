"""FIDO's Figure 17, A.6: masks per step.

python -m eval.run fido-batch --data-dir DATA --out runs/batch --limit 24
"""

from eval.protocols.fido_ablations import fido_row, sweep
from eval.subject import StudyRun


def fido_batch(
    run: StudyRun,
    samples: tuple[int, ...] = (1, 2, 4, 8, 16),
    infill: tuple[str, ...] = ("mean",),
    preset: str = "paper",
    steps: int = 100,
) -> None:
    """FIDO Figure 17 (A.6): fewer than four masks per step give noisy maps.

    Args:
        run: where and on what.
        samples: masks per step.
        infill: of FIDO.
        preset: a name in `fidojax.presets.PRESETS`; `fast` draws masks in pairs.
        steps: of the optimiser; the paper has 300.
    """
    rows = {
        f"{fill} {count}": fido_row(
            fill, preset, samples=count, steps=steps, like=f"{fill} {max(samples)}"
        )
        for fill in infill
        for count in samples
    }
    sweep(
        run, "fido-batch", "FIDO Figure 17 (A.6): masks per step",
        "The same pictures with more and fewer masks per step. Likeness is to the most masks.",
        rows, {"samples": samples, "infill": infill, "preset": preset, "steps": steps},
    )  # fmt: skip
