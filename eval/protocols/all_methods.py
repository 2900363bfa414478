"""All explainers on the same photos: what each costs and is worth, and all maps in one figure.

    python -m eval.run all-methods --data FOLDER --out runs/all --weights mobilenetv2.npz

Per method: seconds and passes of the classifier per photo, the smallest share of its pixels that
gives the class half its probability (mean infill), and how much the map is the same for a network
whose weights were shuffled within each array, the sanity check of Adebayo et al. 2018: a map that
does not change says nothing about what the network has learned.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from eval import scores
from eval.explainers import settings
from eval.protocols.photos import photo_subject
from eval.report import quartile_table
from eval.report.reading import StoredRun
from eval.runner import conduct
from eval.study import Study, StudyRow
from eval.subject import StudyRun, defaults
from fidojax.bench import count_passes
from fidojax.core import check_count, check_name
from fidojax.data import IMAGENET_CROP
from fidojax.networks import Pretrained
from fidojax.types import Classifier
from infillers import mean

DEFAULTS = defaults(data="", classifier="keras:MobileNetV2", limit=20, batch_size=1)


def all_methods(
    run: StudyRun = DEFAULTS,
    methods: tuple[str, ...] = (),
    shuffled: int = 4,
    crop: float = IMAGENET_CROP,
) -> None:
    """Every explainer on the same photos, in one figure and one table.

    Args:
        run: where and on what; its data is a folder of pictures whose file names begin with the
            index of their class.
        methods: rows of `eval.explainers.settings`; all of them if not given.
        shuffled: number of pictures that are also explained for the network with shuffled weights.
        crop: share of the shorter side that the centre crop keeps.
    """
    known = {name: StudyRow(of.method, of.options, why=of.why) for name, of in settings().items()}
    for name in methods:
        check_name("methods", name, known)
    check_count(shuffled=shuffled)
    subject = photo_subject(run, crop)
    other = shuffle(jax.random.key(run.seed), subject.model.classifier)
    rows = {name: known[name] for name in methods or known}
    rows |= {
        f"{name}, shuffled": row._replace(
            classifier=other, like=name, limit=shuffled, scores=("like",), group="shuffled weights"
        )
        for name, row in rows.items()
    }
    study = Study(
        name="all-methods",
        title="All explainers on the same photos",
        reference="Adebayo et al. 2018, Sanity Checks for Saliency Maps",
        about=(
            "Every explainer on photos whose class the classifier predicts, and for a network "
            "whose weights were shuffled within each array. Likeness is to the map of the trained "
            "network: a map that does not change says nothing about what has been learned."
        ),
        rows=rows,
        scores={"needs": scores.sufficiency(mean()), "like": scores.likeness()},
        numbers=("needs", "spearman"),
        gallery="needs",
        gallery_rows=list(methods or known),
        tables=lambda stored: {"Median (quartiles)": _table(stored, rows, subject.model)},
    )
    conduct(study, run, subject, {"methods": methods, "shuffled": shuffled, "crop": crop})


def _table(
    stored: StoredRun, rows: Mapping[str, StudyRow], model: Pretrained
) -> list[dict[str, str]]:
    """Medians and quartiles of each row, with the classifier's passes as they are counted."""
    taken = {row: ledger.read("seconds") for row, ledger in stored.explained.items()}
    lines = quartile_table({"seconds": taken} | stored.samples(), 2)
    for line in lines:
        row = rows[line["row"]]
        passes = count_passes(row.name, row.options, model.size, len(model.labels))
        line |= {"forward": str(passes.forward), "backward": str(passes.backward), "why": row.why}
    return lines


def shuffle(key: jax.Array, classifier: Classifier) -> Classifier:
    """The classifier with the entries of every array of its weights in random order."""
    leaves, structure = jax.tree.flatten(classifier)
    mixed = [
        jax.random.permutation(jax.random.fold_in(key, i), jnp.ravel(leaf)).reshape(jnp.shape(leaf))
        if jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
        else leaf
        for i, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, mixed)
