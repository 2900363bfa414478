"""VarSal's uncertainty: what it does on shifted pictures, and whether it tells how wrong a map is.

    python -m eval.run varsal-uncertainty --data-dir DATA --out runs/uncertainty

VarSal's Figure 7, which shows a few pictures, with numbers: the mean standard deviation of the map
on clean pictures and under ImageNet-C's brightness and motion blur at severities 1 to 5. Then its
correlation with two errors of the mean map, over pictures and over pixels: how far its ranking is
from that of FIDO maps of the same pictures, and how far the class probabilities move without its
lowest half of the pixels. FIDO's maps of two seeds tell how far a map is from its own twin.

Parts are stored as they are finished: a stopped run goes on when started again, and another
--encoder in the same --out takes FIDO's maps as they are.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import rich

from eval.protocols.varsal.corruptions import CORRUPTIONS, corrupted
from eval.protocols.varsal.uncertainty_report import Results, write_report
from eval.report import progress_bars, terminal_table
from eval.store import Store
from eval.subject import Drawn, draw
from fidojax import explain_batch, networks
from fidojax.core import check_count, check_name
from fidojax.engine import in_batches
from fidojax.methods import varsal
from fidojax.metrics import erasing
from fidojax.networks import Pretrained, load_encoder
from fidojax.presets import PRESETS
from fidojax.runs import digest
from fidojax.transforms.cpu import fast
from infillers import INFILLERS

CLEAN = ("clean", 0)
CONDITIONS = (CLEAN, *((name, severity) for name in CORRUPTIONS for severity in range(1, 6)))
ERASED = 0.5
"""Share of the pixels that are erased, the lowest of the map."""


def varsal_uncertainty(
    out: Path,
    images: str = "tfds:tiny_imagenet40/validation",
    data_dir: Path | None = None,
    classifier: str = "tiny_imagenet40",
    weights: Path | None = None,
    encoder: str | None = None,
    limit: int = 2000,
    batch: int = 32,
    fido_limit: int = 40,
    fido_seeds: tuple[int, ...] = (0, 1),
    preset: str = "paper",
    infill: str = "mean",
    group: int = 4,
    seed: int = 0,
) -> None:
    """VarSal Figure 7, and what its uncertainty is worth.

    Args:
        out: folder of the results; a stopped run goes on from there.
        images: a labelled set, as `fidojax.data.pictures` takes it.
        data_dir: where TFDS sets lie prepared.
        classifier: a name for `fidojax.networks.load`.
        weights: a file with other weights for it.
        encoder: a name or a file for `fidojax.networks.load_encoder`; the classifier's name if not
            given.
        limit: so many pictures, drawn at random.
        batch: pictures per compiled call.
        fido_limit: so many of them have FIDO maps, of the class that is read in them.
        fido_seeds: of those maps, at least two.
        preset: FIDO's, a name in `fidojax.presets.PRESETS`.
        infill: FIDO's, the name of an infiller.
        group: pictures that FIDO explains at once.
        seed: seeds the choice of the pictures and the motion's angles.
    """
    console = rich.get_console()
    check_name("preset", preset, PRESETS)
    check_name("infill", infill, INFILLERS)
    check_count(limit=limit, batch=batch, fido_limit=fido_limit, group=group)
    if len(set(fido_seeds)) < 2:
        raise ValueError(f"fido-seeds is {fido_seeds}, expected at least two different ones")
    model = networks.load(classifier, weights)
    model = model._replace(classifier=fast(model.classifier))
    network = load_encoder(encoder or classifier, size=model.size)
    drawn = draw(images, model, data_dir, limit, seed, console)
    infiller = INFILLERS[infill]()
    store = Store(
        out,
        {
            "protocol": "varsal-uncertainty",
            "images": images,
            "pictures": f"{len(drawn.ids)} x {digest(drawn.images)}",
            "classifier": f"{classifier} {digest(model.classifier)}",
            "preset": preset,
            "infill": f"{infill} {digest(infiller)}",
            "batch": batch,
            "group": group,
            "seed": seed,
        },
    )
    console.print(
        f"{len(drawn.ids)} pictures under {len(CONDITIONS)} conditions, and FIDO ({preset}, "
        f"{infill} infill) on {min(fido_limit, len(drawn.ids))} of them; finished parts stay"
    )
    measured = _conditions(store, drawn, model, network, batch, seed, console)
    options = PRESETS[preset] | {"infill": infiller}
    fido = _fido(store, drawn, model, options, fido_limit, fido_seeds, group, console)
    shared = len(fido[0])
    mean, deviation, *_ = _batched(network, model, drawn.images[:shared], batch)
    results = Results(
        encoder or classifier, digest(network), drawn, measured, mean, deviation, fido
    )

    def show(corruption: str, severity: int, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        pictures = _shifted(drawn, corruption, severity, rows, seed)
        return pictures, *_batched(network, model, pictures, batch)[:2]

    tables = write_report(store, results, show, [model.labels[label] for label in drawn.labels])
    for title, rows in tables.items():
        console.print(terminal_table(rows, title))
    console.print(f"Results in {out}")


def _conditions(
    store: Store, drawn: Drawn, model: Pretrained, network, batch: int, seed: int, console
) -> dict[tuple[str, int], dict[str, np.ndarray]]:
    """By condition what is measured of each picture, see `Results`."""
    groups = [np.arange(i, min(i + batch, len(drawn.ids))) for i in range(0, len(drawn.ids), batch)]
    mark = digest(network)
    measured = {}
    with progress_bars(console) as bars:
        tell = bars.task("VarSal")
        for number, (corruption, severity) in enumerate(CONDITIONS):
            names = []
            for index, rows in enumerate(groups):
                part = f"varsal-{mark}.{corruption}-{severity}.{rows[0]:05d}"
                if not store.has(part):
                    pictures = _shifted(drawn, corruption, severity, rows, seed)
                    mean, deviation, erased, logits = _batched(network, model, pictures, batch)
                    columns = {
                        "deviation": deviation.mean((1, 2)),
                        "spread": mean.std((1, 2)),
                        "erased": erased,
                        "logits": logits,
                    }
                    store.save(part, columns)
                names.append(part)
                tell(number * len(groups) + index + 1, len(CONDITIONS) * len(groups))
            measured[corruption, severity] = store.joined(names)
    return measured


def _fido(
    store: Store,
    drawn: Drawn,
    model: Pretrained,
    options: dict,
    limit: int,
    seeds: tuple[int, ...],
    group: int,
    console,
) -> list[np.ndarray]:
    """By seed the maps of the first pictures, "n h w"."""
    count = min(limit, len(drawn.ids))
    found = []
    with progress_bars(console) as bars:
        for seed in seeds:
            tell = bars.task(f"FIDO, seed {seed}")
            maps = []
            for first in range(0, count, group):
                rows = np.arange(first, first + group) % len(drawn.ids)  # whole groups, to be kept
                part = f"fido-{seed}.{first:05d}"
                if not store.has(part):
                    explained = explain_batch(
                        "fido", model.classifier, drawn.images[rows], drawn.predictions[rows],
                        options=options, seed=seed, ids=[drawn.ids[i] for i in rows],
                        batch_size=group,
                    )  # fmt: skip
                    store.save(part, {"saliency": np.asarray(explained.saliency)})
                maps.append(store.load(part)[0]["saliency"])
                tell(min(first + group, count), count)
            found.append(np.concatenate(maps)[:count])
    return found


def _shifted(
    drawn: Drawn, corruption: str, severity: int, rows: np.ndarray, seed: int
) -> np.ndarray:
    pictures = drawn.images[rows]
    if (corruption, severity) == CLEAN:
        return pictures
    scale = "tiny_imagenet" if min(pictures.shape[1:3]) < 128 else "imagenet"
    return corrupted(pictures, corruption, severity, ids=rows.tolist(), seed=seed, scale=scale)


def _batched(
    network, model: Pretrained, pictures: np.ndarray, batch: int
) -> tuple[np.ndarray, ...]:
    """What `_look` tells of any number of pictures, by batches of one shape."""
    return in_batches(
        lambda rows: _look(network, model.classifier, pictures[rows]), len(pictures), batch
    )


@jax.jit
def _look(network, classifier, pictures):
    """Mean, deviation, KL without the lowest half of the pixels, and logits."""

    def one(picture):
        # It draws nothing and asks no classifier.
        asked = jax.random.key(0), classifier, picture, 0
        mean, info = varsal(*asked, encoder=network)
        lost = erasing(*asked, mean, shares=(ERASED,)).curve[0]
        return mean, info.standard_deviation, lost

    return *jax.vmap(one)(jnp.asarray(pictures)), classifier(pictures)
