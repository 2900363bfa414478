"""The model card at the end of the U-Net's training."""

from pathlib import Path
from typing import Any

from flax import nnx

from fidojax.types import Classifier, Infiller
from train import card, recovery
from train.program import Job

KINDS = ("blobs", "spots", "pixels", "centre", "free_form")
"""The kinds of masks that are measured, see `train.recovery`."""

JUDGE = "efficientnet_lite0"
"""What reads the infilled pictures: the network of the perceptual loss, so compare with care."""


def write(job: Job, infill: Infiller, classifier: Classifier | None, path: Path) -> None:
    """Write the card of the weights stored at `path`, beside them.

    Args:
        classifier: what reads the infilled pictures; None for synthetic ones.
    """
    config, log = job.config, job.config.out / "metrics.csv"
    steps = card.steps(log)
    alone = min(steps, config.adversarial_from)
    function: Any = infill
    lines = [
        card.network(nnx.merge(*function.network.args), path),
        "Images in [0, 1], channels last, of any size; masks 1 = keep.",
        "",
        f"Root mean square error of dropped pixels (pixels in [0, 1]), and mean probability that "
        f"{JUDGE} gives to the class that it sees in the whole picture; {len(job.test.labels)} "
        f"pictures that were not trained on, {config.side} x {config.side}:",
        "",
        *recovery.table(infill, job.test, classifier, KINDS),
        "",
        *card.provenance(config, job.command, card.epochs(job, steps), log),
        f"* {steps:,} steps: {alone:,} without the critic, {steps - alone:,} with it; the "
        f"perceptual loss from step {config.perceptual_from:,}.",
        "* The perceptual loss compares features of EfficientNet-Lite0 (Apache-2.0): judge its",
        "  infills by another network.",
    ]
    card.write(path.with_suffix(".md"), path.stem, lines)
