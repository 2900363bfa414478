"""VarSal's Figures 3, 5a and 6: which map keeps the decision when the lowest pixels go?

    python -m eval.run varsal-erasing --data-dir DATA --out runs/erasing

The pixels that a map ranks lowest are erased, 10% to 90% of them, and KL(P(x) || P(x erased)) is
compared on the same pictures. Maps are of the predicted class, as in the paper; VarSal's are of all
classes. Beside the paper's control, a random order, stands "center": pixels by their distance to
the middle, which any map that likes the middle must beat.

Parts are stored as they are finished, per ranking and group of pictures: a stopped run goes on when
started again, and maps of another encoder are measured anew. `fidojax bench` has Figure 5b.
"""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import rich

from eval.protocols.varsal.erasing_figures import curves, priors, samples
from eval.protocols.varsal.erasing_report import Results, write_report
from eval.protocols.varsal.rankings import Ranking, cheap, fido, pda
from eval.report import progress_bars
from eval.store import Store
from eval.subject import draw
from fidojax import explain_batch, networks
from fidojax.core import check_count, check_name, rank
from fidojax.methods import varsal
from fidojax.metrics import ERASED, SHARES, erasing
from fidojax.networks import load_encoder
from fidojax.runs import digest
from fidojax.transforms.cpu import fast
from fidojax.types import Images

SHOWN = 8
"""Pictures in a gallery, the first ones."""
DRAWN = 3
"""Sampled maps of each in Figure 6."""


def varsal_erasing(
    out: Path,
    images: str = "tfds:tiny_imagenet40/validation",
    data_dir: Path | None = None,
    classifier: str = "tiny_imagenet40",
    weights: Path | None = None,
    encoder: str = "tiny_imagenet40",
    standard: str | None = None,
    erased: str = "black",
    preset: str = "fast",
    limit: int | None = None,
    fido_limit: int = 100,
    pda_limit: int = 100,
    batch: int = 16,
    seed: int = 0,
) -> None:
    """VarSal Figures 3, 5a and 6: the lowest pixels of each map are erased.

    Args:
        out: folder of the results; a stopped run goes on from there.
        images: a labelled set, as `fidojax.data.pictures` takes it.
        data_dir: where TFDS sets lie prepared.
        classifier: a name for `fidojax.networks.load`.
        weights: a file with other weights for it.
        encoder: VarSal's, trained with the soft-TV prior; a name or file for
            `fidojax.networks.load_encoder`.
        standard: one trained with the standard normal prior; its rows are left out if not given.
        erased: what erased pixels become, a name in `fidojax.metrics.erasing.ERASED`.
        preset: FIDO's, a name in `fidojax.presets.PRESETS`.
        limit: so many pictures, drawn at random; all if not given.
        fido_limit: so many of them are explained by FIDO; 0 leaves it out.
        pda_limit: so many of them are explained by PDA; 0 leaves it out.
        batch: pictures per compiled call.
        seed: seeds the choice of the pictures and what is drawn for them.
    """
    console = rich.get_console()
    check_name("erased", erased, ERASED)
    check_count(batch=batch)
    encoders = {"varsal": load_encoder(encoder)}
    if standard is not None:
        encoders["standard"] = load_encoder(standard)
    model = networks.load(classifier, weights)
    network = fast(model.classifier)
    everything = draw(images, model, data_dir, None, seed, console)
    ids, shown = everything.ids[:limit], everything.images[:limit]
    targets = everything.predictions[:limit]
    store = Store(
        out,
        {
            "protocol": "varsal-erasing",
            "images": images,
            "pictures": f"{len(ids)} x {digest(shown)}",
            "classifier": f"{classifier} {digest(model.classifier)}",
            "erased": erased,
            "batch": batch,
            "seed": seed,
        },
    )
    rankings = cheap(encoders)
    if fido_limit:
        rankings["fido"] = fido(preset, min(fido_limit, len(ids)))
    if pda_limit:
        rankings["pda"] = pda(everything.images, seed, min(pda_limit, len(ids)))
    work = {
        (name, i): _part(name, ranking, i, min(i + batch, ranking.limit or len(ids)))
        for name, ranking in rankings.items()
        for i in range(0, ranking.limit or len(ids), batch)
    }
    waiting = [item for item in work if not store.has(work[item])]
    console.print(
        f"{', '.join(rankings)} on {len(ids)} pictures; {len(waiting)} of {len(work)} parts to run"
    )
    with progress_bars(console) as bars:
        total = bars.add_task("all parts", total=len(waiting))
        for name, first in waiting:
            ranking = rankings[name]
            last = min(first + batch, ranking.limit or len(ids)) - 1
            # The last group is filled up, so that one program serves all.
            rows = np.minimum(np.arange(first, first + batch), last)
            maps = explain_batch(
                ranking.method, network, shown[rows], targets[rows], options=ranking.options,
                seed=seed, ids=[ids[i] for i in rows], batch_size=batch,
            ).saliency  # fmt: skip
            judged = _judge(erased, network, shown[rows], maps)
            arrays = {key: np.asarray(value)[: last + 1 - first] for key, value in judged.items()}
            store.save(work[name, first], arrays)
            bars.advance(total)
    measured = {
        name: store.joined(part for (ranking, _), part in work.items() if ranking == name)
        for name in rankings
    }
    results = Results(ids, SHARES, measured, {name: digest(e) for name, e in encoders.items()})
    summary, tables = write_report(store, results)
    curves(store.out / "curves.png", results, summary)
    some = shown[:SHOWN]
    captions = [model.labels[target] for target in targets[:SHOWN]]
    maps = {
        name: explain_batch(
            varsal, network, some, targets[:SHOWN], seed=seed, ids=ids[:SHOWN],
            options={"encoder": each, "samples": DRAWN}, batch_size=len(some),
        )
        for name, each in encoders.items()
    }  # fmt: skip
    priors(store.out / "priors.png", some, captions, maps)
    samples(store.out / "samples.png", some, captions, maps["varsal"], ERASED[erased])
    for table in tables:
        console.print(table)
    console.print(f"Results in {out}")


@partial(jax.jit, static_argnums=0)
def _judge(erased, classifier, images: Images, maps):
    def judge(image, saliency):
        # It draws nothing and takes all classes alike.
        curve = erasing(jax.random.key(0), classifier, image, 0, saliency, erased=erased).curve
        return {"curve": curve, "roughness": roughness(saliency)}

    return jax.vmap(judge)(images, maps)


def roughness(saliency: jax.Array) -> jax.Array:
    """Mean distance of neighbours in rank, as a share of the pixels: 1/3 of a random map."""
    place = rank(saliency) / saliency.size
    steps = [jnp.abs(jnp.diff(place, axis=axis)) for axis in (0, 1)]
    return jnp.concatenate([step.ravel() for step in steps]).mean()


def _part(name: str, ranking: Ranking, first: int, stop: int) -> str:
    """Other options or weights are another part: their fingerprint is in its name."""
    return f"{name.replace(' ', '_')}-{digest(dict(ranking.options))}.{first:05d}-{stop - 1:05d}"
