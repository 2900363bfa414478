"""Sanity check of any explainer: does its map change as the classifier forgets what it learned?

    python -m eval.run sanity-cascade --data-dir DATA --out runs/cascade
    python -m eval.run sanity-cascade --data-dir DATA --out runs/cascade_mnist \
        --classifier mnist --images tfds:mnist/test --methods gradient fido

After Adebayo et al. 2018: the classifier's layers are drawn anew from the top down, each on top of
those before, and each method explains the class that the trained classifier reads. A map that stays
as it was says nothing of what has been learned.

No layer drawn anew, but another seed of the method, is the ceiling; the maps of other pictures are
the floor, below which there is no need to fall. Structural similarity is that of absolute values,
each map brought to [0, 1]. The maps of a method and a level are stored when they are finished: a
stopped run goes on when started again. VarSal, which must be trained again for each classifier, has
a protocol of its own, `varsal-sanity`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rich

from eval.explainers import Setting, settings
from eval.protocols.sanity_cascade.report import write_report
from eval.protocols.varsal.randomise import cascade, level_title
from eval.report import progress_bars, terminal_table
from eval.store import Store
from eval.subject import draw, logits
from fidojax import explain_batch, networks
from fidojax.core import check_count, check_name
from fidojax.runs import digest

METHODS = (
    "gradient", "input_x_gradient", "integrated_gradients", "deconvnet", "guided_backprop",
    "grad_cam", "deeplift", "fido",
)  # fmt: skip


def sanity_cascade(
    out: Path,
    images: str = "tfds:tiny_imagenet40/validation",
    data_dir: Path | None = None,
    classifier: str = "tiny_imagenet40",
    weights: Path | None = None,
    methods: tuple[str, ...] = METHODS,
    levels: tuple[int, ...] = (1, 2, 4, 8),
    fido_steps: int = 30,
    batch: int = 8,
    limit: int = 50,
    seed: int = 0,
) -> None:
    """Adebayo et al. 2018: maps of a classifier whose layers are drawn anew from the top.

    Args:
        out: folder of the results; a stopped run goes on from there.
        images: a labelled set, as `fidojax.data.pictures` takes it.
        data_dir: where TFDS sets lie prepared.
        classifier: a name in `fidojax.networks.SHIPPED`.
        weights: a file with other weights for it.
        methods: rows of `eval.explainers.settings`.
        levels: how many layers are drawn anew; none and all are always there.
        fido_steps: of fido, which is the preset `fast` but for that.
        batch: pictures explained at once.
        limit: so many pictures, drawn at random.
        seed: seeds the choice of the pictures, the classifiers and the methods.
    """
    console = rich.get_console()
    check_name("classifier", classifier, networks.SHIPPED)
    check_count(fido_steps=fido_steps, batch=batch, limit=limit)
    for method in methods:
        check_name("methods", method, settings())
    model = networks.load(classifier, weights)
    depth, network = cascade(classifier, weights, model.classifier, seed)
    counts = sorted({0, depth, *(n for n in levels if 0 < n < depth)})
    drawn = draw(images, model, data_dir, limit, seed, console)
    store = Store(
        out,
        {
            "protocol": "sanity-cascade",
            "images": images,
            "pictures": f"{len(drawn.ids)} x {digest(drawn.images)}",
            "classifier": f"{classifier} {digest(model.classifier)}",
            "fido_steps": fido_steps,
            "batch": batch,
            "seed": seed,
        },
    )
    # Layers drawn anew, and the seed of the method: the reference alone has its own.
    work = {"reference": (0, seed)} | {f"{n:03d}": (n, seed + 1) for n in counts}
    waiting = [(m, part) for m in methods for part in work if not store.has(f"{m}.{part}")]
    console.print(
        f"{len(methods)} methods, {len(drawn.ids)} pictures; of the classifier's {depth} layers"
        f" are drawn anew, from the top: {', '.join(map(str, counts))}; {len(waiting)} of"
        f" {len(methods) * len(work)} parts to explain"
    )
    with progress_bars(console) as bars:
        for method, part in waiting:
            count, own = work[part]
            explained = explain_batch(
                settings()[method].method, network(count), drawn.images, drawn.predictions,
                options=_options(settings()[method], fido_steps), seed=own, ids=drawn.ids,
                batch_size=min(batch, len(drawn.ids)),
                progress=bars.task(f"{method} {part}", keep=False),
            )  # fmt: skip
            store.save(f"{method}.{part}", {"saliency": np.asarray(explained.saliency)})
    maps = {(m, part): store.load(f"{m}.{part}")[0]["saliency"] for m in methods for part in work}
    titles = {f"{n:03d}": level_title(n, depth) for n in counts}
    same = {
        titles[f"{n:03d}"]: logits(network(n), drawn.images).argmax(1) == drawn.predictions
        for n in counts
    }
    lines = write_report(store, drawn, maps, titles, same)
    console.print(terminal_table(lines, f"Agreement with the trained, {len(drawn.ids)} pictures"))
    console.print(f"Results in {out}")


def _options(setting: Setting, fido_steps: int) -> Mapping[str, Any]:
    steps = {"steps": fido_steps} if setting.method == "fido" else {}
    return {**setting.options, **steps}
