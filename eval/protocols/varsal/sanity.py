r"""Sanity check: does VarSal's encoder follow the classifier that it is trained for?

    python -m eval.run varsal-sanity --data-dir DATA --out runs/sanity
    python -m eval.run varsal-sanity --data-dir DATA --out runs/sanity_mnist --classifier mnist \
        --data tfds:mnist/test --train tfds:mnist/train

VarSal's Figure 4, after Adebayo et al. 2018: the classifier's layers are drawn anew from the top
down, and for each such classifier an encoder is trained from scratch, else it could not respond.
Its maps are compared with those of the trained classifier's encoder. The paper trains each for 10
epochs; here all have the same few steps, and narrower layers than the shipped ones.

An encoder of the trained classifier with another seed is the ceiling, and the maps of other
pictures are the floor. All encoders but the reference have that other seed. The gradient, which
needs no training, stands beside.

    DIR/results.zarr/encoders   the encoders' weights, stored as each is trained; shards share them
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import rich

from eval.intervals import means
from eval.ledgers import open_ledger
from eval.protocols.sanity_cascade.figures import by_level
from eval.protocols.sanity_cascade.likeness import Measure, classes, likeness
from eval.protocols.varsal.encoder_training import (
    encoder_columns,
    encoder_trainer,
    stored_encoder,
)
from eval.protocols.varsal.randomise import cascade, levels_of
from eval.report import progress_bars
from eval.report.reading import StoredRun
from eval.runner import conduct
from eval.study import Claim, Study, StudyRow
from eval.subject import StudyRun, Subject, defaults, load_subject
from fidojax import networks
from fidojax.core import check_count, check_name
from fidojax.data import BadPicture, pictures
from fidojax.methods import varsal
from fidojax.runs import Ledger, digest, find_ledger, parse_shard
from fidojax.types import Classifier, Encoder

MEASURES = {
    "spearman": Measure("Spearman", "spearman"),
    "ssim": Measure("SSIM", "ssim", scale="rank"),
}
"""Both see maps by rank."""
KINDS = ("varsal", "gradient")
REFERENCE = "trained"


class Training(NamedTuple):
    """How every encoder is trained.

    Attributes:
        data: the set of pictures.
        steps: steps of the optimiser.
        widths: channels of the encoders' hidden layers.
        learning_rate: the highest; a warm-up before, a cosine after it.
        sigma: of the blurred baseline, in pixels.
    """

    data: str
    steps: int
    widths: tuple[int, ...]
    learning_rate: float
    sigma: float


DEFAULTS = defaults(limit=200, batch_size=16)


def varsal_sanity(
    run: StudyRun = DEFAULTS,
    train: str = "tfds:tiny_imagenet40/train",
    levels: tuple[int, ...] = (1, 2, 4, 8),
    steps: int = 300,
    widths: tuple[int, ...] = (16,) * 8 + (8,) * 2,
    learning_rate: float = 2e-3,
    sigma: float = 3.0,
) -> None:
    """VarSal Figure 4: encoders of classifiers whose layers are drawn anew from the top.

    Args:
        run: where and on what; the classifier is a name in `fidojax.networks.SHIPPED`. A step of
            training takes `batch_size` pictures; no encoder sees a picture twice.
        train: the set that encoders are trained on.
        levels: how many layers are drawn anew; none and all are always there.
        steps: steps of each encoder's training.
        widths: channels of the encoders' hidden layers.
        learning_rate: the highest; a warm-up before, a cosine after it.
        sigma: of the blurred baseline, in pixels.
    """
    check_name("classifier", run.classifier, networks.SHIPPED)
    check_count(steps=steps)
    of = load_subject(run)
    trained = networks.load(run.classifier, run.weights).classifier
    depth, network = cascade(run.classifier, run.weights, trained, run.seed)
    titles = levels_of(levels, depth)
    training = Training(train, steps, widths, learning_rate, sigma)
    # By row of the ledger: the encoder's classifier and seed.
    work = {0: (trained, run.seed)}
    work |= {count + 1: (network(count), run.seed + 1) for count in titles.values()}
    ledger = _encoders(run, of, training, work, depth)
    if ledger is None:
        return
    encoders = {row: stored_encoder(ledger, row, of.model.size[2], widths) for row in work}
    rows, lines = _rows(encoders, titles, {count: work[count + 1][0] for count in titles.values()})
    losses = {title: ledger.read("losses", [count + 1])[0] for title, count in titles.items()}
    kinds = {"likeness": likeness(MEASURES), "classes": classes()}
    first, *others = titles
    study = Study(
        name="varsal-sanity",
        title="VarSal Figure 4: encoders of classifiers whose layers are drawn anew",
        reference="VarSal, Variational saliency maps for explaining model's behavior",
        about=(
            f"Of the classifier's {depth} layers {', '.join(map(str, titles.values()))} are drawn "
            f"anew, from the top; an encoder of each such classifier is trained for {steps} steps. "
            "Its maps, by rank, are compared with those of the trained classifier's encoder."
        ),
        rows=rows,
        scores=kinds,
        numbers=[key for kind in kinds.values() for key in kind.numbers],
        claims=[
            Claim(lines["varsal"][title], lines["varsal"][first], key, "Figure 4")
            for title in others
            for key in MEASURES
        ],
        reading=(
            f"{lines['varsal'][first]} is the ceiling: another seed of training. Above other "
            "pictures: less the agreement of the reference's maps of two pictures, the floor.",
            "An encoder that is not retrained agrees with itself, whatever the classifier.",
        ),
        gallery="spearman",
        gallery_rows=[*lines["varsal"].values()],
        tables=lambda found: {"Encoders": _table(found, lines["varsal"], losses)},
        figures=lambda found, folder: by_level(folder / "sanity.png", found, lines, [*MEASURES]),
    )
    chosen = {
        "train": train, "levels": levels, "steps": steps, "widths": widths,
        "learning_rate": learning_rate, "sigma": sigma,
    }  # fmt: skip
    conduct(study, run, of, chosen)


def _rows(
    encoders: Mapping[int, Encoder], titles: Mapping[str, int], networks: Mapping[int, Classifier]
) -> tuple[dict[str, StudyRow], dict[str, dict[str, str]]]:
    """The rows of the study, and by kind the names of those with layers drawn anew by title."""
    lines = {kind: {title: f"{kind} {title}" for title in titles} for kind in KINDS}
    rows = {}
    for kind, method in zip(KINDS, (varsal, "gradient"), strict=True):
        reference = f"{kind} {REFERENCE}"
        row = StudyRow(method, {}, kind, like=reference, targets="prediction")
        own = {"encoder": encoders[0]} if kind == "varsal" else {}
        rows[reference] = row._replace(options=own)
        for title, count in titles.items():
            own = {"encoder": encoders[count + 1]} if kind == "varsal" else {}
            changed = networks[count] if count else None
            rows[lines[kind][title]] = row._replace(options=own, classifier=changed)
    return rows, lines


def _encoders(
    run: StudyRun,
    of: Subject,
    training: Training,
    work: Mapping[int, tuple[Classifier, int]],
    depth: int,
) -> Ledger | None:
    """The ledger of all encoders, trained where they are missing; None where some are not there.

    Args:
        work: classifier and seed of each encoder, by row of the ledger.
        depth: number of layers of the classifier.
    """
    console = rich.get_console()
    settings = training._asdict() | {
        "classifier": f"{run.classifier} {digest(of.model.classifier)}",
        "batch_size": run.batch_size,
        "seed": run.seed,
    }
    path, count = run.out / "results.zarr" / "encoders", depth + 2
    shard = parse_shard(run.shard)
    if run.dry_run:
        found = find_ledger(path, settings)
        waiting = [row for row in work if found is None or row in found.missing()]
        if waiting:
            console.print(f"{len(waiting)} encoders to train first, {training.steps} steps each")
            return None
        return found
    ledger = open_ledger(path, count, settings, shard, chunk=1)
    waiting = [row for row in ledger.missing(shard).tolist() if row in work]
    console.print(
        f"{len(work)} encoders of {training.steps} steps, {len(waiting)} of them to train here"
    )
    if waiting:
        pool = _pool(training.data, of.model.size, run, training.steps * run.batch_size)
        fit = encoder_trainer(
            of.model.size[2], training.widths, training.steps, training.learning_rate,
            training.sigma,
        )  # fmt: skip
        with progress_bars(console) as bars:
            for row in waiting:
                classifier, seed = work[row]
                name = f"layers drawn anew: {row - 1}" if row else REFERENCE
                encoder, losses = fit(seed, classifier, pool, bars.task(name))
                ledger.write([row], [name], encoder_columns(encoder) | {"losses": losses[None]})
    if set(work) & set(ledger.missing().tolist()):
        console.print("some encoders belong to other shards; run this again when those are done")
        return None
    return ledger


def _pool(source: str, size: tuple[int, int, int], run: StudyRun, count: int) -> np.ndarray:
    """`count` pictures in random order, uint8."""
    found = [
        np.rint(255 * picture.image).astype(np.uint8)
        for picture in pictures([source], size, run.data_dir)
        if not isinstance(picture, BadPicture)
    ]
    if len(found) < count:
        raise ValueError(
            f"train: {source} has {len(found)} pictures, expected steps x batch size, {count}"
        )
    order = np.random.default_rng(run.seed).permutation(len(found))
    return np.stack([found[i] for i in order[:count]])


def _table(
    run: StoredRun, lines: Mapping[str, str], losses: Mapping[str, np.ndarray]
) -> list[dict[str, str]]:
    """By level the difference to the ceiling, and what there was for the encoder to explain."""
    ceiling = next(iter(lines.values()))
    found = []
    for title, row in lines.items():
        line = {"layers drawn anew": title}
        for key, measure in MEASURES.items():
            apart = run.values(key, row) - run.values(key, ceiling)
            line[f"{measure.label} - ceiling"] = means(apart[:, None])[0].text(signed=True)
        logits = run.scored["classes", row].read("logits")
        last = losses[title][-max(1, len(losses[title]) // 10) :]
        found.append(
            line
            | {
                "same class": f"{run.values('same', row).mean():.0%}",
                "spread of logits": f"{logits.std(axis=0).mean():.2f}",
                "loss": f"{last.mean():.2f}",
            }
        )
    return found
