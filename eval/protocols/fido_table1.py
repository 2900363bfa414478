"""FIDO's Table 1 and Figures 8 and 10, with the explainers of all four papers.

    python -m eval.run fido-table1 --data-dir DATA --out runs/table1

The map of the true class, whether it is predicted or not. Masks (FIDO, BBMP, extremal
perturbation, Realtime, the fixed boxes) are cut at one half; maps without a scale at alpha times
their mean, alpha found on the other half of the pictures.
"""

from collections.abc import Mapping
from typing import Any

from eval import scores
from eval.explainers import explainers
from eval.protocols.fido_published import TABLE1, table1_claims
from eval.runner import conduct
from eval.study import Study, StudyRow
from eval.subject import StudyRun, load_subject
from fidojax.core import COMPONENTS, EMPTY, check_name
from fidojax.metrics import KERNELS
from fidojax.runs import digest
from infillers import make_infill

METHODS = (
    "random", "max_box", "center_box", "object_box",
    "gradient", "deconvnet", "grad_cam", "deeplift", "integrated_gradients", "smoothgrad_squared",
    "rise", "extremal_perturbation", "varsal", "realtime", "realtime-0", "fido", "bbmp",
)  # fmt: skip
NUMBERS = (
    "error", "metric", "outside", "deletion50", "deletion90", "ca deletion50", "ca deletion90",
    "kl50", "insertion50",
)  # fmt: skip
READING = (
    "The true box fills 55% of a picture of tiny_imagenet40 on average, so the whole picture is a "
    "hit on 58% of them: there WSL error says little about a map's sharpness.",
    "A low saliency metric asks for a small box that the network still reads, not for the object.",
    "A map without a pixel above its threshold has the whole picture as its box.",
)
DEVIATIONS = (
    "64 x 64 pictures of 40 classes and the shipped network, not ImageNet and ResNet-50: values do "
    "not compare with the paper's, orderings may.",
    "FIDO with the preset fast (240 evaluations of the classifier), not the paper's 2400.",
    "Deletion is judged with mean infill on all pictures, with the paper's CA-GAN on the first.",
    "All pictures, where the paper's deletion curves take those that are classified right.",
)


def fido_table1(
    run: StudyRun,
    methods: tuple[str, ...] = METHODS,
    infill: tuple[str, ...] = ("mean", "blur", "random", "local", "vae", "ca"),
    bbmp_infill: tuple[str, ...] = ("blur", "random"),
    preset: str = "fast",
    encoder: str | None = None,
    masker: str | None = None,
    deletion: str = "mean",
    insertion: bool = False,
    ca_limit: int = 100,
    first: tuple[str, ...] = (),
    empty: str = "image",
    component: str = "all",
    interpolation: str = "linear",
    tolerance: float = 0.0,
) -> None:
    """FIDO Table 1, Figures 8 and 10: every explainer by where its map lies and what it explains.

    Args:
        run: where and on what.
        methods: rows, names in `eval.explainers`.
        infill: names of infillers for FIDO, a row each.
        bbmp_infill: the same for BBMP.
        preset: of FIDO, a name in `fidojax.presets.PRESETS`.
        encoder: of VarSal, as `fidojax.networks.load_encoder` takes it; the classifier's when None.
        masker: of Realtime, as `load_masker` takes it; the classifier's when None.
        deletion: infiller of the deletion curves.
        insertion: also measure insertion curves.
        ca_limit: the first pictures also have deletion curves with the paper's CA infill; 0: none.
        first: ROW=N, a row that explains the first N pictures only.
        empty: box of a map that chooses no pixel: image or none.
        component: pixels that the box holds: all, or the largest connected component.
        interpolation: of the saliency metric's crops: linear or cubic.
        tolerance: of the pointing game, in pixels.
    """
    check_name("empty", empty, EMPTY)
    check_name("component", component, COMPONENTS)
    check_name("interpolation", interpolation, KERNELS)
    rows = explainers(
        methods, {"fido": infill, "bbmp": bbmp_infill}, preset, run.classifier,
        encoder=encoder, masker=masker,
    )  # fmt: skip
    for row, count in _limits(first, rows).items():
        rows[row] = rows[row]._replace(limit=count, why=f"{rows[row].why}, first {count} pictures")
    fill = make_infill(deletion)
    kinds = {
        "place": scores.place(
            empty=empty, component=component, interpolation=interpolation, tolerance=tolerance
        ),
        f"order-{deletion}": scores.order(fill, f"{deletion} {digest(fill)}", insertion=insertion),
        "erased": scores.erased(),
        "shape": scores.shape(),
    }
    if ca_limit:
        ca = make_infill("ca")
        kinds["order-ca"] = scores.order(ca, f"ca {digest(ca)}", limit=ca_limit, prefix="ca ")
    known = {key for kind in kinds.values() for key in kind.numbers}
    study = Study(
        name="fido-table1",
        title="FIDO Table 1, Figures 8 and 10",
        reference="Chang et al. 2019, Explaining Image Classifiers by Counterfactual Generation",
        about=(
            "Where maps lie (WSL error, saliency metric, share outside the box) and whether their "
            "order is the classifier's (pixels to delete until half and nine tenths of the "
            "log-odds are gone; divergence of all probabilities when the lower half is black). "
            "Maps are of the true class, predicted or not."
        ),
        rows=rows,
        scores=kinds,
        numbers=[key for key in (*NUMBERS, "size", "gini") if key in known],
        claims=table1_claims(),
        published={
            row: {"error": error, "metric": metric} for row, (error, metric) in TABLE1.items()
        },
        reading=READING,
        deviations=DEVIATIONS,
        gallery="metric",
        gallery_rows=[
            row for row in ("fido-ca", "fido-mean", "realtime", "grad_cam") if row in rows
        ],
    )
    chosen: Mapping[str, Any] = {
        "methods": methods, "infill": infill, "bbmp_infill": bbmp_infill, "preset": preset,
        "deletion": deletion, "ca_limit": ca_limit,
    }  # fmt: skip
    conduct(study, run, load_subject(run, boxes=True), chosen)


def _limits(first: tuple[str, ...], rows: Mapping[str, StudyRow]) -> dict[str, int]:
    found = {}
    for text in first:
        name, _, count = text.partition("=")
        check_name("first", name, rows)
        if not count.isdecimal() or int(count) < 2:
            raise ValueError(f"first: expected ROW=N with N at least 2, got {text!r}")
        found[name] = int(count)
    return found
