"""VDSM's box plots with a generative infiller: Figure 8, Removal and Preservation with a VAE.

    python -m eval.run vdsm-vae --images ../shared/data/mnist_eights.npz \
        --weights ../shared/models/mnist_allconv.npz --vae ../shared/models/mnist_vae_vdsm.npz \
        --out runs/vdsm_vae

The VAE fills the dropped pixels while the map is learned and again, one sample per step, while it
is judged. The published medians of the sweep stand in the authors' notebook without quartiles.
"""

from pathlib import Path

import infillers
from eval.protocols.vdsm.experiment import Experiment, Row, Settings, run
from eval.report import Box

ROWS = (
    Row("PDA", "pda_one_draw", removal=Box(23.6, 18.7, 29.9), preservation=Box(6.1, 4.9, 8.2)),
    Row("VDSM-SSR", "fido", "ssr", 0.01, Box(22.0, 17.3, 27.9), Box(11.2, 9.0, 13.5)),
    Row("VDSM-SDR", "fido", "sdr", 1e-3, Box(30.1, 25.6, 37.3), Box(5.3, 3.5, 7.0)),
)
SWEEP = tuple(
    Row(f"VDSM-{mode.upper()} λ {lam:g}", "fido", mode, lam)
    for mode, chosen in (("ssr", 0.01), ("sdr", 1e-3))
    for lam in (0.0, 1e-3, 0.01, 0.1)
    if lam != chosen
)


def vdsm_vae(
    out: Path,
    vae: str = "mnist",
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
    """VDSM Figure 8: Removal and Preservation of VDSM and PDA with VAE infill.

    Args:
        out: folder of the results; a stopped run goes on from there.
        vae: the infiller's weights: "mnist" for the shipped ones, or a file.
        sweep: also the other three λ of the authors' sweep, for both objectives.
        images: an .npz file with `images` (n, 28, 28) uint8, or a TFDS set whose eights are taken.
        data_dir: where TFDS sets lie prepared.
        classifier: a name for `fidojax.networks.load`.
        weights: a file with other weights for it.
        limit: the first so many eights.
        steps: optimiser steps of VDSM.
        samples: masks per step of VDSM (64).
        batch_size: images per device that VDSM optimises at once.
        seed: seeds the masks and the VAE's samples.
    """
    rows = ROWS + SWEEP if sweep else ROWS
    run(
        out,
        Experiment("vdsm-vae", "VDSM Figure 8", rows, infillers.vae.vae(vae)),
        Settings(images, data_dir, classifier, weights, limit, steps, samples, batch_size, seed),
    )
