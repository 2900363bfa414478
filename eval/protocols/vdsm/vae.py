r"""VDSM's box plots with a generative infiller: Figure 8, Removal and Preservation with a VAE.

    python -m eval.run vdsm-vae --data ../shared/data/mnist_eights.npz \
        --weights ../shared/models/mnist_allconv.npz --vae ../shared/models/mnist_vae_vdsm.npz \
        --out runs/vdsm_vae

The VAE fills the dropped pixels while the map is learned and again, one sample per step, while it
is judged. The published medians of the sweep stand in the authors' notebook without quartiles.
"""

import infillers
from eval.protocols.vdsm.experiment import DEFAULTS, Published, Rows, experiment
from eval.report import Box
from eval.subject import StudyRun

PUBLISHED = {
    "PDA": Published(Box(23.6, 18.7, 29.9), Box(6.1, 4.9, 8.2)),
    "VDSM-SSR": Published(Box(22.0, 17.3, 27.9), Box(11.2, 9.0, 13.5)),
    "VDSM-SDR": Published(Box(30.1, 25.6, 37.3), Box(5.3, 3.5, 7.0)),
}
CHOSEN = {"ssr": 0.01, "sdr": 1e-3}
"""λ by objective."""
SWEEP = (0.0, 1e-3, 0.01, 0.1)


def vdsm_vae(
    run: StudyRun = DEFAULTS,
    vae: str = "mnist",
    sweep: bool = False,
    steps: int = 600,
    samples: int = 64,
) -> None:
    """VDSM Figure 8: Removal and Preservation of VDSM and PDA with VAE infill.

    Args:
        run: where and on what; the first eights of the data, which may be an .npz file with
            `images` (n, 28, 28) uint8, too.
        vae: the infiller's weights: "mnist" for the shipped ones, or a file.
        sweep: also the other three λ of the authors' sweep, for both objectives.
        steps: optimiser steps of VDSM.
        samples: masks per step of VDSM (64).
    """
    infill = infillers.vae(vae)
    make = Rows(infill, steps, samples)
    rows = {"PDA": make.plain("pda_one_draw")}
    rows |= {f"VDSM-{mode.upper()}": make.vdsm(mode, lam) for mode, lam in CHOSEN.items()}
    if sweep:
        rows |= {
            f"VDSM-{mode.upper()} λ {lam:g}": make.vdsm(mode, lam)
            for mode, chosen in CHOSEN.items()
            for lam in SWEEP
            if lam != chosen
        }
    options = {"vae": vae, "sweep": sweep, "steps": steps, "samples": samples}
    experiment("vdsm-vae", "VDSM Figure 8", run, rows, PUBLISHED, infill, options)
