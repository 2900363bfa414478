r"""VDSM's box plots with background infill: Figure 2 (Removal) and Figure 4 (Preservation).

    python -m eval.run vdsm-background --data ../shared/data/mnist_eights.npz \
        --weights ../shared/models/mnist_allconv.npz --out runs/vdsm
"""

import infillers
from eval.protocols.vdsm.experiment import DEFAULTS, Example, Published, Rows, experiment
from eval.report import Box
from eval.study import Claim
from eval.subject import StudyRun
from fidojax.core import check_name

PUBLISHED = {
    "PDA": Published(Box(27.6, 22.1, 32.6), Box(4.4, 3.5, 6.2), ("Preservation",)),
    "DeepLIFT-RevealCancel": Published(
        Box(27.9, 21.8, 32.6), Box(5.5, 2.1, 11.7), ("Preservation",)
    ),
    "BBMP-SSR": Published(None, Box(12.6, 9.5, 16.8)),
    "BBMP-SSR λ .1": Published(Box(22.7, 18.6, 27.0)),
    "BBMP-SDR": Published(Box(41.6, 35.8, 48.4), Box(0.3, 0.0, 1.2)),
    "VDSM-SSR": Published(Box(23.4, 18.4, 28.7), Box(12.4, 9.5, 16.8)),
    "VDSM-SSR λ 1e-3": Published(Box(24.6, 19.5, 29.2), None, ("Removal",)),
    "VDSM-SDR": Published(Box(44.5, 36.8, 51.6), Box(2.1, 1.2, 3.3), ("Preservation",)),
}
EXAMPLES = (
    Example(1, 13, "Removal", {
        "PDA": (-7.1, 771), "DeepLIFT-RevealCancel": (-12.0, 118), "BBMP-SSR λ .1": (-3.8, 658),
        "VDSM-SSR λ 1e-3": (-2.8, 542), "BBMP-SDR": (-20.4, 98), "VDSM-SDR": (-24.4, 119),
    }),
    Example(3, 14, "Preservation", {
        "PDA": (19.6, 30), "DeepLIFT-RevealCancel": (12.5, 2), "BBMP-SSR": (23.8, 46),
        "VDSM-SSR": (23.2, 702), "BBMP-SDR": (11.1, 9), "VDSM-SDR": (11.1, 0),
    }),
)  # fmt: skip
"""The eights of Figures 1 and 3, each method with the lambda that the authors chose for it."""
_WORDS = {
    "Removal": {
        "VDSM with SDR performs the best, BBMP with SDR slightly worse": (
            ("VDSM-SDR", "BBMP-SDR"), ("BBMP-SDR", "PDA"), ("BBMP-SDR", "DeepLIFT-RevealCancel"),
        ),
        "PDA slightly wins DeepLIFT": (("PDA", "DeepLIFT-RevealCancel"),),
        "BBMP and VDSM with SSR are the worst two": (
            ("PDA", "BBMP-SSR λ .1"), ("PDA", "VDSM-SSR λ 1e-3"),
            ("DeepLIFT-RevealCancel", "BBMP-SSR λ .1"),
            ("DeepLIFT-RevealCancel", "VDSM-SSR λ 1e-3"),
        ),
    },
    "Preservation": {
        "BBMP and VDSM with SSR clearly win": (
            ("BBMP-SSR", "PDA"), ("BBMP-SSR", "DeepLIFT-RevealCancel"),
            ("VDSM-SSR", "PDA"), ("VDSM-SSR", "DeepLIFT-RevealCancel"),
        ),
        "PDA and DeepLIFT in the middle, VDSM with SDR slightly worse": (
            ("PDA", "VDSM-SDR"), ("DeepLIFT-RevealCancel", "VDSM-SDR"),
        ),
        "BBMP with SDR mostly close to 0": (("VDSM-SDR", "BBMP-SDR"),),
    },
}  # fmt: skip
SAID = [
    Claim(better, worse, metric, words)
    for metric, of in _WORDS.items()
    for words, pairs in of.items()
    for better, worse in pairs
]
"""The orderings that section 4.1 says of Figures 2 and 4."""
SWEEP = {
    ("bbmp", "ssr"): (1e-3, 0.01),
    ("bbmp", "sdr"): (1e-3, 0.01, 0.1),
    ("vdsm", "ssr"): (1e-5, 1e-4),
    ("vdsm", "sdr"): (1e-6, 1e-5, 1e-4),
}
"""The rest of the grid of λ that the authors searched, by method and objective."""


def vdsm_background(
    run: StudyRun = DEFAULTS,
    sweep: bool = False,
    only: tuple[str, ...] = (),
    steps: int = 600,
    samples: int = 64,
) -> None:
    """VDSM Figures 2 and 4: Removal and Preservation of VDSM, BBMP, PDA and DeepLIFT, in black.

    Args:
        run: where and on what; the first eights of the data, which may be an .npz file with
            `images` (n, 28, 28) uint8, too.
        sweep: also the other λ of the authors' search.
        only: rows, such as PDA and BBMP-SDR; all when empty.
        steps: optimiser steps (VDSM and BBMP: 600).
        samples: masks per step of VDSM (64).
    """
    infill = infillers.mean(0.0)
    make = Rows(infill, steps, samples)
    made = {
        "PDA": make.plain("pda_one_draw"),
        "DeepLIFT-RevealCancel": make.plain("deeplift", rule="reveal_cancel"),
        "DeepLIFT-rescale": make.plain("deeplift", rule="rescale"),
        "BBMP-SSR": make.bbmp("ssr", 0.0),
        "BBMP-SSR λ .1": make.bbmp("ssr", 0.1),
        "BBMP-SDR": make.bbmp("sdr", 0.0),
        "VDSM-SSR": make.vdsm("ssr", 0.0),
        "VDSM-SSR λ 1e-3": make.vdsm("ssr", 1e-3),
        "VDSM-SDR": make.vdsm("sdr", 0.0),
    }
    if sweep:
        made |= {
            f"{method.upper()}-{mode.upper()} λ {lam:g}": getattr(make, method)(mode, lam)
            for (method, mode), grid in SWEEP.items()
            for lam in grid
        }
    for row in only:
        check_name("only", row, made)
    kept = {name: row for name, row in made.items() if name in only or not only}
    chosen = {"sweep": sweep, "only": only, "steps": steps, "samples": samples}
    experiment(
        "vdsm-background",
        "VDSM Figures 1 to 4",
        run,
        kept,
        PUBLISHED,
        infill,
        chosen,
        EXAMPLES,
        SAID,
    )
