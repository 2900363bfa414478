"""The classifier of a command: the one that was asked for, or the default."""

from fidojax.cli.explainer import LOADERS
from fidojax.cli.options import Explain
from fidojax.core import similar, suggest
from fidojax.methods import METHOD_ROWS
from fidojax.networks import PACKAGED, SHIPPED, Pretrained, applications, load, packaged_weights
from fidojax.transforms import cpu
from infillers import INFILLER_ROWS, parse_infill

IMAGENET = "efficientnet_lite0"
"""The default where its package is installed."""
SMALL = "tiny_imagenet40"
"""The default elsewhere, and for what is trained for it."""


def classifier_name(asked: Explain) -> str:
    """Return the name of the classifier; that of the default if none is given.

    Weights and explainers fit one network, and some learned infillers its pictures. Those that are
    shipped, and those that this project's programs train by default, fit the small one.

    Raises:
        ValueError: there is no such classifier.
    """
    name = asked.classifier
    if name is None:
        needs = METHOD_ROWS[asked.method].required
        fitted = asked.weights is not None or any(option in LOADERS for option in needs)
        rows = [INFILLER_ROWS[parse_infill(name)[0]] for name in asked.infill]
        fitted |= any(row.fits == SMALL for row in rows)
        return SMALL if fitted or packaged_weights(IMAGENET) is None else IMAGENET
    known = [*SHIPPED, *PACKAGED]
    if not name.startswith("keras:") and name not in known:
        if not similar(name, known):  # importing Keras takes seconds
            known += [f"keras:{other}" for other in applications()]
        clause = suggest(name, known)
        other = "" if "keras:" in clause else " (or keras:NAME)"
        raise ValueError(f"--classifier: there is no {name!r}; {clause}{other}")
    return name


def load_classifier(asked: Explain, name: str) -> Pretrained:
    """Load the classifier of a command; with `rewrite`, in the fast form for CPUs.

    Raises:
        ValueError: its weights are missing or do not fit, or it has no such layer.
    """
    try:
        pretrained = load(name, asked.weights, layer=asked.layer)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"--classifier {name}: {reason}") from error
    if not asked.rewrite:
        return pretrained
    return pretrained._replace(classifier=cpu.fast(pretrained.classifier))
