"""VDSM's box plots with background infill: Figure 2 (Removal) and Figure 4 (Preservation).

    python -m eval.run vdsm-background --images ../shared/data/mnist_eights.npz \
        --weights ../shared/models/mnist_allconv.npz --out runs/vdsm
"""

from pathlib import Path

import infillers
from eval.protocols.vdsm.experiment import Experiment, Row, Settings, run
from eval.report import Box

ROWS = (
    Row(
        "PDA", "pda_one_draw", removal=Box(27.6, 22.1, 32.6), preservation=Box(4.4, 3.5, 6.2),
        suspect=("Preservation",),
    ),
    Row(
        "DeepLIFT-RevealCancel", "deeplift", removal=Box(27.9, 21.8, 32.6),
        preservation=Box(5.5, 2.1, 11.7), suspect=("Preservation",), rule="reveal_cancel",
    ),
    Row("DeepLIFT-rescale", "deeplift", rule="rescale"),
    Row("BBMP-SSR", "bbmp", "ssr", 0.0, None, Box(12.6, 9.5, 16.8)),
    Row("BBMP-SSR λ .1", "bbmp", "ssr", 0.1, Box(22.7, 18.6, 27.0)),
    Row("BBMP-SDR", "bbmp", "sdr", 0.0, Box(41.6, 35.8, 48.4), Box(0.3, 0.0, 1.2)),
    Row("VDSM-SSR", "fido", "ssr", 0.0, Box(23.4, 18.4, 28.7), Box(12.4, 9.5, 16.8)),
    Row("VDSM-SSR λ 1e-3", "fido", "ssr", 1e-3, Box(24.6, 19.5, 29.2), None, ("Removal",)),
    Row(
        "VDSM-SDR", "fido", "sdr", 0.0, Box(44.5, 36.8, 51.6), Box(2.1, 1.2, 3.3),
        ("Preservation",),
    ),
)  # fmt: skip

# The rest of the grid that the authors searched.
SWEEP = tuple(
    Row(f"{kind}-{mode.upper()} λ {lam:g}", method, mode, lam)
    for kind, method, mode, grid in (
        ("BBMP", "bbmp", "ssr", (1e-3, 0.01)),
        ("BBMP", "bbmp", "sdr", (1e-3, 0.01, 0.1)),
        ("VDSM", "fido", "ssr", (1e-5, 1e-4)),
        ("VDSM", "fido", "sdr", (1e-6, 1e-5, 1e-4)),
    )
    for lam in grid
)


def vdsm_background(
    out: Path,
    sweep: bool = False,
    images: str = "tfds:mnist/test",
    data_dir: Path | None = None,
    classifier: str = "mnist",
    weights: Path | None = None,
    limit: int = 100,
    steps: int = 600,
    samples: int = 64,
    batch_size: int = 4,
    seed: int = 0,
) -> None:
    """VDSM Figures 2 and 4: Removal and Preservation of VDSM, BBMP, PDA and DeepLIFT, in black.

    Args:
        out: folder of the results; a stopped run goes on from there.
        sweep: also the other λ of the authors' search.
        images: an .npz file with `images` (n, 28, 28) uint8, or a TFDS set whose eights are taken.
        data_dir: where TFDS sets lie prepared.
        classifier: a name for `fidojax.networks.load`.
        weights: a file with other weights for it.
        limit: the first so many eights.
        steps: optimiser steps (VDSM and BBMP: 600).
        samples: masks per step of VDSM (64).
        batch_size: images per device that VDSM optimises at once.
        seed: seeds the masks.
    """
    rows = ROWS + SWEEP if sweep else ROWS
    run(
        out,
        Experiment("vdsm-background", "VDSM Figures 2 and 4", rows, infillers.mean(0.0)),
        Settings(images, data_dir, classifier, weights, limit, steps, samples, batch_size, seed),
    )
