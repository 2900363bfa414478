"""Sanity check: does VarSal's encoder follow the classifier that it is trained for?

    python -m eval.run varsal-sanity --data-dir DATA --out runs/sanity
    python -m eval.run varsal-sanity --data-dir DATA --out runs/sanity_mnist --classifier mnist \
        --images tfds:mnist/test --train tfds:mnist/train

VarSal's Figure 4, after Adebayo et al. 2018: the classifier's layers are drawn anew from the top
down, and for each such classifier an encoder is trained from scratch, else it could not respond.
Its maps are compared with those of the trained classifier's encoder. The paper trains each for 10
epochs; here all have the same few steps, and narrower layers than the shipped ones.

An encoder of the trained classifier with another seed is the ceiling, and the maps of other
pictures are the floor. All encoders but the reference have that other seed. The gradient, which
needs no training, stands beside.

A finished encoder is stored: a stopped run goes on when started again.
"""

from pathlib import Path

import numpy as np
import rich

from eval.protocols.varsal.encoder_training import encoder_trainer
from eval.protocols.varsal.randomise import cascade
from eval.protocols.varsal.sanity_report import Maps, write_report
from eval.report import progress_bars, terminal_table
from eval.store import Store
from eval.subject import draw, logits
from fidojax import explain_batch, networks
from fidojax.core import check_count, check_name
from fidojax.data import BadPicture, pictures
from fidojax.runs import digest

REFERENCE = "reference"


def varsal_sanity(
    out: Path,
    images: str = "tfds:tiny_imagenet40/validation",
    train: str = "tfds:tiny_imagenet40/train",
    data_dir: Path | None = None,
    classifier: str = "tiny_imagenet40",
    weights: Path | None = None,
    levels: tuple[int, ...] = (1, 2, 4, 8),
    steps: int = 300,
    batch: int = 16,
    widths: tuple[int, ...] = (16,) * 8 + (8,) * 2,
    learning_rate: float = 2e-3,
    sigma: float = 3.0,
    limit: int = 200,
    seed: int = 0,
) -> None:
    """VarSal Figure 4: encoders of classifiers whose layers are drawn anew from the top.

    Args:
        out: folder of the results; a stopped run goes on from there.
        images: a labelled set whose maps are compared, as `fidojax.data.pictures` takes it.
        train: the set that encoders are trained on.
        data_dir: where TFDS sets lie prepared.
        classifier: a name in `fidojax.networks.SHIPPED`.
        weights: a file with other weights for it.
        levels: how many layers are drawn anew; none and all are always there.
        steps: of each encoder's training.
        batch: pictures of a step; no encoder sees a picture twice.
        widths: channels of the encoders' hidden layers.
        learning_rate: the highest; a warm-up before, a cosine after it.
        sigma: of the blurred baseline, in pixels.
        limit: so many pictures, drawn at random.
        seed: seeds the choice of the pictures, the classifiers and the encoders.
    """
    console = rich.get_console()
    check_name("classifier", classifier, networks.SHIPPED)
    check_count(steps=steps, batch=batch, limit=limit)
    shipped = networks.SHIPPED[classifier]
    model = networks.load(classifier, weights)
    depth, redrawn = cascade(classifier, weights, model.classifier, seed)
    counts = sorted({0, depth, *(n for n in levels if 0 < n < depth)})
    drawn = draw(images, model, data_dir, limit, seed, console)
    store = Store(
        out,
        {
            "protocol": "varsal-sanity",
            "images": images,
            "pictures": f"{len(drawn.ids)} x {digest(drawn.images)}",
            "train": train,
            "classifier": f"{classifier} {digest(model.classifier)}",
            "steps": steps,
            "batch": batch,
            "widths": widths,
            "learning_rate": learning_rate,
            "sigma": sigma,
            "seed": seed,
        },
    )
    # Name of the part -> layers drawn anew, seed of the encoder.
    work = {REFERENCE: (0, seed)} | {f"level-{n:03d}": (n, seed + 1) for n in counts}
    waiting = {name: what for name, what in work.items() if not store.has(name)}
    console.print(
        f"{len(work)} encoders of {steps} steps, {len(waiting)} of them to train; the classifier's "
        f"{depth} layers are drawn anew from the top: {', '.join(map(str, counts))}"
    )
    pool = _pool(train, shipped.size, data_dir, steps * batch, seed) if waiting else np.zeros(0)
    fit = encoder_trainer(shipped.size[2], widths, steps, learning_rate, sigma)
    with progress_bars(console) as bars:
        for name, (count, own) in waiting.items():
            network = redrawn(count)
            encoder, losses = fit(own, network, pool, bars.task(name))
            gradients = explain_batch(
                "gradient", network, drawn.images, drawn.predictions, batch_size=min(batch, limit)
            ).saliency
            columns = {
                "maps": logits(encoder, drawn.images),
                "gradients": gradients,
                "logits": logits(network, drawn.images),
                "losses": losses,
            }
            store.save(name, columns)
    found = {name: Maps(**store.load(name)[0]) for name in work}
    reference = found.pop(REFERENCE)
    named = [model.labels[label] for label in drawn.labels]
    levelled = {count: found[f"level-{count:03d}"] for count in counts}
    lines = write_report(store, drawn, named, reference, levelled, depth)
    console.print(terminal_table(lines, f"Agreement with the reference, {len(drawn.ids)} pictures"))
    console.print(f"Results in {out}")


def _pool(
    source: str, size: tuple[int, int, int], data_dir: Path | None, count: int, seed: int
) -> np.ndarray:
    """So many pictures in random order, uint8."""
    found = [
        np.rint(255 * picture.image).astype(np.uint8)
        for picture in pictures([source], size, data_dir)
        if not isinstance(picture, BadPicture)
    ]
    if len(found) < count:
        raise ValueError(
            f"train: {source} has {len(found)} pictures, expected steps x batch, {count}"
        )
    return np.stack([found[i] for i in np.random.default_rng(seed).permutation(len(found))[:count]])
