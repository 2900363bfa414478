"""VarSal's uncertainty: what it does on shifted pictures, and whether it tells how wrong a map is.

    python -m eval.run varsal-uncertainty --data-dir DATA --out runs/uncertainty

VarSal's Figure 7, which shows a few pictures, with numbers: the mean standard deviation of the map
on clean pictures and under ImageNet-C's brightness and motion blur at severities 1 to 5. Then its
correlation with two errors of the mean map, over pictures and over pixels: how far its ranking is
from that of FIDO maps of the same pictures, and how far the class probabilities move without its
lowest half of the pixels. FIDO's maps of two seeds tell how far a map is from its own twin.

Another --encoder in the same --out has rows of its own and takes FIDO's maps as they are.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from eval import scores
from eval.protocols.varsal.corruptions import CORRUPTIONS, corrupted
from eval.protocols.varsal.uncertainty_figures import draw
from eval.protocols.varsal.uncertainty_report import CLEAN, Names, tables, title_of
from eval.runner import conduct
from eval.scores import Number
from eval.study import Study, StudyRow
from eval.subject import StudyRun, Subject, defaults, load_subject
from fidojax.core import check_count, check_name
from fidojax.data import Picture
from fidojax.methods import varsal
from fidojax.metrics import erasing
from fidojax.networks import load_encoder
from fidojax.presets import PRESETS
from fidojax.types import Encoder, Explanation, Image, Saliency, Scalar
from infillers import make_infill

CONDITIONS = (CLEAN, *((name, severity) for name in CORRUPTIONS for severity in range(1, 6)))
"""Corruption and severity."""
ERASED = 0.5
"""Share of the pixels that are erased, the lowest of the map."""
NUMBERS = {
    "deviation": Number("mean standard deviation", "none", 3, "mean_deviation"),
    "spread": Number("spread of the mean map", "none", 3, "spread"),
    "relative": Number("deviation / spread", "none", 3, "relative"),
    "erased": Number("KL without the lowest half", "low", 3, "erased", unit="nats"),
    "confidence": Number("probability of the class", "none", 3, "confidence"),
    "accuracy": Number("accuracy", "none", 3, "accuracy"),
}
DEFAULTS = defaults(batch_size=32)


def varsal_uncertainty(
    run: StudyRun = DEFAULTS,
    encoder: str | None = None,
    fido_limit: int = 40,
    fido_seeds: tuple[int, ...] = (0, 1),
    fido_batch_size: int = 4,
    preset: str = "paper",
    infill: str = "mean",
) -> None:
    """VarSal Figure 7, and what its uncertainty is worth.

    Args:
        run: where and on what.
        encoder: a name or a file for `fidojax.networks.load_encoder`; the classifier's name if not
            given.
        fido_limit: number of pictures that have FIDO maps, of the class that is read in them.
        fido_seeds: seeds of those maps, at least two.
        fido_batch_size: pictures per compiled call of FIDO.
        preset: FIDO's, a name in `fidojax.presets.PRESETS`.
        infill: FIDO's, the name of an infiller.
    """
    check_name("preset", preset, PRESETS)
    fill = make_infill(infill, "infill")
    check_count(fido_limit=fido_limit, fido_batch_size=fido_batch_size)
    if len(set(fido_seeds)) < 2:
        raise ValueError(f"fido-seeds is {fido_seeds}, expected at least two different ones")
    of = load_subject(run)
    network = load_encoder(encoder or run.classifier, size=of.model.size)
    own = "varsal" if encoder in (None, run.classifier) else f"varsal {Path(encoder).stem}"
    options = PRESETS[preset] | {"infill": fill}
    rows = {
        f"{own} {title_of(*condition)}": _row(of, network, condition, run.seed)
        for condition in CONDITIONS
    }
    names = Names(
        dict(zip(CONDITIONS, rows, strict=True)), [f"fido seed {seed}" for seed in fido_seeds]
    )
    for name, seed in zip(names.fido, fido_seeds, strict=True):
        rows[name] = StudyRow(
            "fido", options, "FIDO", f"preset {preset}, {infill} infill",
            limit=min(fido_limit, len(of.drawn.ids)), seed=seed - run.seed, targets="prediction",
            scores=(), batch_size=fido_batch_size,
        )  # fmt: skip
    study = Study(
        name="varsal-uncertainty",
        title="VarSal Figure 7: the uncertainty as numbers, and what it is worth",
        reference="VarSal, Variational saliency maps for explaining model's behavior",
        about=(
            "The standard deviation of VarSal's map, mean over pixels, on clean and on shifted "
            "pictures (brightness and motion blur of ImageNet-C), and its correlation with two "
            "errors of the mean map: its distance to FIDO's ranking, and the divergence of the "
            "class probabilities without its lowest half of the pixels."
        ),
        rows=rows,
        scores={"shift": scores.recorded(NUMBERS)},
        numbers=[*NUMBERS],
        reading=(
            "Only the order of a map is trained and its scale is free: deviation / spread is in "
            "units of the mean map's standard deviation over its pixels.",
        ),
        gallery="relative",
        gallery_rows=[names.clean],
        tables=partial(tables, names=names),
        figures=partial(draw, names=names, shifted=partial(_shifted, of, run.seed)),
    )
    chosen = {
        "encoder": encoder, "fido_limit": fido_limit, "fido_seeds": fido_seeds,
        "fido_batch_size": fido_batch_size, "preset": preset, "infill": infill,
    }  # fmt: skip
    conduct(study, run, of, chosen)


class Seen(NamedTuple):
    """What is measured of a picture beside its map.

    Attributes:
        standard_deviation: "h w", of the posterior.
        mean_deviation: its mean over pixels.
        spread: standard deviation of the mean map over its pixels.
        relative: mean_deviation / spread.
        erased: KL without the lowest half of the pixels, in nats.
        confidence: the highest class probability.
        accuracy: 1 where the classifier reads the true class, else 0.
    """

    standard_deviation: Saliency
    mean_deviation: Scalar
    spread: Scalar
    relative: Scalar
    erased: Scalar
    confidence: Scalar
    accuracy: Scalar


def uncertain(key, classifier, image, target, *, encoder: Encoder, picture: Image) -> Explanation:
    """VarSal's mean map of `picture`, a shifted `image` of class `target`, with a `Seen`."""
    mean, info = varsal(key, classifier, picture, target, encoder=encoder)
    deviation, spread = info.standard_deviation.mean(), mean.std()
    logits = classifier(picture[None])[0]
    seen = Seen(
        info.standard_deviation,
        deviation,
        spread,
        deviation / spread,
        erasing(key, classifier, picture, target, mean, shares=(ERASED,)).curve[0],
        jax.nn.softmax(logits).max(),
        (logits.argmax() == target).astype(mean.dtype),
    )
    return Explanation(mean, seen)


def numbers(info: Seen) -> dict[str, np.ndarray]:
    """The columns of `NUMBERS`, of a batch."""
    return {number.column: getattr(info, number.column) for number in NUMBERS.values()}


def _row(of: Subject, encoder: Encoder, condition: tuple[str, int], seed: int) -> StudyRow:
    places = {name: at for at, name in enumerate(of.drawn.ids)}

    def each(batch: Sequence[Picture]) -> Mapping[str, Any]:
        rows = np.array([places[picture.id] for picture in batch])
        return {"picture": _shifted(of, seed, *condition, rows)}

    return StudyRow(uncertain, {"encoder": encoder}, "VarSal", each=each, record=numbers)


def _shifted(
    of: Subject, seed: int, corruption: str, severity: int, rows: np.ndarray
) -> np.ndarray:
    """Some pictures of the run under a condition."""
    pictures = of.drawn.images[rows]
    if (corruption, severity) == CLEAN:
        return pictures
    scale = "tiny_imagenet" if min(pictures.shape[1:3]) < 128 else "imagenet"
    return corrupted(pictures, corruption, severity, ids=rows.tolist(), seed=seed, scale=scale)
