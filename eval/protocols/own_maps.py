"""Score maps from any library as the tables score ours.

    python -m eval.run own-maps --maps captum=captum.npy rise=rise.zarr --out runs/own

A file holds one map for each picture of the data, or with --limit for each that is drawn, in the
data's order: an .npy or a zarr of shape (n, h, w), or a group that `fidojax explain` wrote.
`python -m eval.run pictures` writes the pictures in that order. In code, `fidojax.measure_batch`
does the same for one metric.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from eval import scores
from eval.explainers import controls as known_controls
from eval.explainers import explainers
from eval.runner import conduct
from eval.study import Study, StudyRow
from eval.subject import StudyRun, Subject, load_subject
from fidojax.core import check_name, current_name
from fidojax.data import BadPicture, Picture, pictures
from fidojax.methods import RENAMED_METHODS
from fidojax.runs import digest, load_maps
from fidojax.types import Explanation
from infillers import make_infill


def own_maps(
    run: StudyRun,
    maps: tuple[str, ...],
    masks: tuple[str, ...] = (),
    controls: tuple[str, ...] = ("random", "center_box"),
    deletion: str = "mean",
    crop: float = 1.0,
) -> None:
    """Your own maps, by where they lie and what they explain, beside controls.

    Args:
        run: where and on what.
        maps: NAME=FILE, one map of the true class for each picture of the data, or for each that
            is drawn.
        masks: names whose maps lie in [0, 1] and are cut at one half, not at alpha times the mean.
        controls: rows that do not depend on the classifier, see `eval.explainers.controls`.
        deletion: infiller of the deletion curves.
        crop: share of the shorter side that the centre crop keeps, as the maps were made.
    """
    for name in controls:
        check_name("controls", current_name("controls", name, RENAMED_METHODS), known_controls())
    of = load_subject(run, crop=crop)
    files = rows_of_files(run, of, maps, masks)
    rows = explainers(controls, {}, "fast", run.classifier) | files
    fill = make_infill(deletion)
    boxed = any(boxes is not None and len(boxes) for boxes in of.drawn.boxes)
    kinds = {"place": scores.place()} if boxed else {}
    kinds |= {
        f"order-{deletion}": scores.order(fill, f"{deletion} {digest(fill)}", insertion=True),
        "erased": scores.erased(),
        "shape": scores.shape(),
    }
    numbers = ("error", "metric", "outside", "pointing") if boxed else ()
    study = Study(
        name="own-maps",
        title="Own maps",
        reference="",
        about="Maps of the true class from files, beside controls, on the same pictures.",
        rows=rows,
        scores=kinds,
        numbers=(*numbers, "deletion50", "deletion90", "insertion50", "kl50", "gini"),
        gallery="deletion50",
        gallery_rows=list(files),
    )
    settings = {"maps": [*files], "masks": masks, "deletion": deletion, "crop": crop}
    conduct(study, run, of, settings)


def given(key, classifier, image, target, *, saliency, source: str) -> Explanation:
    """The map of a file; `source` is the file's fingerprint."""
    del key, classifier, image, target, source
    return Explanation(saliency, None)


def rows_of_files(
    run: StudyRun, of: Subject, maps: Sequence[str], masks: Sequence[str] = ()
) -> dict[str, StudyRow]:
    """Rows of the maps of files, by name.

    Args:
        run, of: the run with its pictures; a file has a map for each picture of the data or for
            each of the run, in the data's order.
        maps: NAME=FILE, or a file that gives the row its name.
        masks: names of the rows whose maps are cut at one half.

    Raises:
        ValueError: a file has another number of maps, or a name is unknown.
    """
    files = dict(_named(text) for text in maps)
    for name in masks:
        check_name("masks", name, files)
    height, width, _ = of.model.size
    orders = _orders(run, of) if files else {}
    rows = {}
    for name, path in files.items():
        found = load_maps(path)
        if found.shape[1:] != (height, width) or len(found) not in orders:
            expected = " or ".join(str((count, height, width)) for count in orders)
            raise ValueError(f"maps {path}: expected shape {expected}, got {found.shape}")
        places = orders[len(found)]
        cut = "absolute" if name in masks else "mean"
        options = {"source": digest(found)}
        rows[name] = StudyRow(
            given, options, "own", str(path.name), cut, each=partial(_rows, found, places)
        )
    return rows


def _named(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    return (name, Path(path)) if equals else (Path(text).stem, Path(text))


def _orders(run: StudyRun, of: Subject) -> dict[int, dict[str, int]]:
    """The place of each picture's map, by the number of maps: of all pictures, or of the run's."""
    places = places_of(run, of.model.size)
    drawn = sorted(of.drawn.ids, key=places.__getitem__)
    own = {name: place for place, name in enumerate(drawn)}
    return {len(places): places, len(own): own}


def places_of(run: StudyRun, size: tuple[int, int, int]) -> dict[str, int]:
    """The place of every readable picture in the data's order, by id."""
    found = pictures([run.data], size, run.data_dir)
    names = [picture.id for picture in found if not isinstance(picture, BadPicture)]
    return {name: place for place, name in enumerate(names)}


def _rows(maps: np.ndarray, places: Mapping[str, int], batch: Sequence[Picture]) -> dict[str, Any]:
    return {"saliency": maps[[places[picture.id] for picture in batch]]}
