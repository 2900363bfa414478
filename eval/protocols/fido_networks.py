"""FIDO's Figure 9: the same pictures explained for several networks.

    python -m eval.run fido-networks --classifier keras:ResNet50 --others keras:VGG16 \
        keras:MobileNetV2 --data tfds:imagenet_v2 --data-dir DATA --limit 24 --out runs/networks

The pictures are those that the first network reads right. All networks take pictures of its size
and have its classes.
"""

from pathlib import Path

from eval.protocols.fido_ablations import fido_row, sweep
from eval.study import StudyRow
from eval.subject import StudyRun
from fidojax import networks
from fidojax.transforms.cpu import fast


def fido_networks(
    run: StudyRun,
    others: tuple[str, ...],
    infill: tuple[str, ...] = ("mean", "ca"),
    preset: str = "fast",
) -> None:
    """FIDO Figure 9: maps of the same pictures for several networks.

    Args:
        run: where and on what; its classifier is the first network.
        others: further ones, as `fidojax.networks.load` takes them: NAME, or NAME=FILE with other
            weights.
        infill: of FIDO.
        preset: a name in `fidojax.presets.PRESETS`.
    """
    first = networks.load(run.classifier, run.weights)
    title = run.classifier.removeprefix("keras:")
    own = {fill: f"{title} {fill}" for fill in infill}
    rows: dict[str, StudyRow] = {
        own[fill]: fido_row(fill, preset, like=own[fill]) for fill in infill
    }
    for text in others:
        name, _, weights = text.partition("=")
        other = networks.load(name, weights or None)
        if (other.size, len(other.labels)) != (first.size, len(first.labels)):
            raise ValueError(
                f"others: {text} takes pictures of {other.size} and has {len(other.labels)} "
                f"classes, expected {first.size} and {len(first.labels)} as {run.classifier} has"
            )
        network = fast(other.classifier)
        title = " ".join((name.removeprefix("keras:"), Path(weights).stem)).strip()
        rows |= {
            f"{title} {fill}": fido_row(fill, preset, like=own[fill])._replace(
                classifier=network, group=name
            )
            for fill in infill
        }
    sweep(
        run, "fido-networks", "FIDO Figure 9: several networks",
        "The same pictures and classes, explained for several networks. Each map is judged by the "
        "network that it explains; likeness is to the first network's maps.",
        rows, {"others": others, "infill": infill, "preset": preset},
    )  # fmt: skip
