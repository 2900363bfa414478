"""Nonlinear saliency maps, Figures 1 to 4, and what they claim as numbers over many pictures.

    python -m eval.run nonlinear-figures PHOTOS --classifier keras:MobileNetV2 --weights FILE \
        --out runs/nonlinear

For the two most probable classes of every picture: how high the class's probability rises while
what matters least is blurred and the rest enhanced, where it reaches its plateau, what the map with
the frozen gradient does, and what is left when only the most salient pixels are blurred.

Parts are stored picture by picture: a stopped run goes on when started again.
"""

import json
from pathlib import Path

import numpy as np
import rich

from eval.intervals import difference, interval
from eval.report import markdown_table, progress_bars, terminal_table
from eval.store import Store
from eval.subject import forward
from fidojax import networks
from fidojax.core import check_count
from fidojax.data import IMAGENET_CROP, BadPicture, pictures
from fidojax.engine import compare_maps
from fidojax.methods import Comparison
from fidojax.runs import digest, write_text
from fidojax.transforms.cpu import fast
from fidojax.viz import nonlinear

NUMBERS = {
    "original": "p on the picture",
    "highest": "highest p",
    "last": "p at 95% blurred",
    "threshold": "share blurred at the plateau",
    "removed": "p, top 5% blurred",
}


def nonlinear_figures(
    source: str,
    out: Path,
    data_dir: Path | None = None,
    classifier: str = "tiny_imagenet40",
    weights: Path | None = None,
    limit: int = 24,
    classes: int = 2,
    steps: int = 95,
    step_size: float = 0.01,
    sigma: float = 1.0,
    drawn: int = 8,
    seed: int = 0,
) -> None:
    """Nonlinear saliency maps, Figures 1 to 4: nonlinear against linear, the top classes.

    Args:
        source: pictures, as `fidojax.data.pictures` takes them.
        out: folder of the results; a stopped run goes on from there.
        data_dir: where TFDS sets lie prepared.
        classifier: a name for `fidojax.networks.load`.
        weights: a file with other weights for it.
        limit: the first so many pictures.
        classes: so many most probable ones of each picture.
        steps: of the trajectory.
        step_size: enhancement of a step.
        sigma: of a step's blur, in pixels.
        drawn: so many pictures have their four figures drawn.
        seed: of nothing but the keys; the method draws nothing.
    """
    check_count(limit=limit, classes=classes, steps=steps)
    console = rich.get_console()
    model = networks.load(classifier, weights)
    network = fast(model.classifier)
    options = {"steps": steps, "step_size": step_size, "sigma": sigma}
    store = Store(
        out,
        {
            "protocol": "nonlinear-figures",
            "source": source,
            "classifier": f"{classifier} {digest(model.classifier)}",
            "options": options,
            "classes": classes,
        },
    )
    crop = IMAGENET_CROP if classifier.startswith("keras:") else 1.0
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    with progress_bars(console) as bars:
        task = bars.add_task("pictures", total=limit)
        for picture in pictures([source], model.size, data_dir, crop=crop):
            if isinstance(picture, BadPicture):
                console.print(f"left out {picture}", markup=False, soft_wrap=True)
                continue
            part = f"{len(found):04d}"
            if not store.has(part):
                top = np.argsort(-np.asarray(forward(network, picture.image[None])[0]))[:classes]
                names = [model.labels[i] for i in top]
                both = compare_maps(
                    network, picture.image, top, options=options, seed=seed, name=picture.id
                )
                if len(found) < drawn:
                    _draw(out / "figures", part, picture.image, both, names)
                store.save(part, {}, id=picture.id, names=names, numbers=_numbers(both))
            found[picture.id] = store.record(part)["numbers"]
            bars.update(task, advance=1)
            if len(found) == limit:
                break
    if not found:
        raise ValueError(f"{source} has no pictures")
    lines = _table(list(found.values()), classes)
    write_text(out / "results.json", json.dumps({"pictures": found}, indent=2) + "\n")
    write_text(out / "table.md", markdown_table(lines))
    console.print(terminal_table(lines, f"{len(found)} pictures"))
    console.print(f"Results in {out}")


def _numbers(both: Comparison) -> dict[str, dict[str, list[float]]]:
    """Of each kind of map, one per class."""
    found = {}
    for kind, explanation in both._asdict().items():
        info = explanation.info
        columns = {
            "original": info.original,
            "highest": info.probabilities.max(axis=1),
            "last": info.probabilities[:, -1],
            "threshold": info.threshold,
            "removed": info.probability_removed,
        }
        found[kind] = {key: [float(v) for v in np.asarray(x)] for key, x in columns.items()}
    return found


def _draw(folder: Path, name: str, image: np.ndarray, both: Comparison, names: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    figures = {
        "figure1": nonlinear.snapshots(image, both.nonlinear, names),
        "figure2": nonlinear.trajectories(both, names),
        "figure3": nonlinear.linear_and_nonlinear(image, both, names),
        "figure4": nonlinear.removal(both, names),
    }
    for key, figure in figures.items():
        figure.savefig(folder / f"{name}.{key}.png", dpi=110)


def _table(found: list[dict[str, dict[str, list[float]]]], classes: int) -> list[dict[str, str]]:
    """A line for each rank of class and number: nonlinear, linear and their difference."""
    lines = []
    for rank in range(classes):
        for key, title in NUMBERS.items():
            ours, theirs = (
                np.array([numbers[kind][key][rank] for numbers in found])
                for kind in ("nonlinear", "linear")
            )
            lines.append({
                "class": f"number {rank + 1}",
                "number": title,
                "nonlinear": interval(ours).text(),
                "linear": interval(theirs).text(),
                "difference": difference(ours, theirs).text(signed=True),
            })  # fmt: skip
    return lines
