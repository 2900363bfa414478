"""VarSal's Figures 3, 5a and 6: which map keeps the decision when the lowest pixels go?

    python -m eval.run varsal-erasing --data-dir DATA --out runs/erasing

The pixels that a map ranks lowest are erased, 10% to 90% of them, and KL(P(x) || P(x erased)) is
compared on the same pictures. Maps are of the predicted class, as in the paper; VarSal's are of all
classes. Beside the paper's control, a random order, stands "center": pixels by their distance to
the middle, which any map that likes the middle must beat. `fidojax bench` has Figure 5b.
"""

from dataclasses import replace
from functools import partial

import jax.numpy as jnp
import numpy as np

from eval import scores
from eval.protocols.varsal.erasing_figures import draw
from eval.protocols.varsal.erasing_report import ORDERINGS, OURS, SMOOTHER, tables
from eval.protocols.varsal.rankings import cheap, fido, pda
from eval.runner import conduct
from eval.scores import Maps, Number, ScoreSet
from eval.study import Claim, Study
from eval.subject import StudyRun, Subject, defaults, load_subject
from fidojax.core import check_name, rank
from fidojax.metrics import ERASED, SHARES
from fidojax.networks import load_encoder
from fidojax.types import Saliency, Scalar

CLAIMED = (10, 50, 90)
"""Shares in per cent at which the orderings are claims; the tables have all shares."""
DEFAULTS = defaults(batch_size=16)


def varsal_erasing(
    run: StudyRun = DEFAULTS,
    encoder: str = "tiny_imagenet40",
    standard: str | None = None,
    erased: str = "black",
    preset: str = "fast",
    fido_limit: int = 100,
    pda_limit: int = 100,
    only: tuple[str, ...] = (),
) -> None:
    """VarSal Figures 3, 5a and 6: the lowest pixels of each map are erased.

    Args:
        run: where and on what.
        encoder: VarSal's, trained with the soft-TV prior; a name or file for
            `fidojax.networks.load_encoder`.
        standard: one trained with the standard normal prior; its rows are left out if not given.
        erased: what erased pixels become, a name in `fidojax.metrics.erasing.ERASED`.
        preset: FIDO's, a name in `fidojax.presets.PRESETS`.
        fido_limit: number of pictures that FIDO explains; 0 leaves it out.
        pda_limit: number of pictures that PDA explains; 0 leaves it out.
        only: rows, such as varsal and random; all when empty.
    """
    check_name("erased", erased, ERASED)
    encoders = {OURS: load_encoder(encoder)}
    if standard is not None:
        encoders["standard"] = load_encoder(standard)
    everything = load_subject(replace(run, limit=None))
    count = min(run.limit or len(everything.drawn.ids), len(everything.drawn.ids))
    of = Subject(everything.model, everything.drawn.rows(np.arange(count)))
    rows = cheap(encoders)
    if fido_limit:
        rows["fido"] = fido(preset, min(fido_limit, count))
    if pda_limit:
        rows["pda"] = pda(everything.drawn.images, run.seed, min(pda_limit, count))
    for row in only:
        check_name("only", row, rows)
    rows = {name: row for name, row in rows.items() if name in only or not only}
    kinds = {"erased": scores.erased(shares=SHARES, erased=erased), "roughness": rough()}
    study = Study(
        name="varsal-erasing",
        title="VarSal Figures 3, 5a and 6",
        reference="VarSal, Variational saliency maps for explaining model's behavior",
        about=(
            "The pixels that a map ranks lowest are erased; the divergence of all class "
            "probabilities from those of the picture says how much the decision lost. Maps are of "
            "the predicted class. Roughness is the mean distance of neighbours in rank, as a share "
            "of all pixels: 1/3 of a random order."
        ),
        rows={name: row._replace(targets="prediction") for name, row in rows.items()},
        scores=kinds,
        numbers=[key for kind in kinds.values() for key in kind.numbers],
        claims=claims(),
        reading=(
            "The paper calls the values of SmoothGrad squared, FIDO and VarSal similar, which no "
            "interval can show without a margin; their claims tell the order.",
        ),
        gallery="kl50",
        gallery_rows=[row for row in (OURS, "standard", "fido") if row in rows],
        tables=tables,
        figures=partial(draw, of=of, encoders=encoders, erased=erased, seed=run.seed),
    )
    chosen = {
        "encoder": encoder, "standard": standard, "erased": erased, "preset": preset,
        "fido_limit": fido_limit, "pda_limit": pda_limit, "only": only,
    }  # fmt: skip
    conduct(study, run, of, chosen)


def claims() -> list[Claim]:
    """VarSal's mean map below the other rankings, and the maps that vary less by pixel."""
    below = [
        Claim(OURS, name, f"kl{share}", source)
        for name, source in ORDERINGS.items()
        for share in CLAIMED
    ]
    return below + [Claim(one, other, "roughness", "text") for one, other in SMOOTHER]


def rough() -> ScoreSet:
    """How much a map varies between adjacent pixels, see `roughness`."""
    number = Number("roughness", "low", 3, "roughness")

    def compute(given: Maps) -> dict[str, np.ndarray]:
        return {"roughness": scores.measured(_roughness, given)}

    return ScoreSet({}, {"roughness": number}, compute)


def _roughness(key, classifier, image, target, saliency: Saliency) -> Scalar:
    del key, classifier, image, target
    return roughness(saliency)


def roughness(saliency: Saliency) -> Scalar:
    """Return the mean distance of neighbours in rank, as a share of the pixels."""
    place = rank(saliency) / saliency.size
    steps = [jnp.abs(jnp.diff(place, axis=axis)) for axis in (0, 1)]
    return jnp.concatenate([step.ravel() for step in steps]).mean()
