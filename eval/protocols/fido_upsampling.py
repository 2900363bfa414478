"""FIDO's Figure 13, A.2: the side of the optimised map, without total variation.

python -m eval.run fido-upsampling --data-dir DATA --out runs/upsampling --limit 24
"""

from eval.protocols.fido_ablations import fido_row, sweep
from eval.subject import StudyRun


def fido_upsampling(
    run: StudyRun,
    size: tuple[int, ...] = (4, 8, 16, 32, 64),
    infill: tuple[str, ...] = ("mean", "ca"),
    preset: str = "fast",
) -> None:
    """FIDO Figure 13 (A.2): a finer map finds artefacts with mean infill, fewer with CA.

    Args:
        run: where and on what.
        size: sides of the map before it is upsampled; the paper's choice is a quarter, 56 of 224.
        infill: of FIDO.
        preset: a name in `fidojax.presets.PRESETS`.
    """
    middle = size[len(size) // 2]
    rows = {
        f"{fill} {side}": fido_row(fill, preset, size=side, tv=0.0, like=f"{fill} {middle}")
        for fill in infill
        for side in size
    }
    sweep(
        run, "fido-upsampling", "FIDO Figure 13 (A.2): side of the optimised map, TV 0",
        "The same pictures with maps of several sides before upsampling. Likeness is to the "
        "middle side's maps.",
        rows, {"size": size, "infill": infill, "preset": preset},
    )  # fmt: skip
