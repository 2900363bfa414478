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
from eval.runner import conduct
from eval.store import digest
from eval.study import Claim, Study
from eval.subject import Run, subject
from fidojax.boxes import COMPONENTS, EMPTY
from fidojax.metrics.saliency_metric import KERNELS
from fidojax.names import check_name
from infillers import INFILLERS

METHODS = (
    "random", "max", "center", "box",
    "gradient", "deconvnet", "grad_cam", "deeplift", "integrated_gradients", "smoothgrad_squared",
    "rise", "extremal_perturbation", "varsal", "realtime", "realtime-0", "fido", "bbmp",
)  # fmt: skip
# FIDO Table 1: WSL error and saliency metric, ImageNet's 50,000, ResNet-50.
PUBLISHED = {
    "max": (0.597, 1.029),
    "center": (0.469, 0.414),
    "box": (0.0, 0.392),
    "gradient": (0.521, 0.577),
    "deconvnet": (0.494, 0.627),
    "grad_cam": (0.419, 0.433),
    "realtime": (0.478, 0.076),
    "fido-mean": (0.531, 0.836),
    "fido-blur": (0.516, 0.766),
    "fido-random": (0.508, 0.728),
    "fido-local": (0.467, 0.543),
    "fido-vae": (0.502, 0.433),
    "fido-ca": (0.570, -0.021),
}
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
    run: Run,
    methods: tuple[str, ...] = METHODS,
    infill: tuple[str, ...] = ("mean", "blur", "random", "local", "vae", "ca"),
    bbmp_infill: tuple[str, ...] = ("blur", "random"),
    preset: str = "fast",
    encoder: str | None = None,
    masker: str | None = None,
    deletion: str = "mean",
    insertion: bool = False,
    ca_limit: int = 100,
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
        encoder: of VarSal, as `fidojax.encoders.load_encoder` takes it; the classifier's when None.
        masker: of Realtime, as `load_masker` takes it; the classifier's when None.
        deletion: infiller of the deletion curves.
        insertion: measure insertion curves, too.
        ca_limit: so many pictures have deletion curves with the paper's CA infill, too; 0 for none.
        empty: box of a map that chooses no pixel: image or none.
        component: pixels that the box holds: all, or the largest connected component.
        interpolation: of the saliency metric's crops: linear or cubic.
        tolerance: of the pointing game, in pixels.
    """
    check_name("deletion", deletion, INFILLERS)
    check_name("empty", empty, EMPTY)
    check_name("component", component, COMPONENTS)
    check_name("interpolation", interpolation, KERNELS)
    rows = explainers(
        methods, {"fido": infill, "bbmp": bbmp_infill}, preset, run.classifier,
        encoder=encoder, masker=masker,
    )  # fmt: skip
    fill = INFILLERS[deletion]()
    kinds = {
        "place": scores.place(
            empty=empty, component=component, interpolation=interpolation, tolerance=tolerance
        ),
        f"order-{deletion}": scores.order(fill, f"{deletion} {digest(fill)}", insertion=insertion),
        "erased": scores.erased(),
        "shape": scores.shape(),
    }
    if ca_limit:
        ca = INFILLERS["ca"]()
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
        claims=claims(),
        published={
            row: {"error": error, "metric": metric} for row, (error, metric) in PUBLISHED.items()
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
    conduct(study, run, subject(run, boxes=True), chosen)


def claims() -> list[Claim]:
    """The orderings of the paper's Table 1 and Figures 8 and 10, and of VarSal's Figure 5a."""
    table = [
        Claim(better, worse, key, _published(better, worse, place))
        for place, key in enumerate(("error", "metric"))
        for better, worse in _PAIRS[key]
    ]
    heuristics = [f"fido-{fill}" for fill in ("mean", "blur", "random", "local")]
    figure8 = [
        Claim("fido-ca", other, "outside", "Figure 8") for other in (*heuristics, "fido-vae")
    ]
    rivals = (*heuristics, "fido-vae", "bbmp-blur", "bbmp-random")
    figure10 = [Claim("fido-ca", other, "ca deletion50", "Figure 10") for other in rivals]
    others = ("random", "gradient", "integrated_gradients", "smoothgrad_squared")
    varsal = [Claim("varsal", other, "kl50", "VarSal Figure 5a") for other in others]
    return table + figure8 + figure10 + varsal


def _published(better: str, worse: str, place: int) -> str:
    return f"{PUBLISHED[better][place]:g} against {PUBLISHED[worse][place]:g}"


# Neighbours in the paper's order of a number, and who it says is best.
_PAIRS = {
    "error": (
        ("grad_cam", "center"), ("grad_cam", "gradient"), ("grad_cam", "realtime"),
        ("deconvnet", "gradient"), ("center", "max"), ("gradient", "max"),
        ("fido-local", "fido-vae"), ("fido-local", "fido-mean"), ("fido-vae", "fido-random"),
        ("fido-random", "fido-blur"), ("fido-blur", "fido-mean"), ("fido-mean", "fido-ca"),
        ("realtime", "fido-ca"),
    ),
    "metric": (
        ("fido-ca", "realtime"), ("fido-ca", "box"), ("fido-ca", "center"), ("fido-ca", "grad_cam"),
        ("realtime", "box"), ("box", "center"), ("center", "grad_cam"), ("grad_cam", "gradient"),
        ("gradient", "deconvnet"), ("deconvnet", "max"), ("fido-ca", "fido-vae"),
        ("fido-vae", "fido-local"), ("fido-local", "fido-random"), ("fido-random", "fido-blur"),
        ("fido-blur", "fido-mean"), ("fido-mean", "max"),
    ),
}  # fmt: skip
