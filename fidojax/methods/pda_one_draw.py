"""Prediction difference analysis as VDSM's authors ran it on MNIST.

VDSM, "Interpreting Neural Network Classifications with Variational Dropout Saliency Maps" (2017),
section 4. Each pixel is imputed once and the log-odds compared: no average over many imputations
and no weight of evidence. PDA as first published is `fidojax.methods.pda`.
"""

from fidojax.core import of_one_image
from fidojax.methods.occlusion import occlusion
from fidojax.types import Classifier, Explanation, Image, Infiller, PRNGKey, Target


@of_one_image
def pda_one_draw(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    infill: Infiller | None = None,
    window: int = 1,
    stride: int = 1,
    score: str = "log_odds",
    chunk: int = 128,
) -> Explanation:
    """Saliency by the fall of the score when one pixel is imputed once.

    The map is s(x) - s(x with the pixel imputed) in units of the score (log-odds, nats), positive
    where the pixel speaks for the class. It is occlusion with one imputation per window; `info` is
    `OcclusionInfo`.

    Args:
        infill: imputes the window; black, MNIST's background, when None.
        window: side of the imputed square; larger ones overlap and are averaged per pixel.
        stride: pixels from one window to the next; the authors take every one.
        score: a name in `fidojax.core.scores.SCORES`.
        chunk: pictures that the classifier sees at once; bounds the memory, changes no value.

    Raises:
        ValueError: an unknown score, a count below 1, or a window larger than the image.

    Example:
        >>> explanation = fidojax.pda_one_draw(key, classifier, image, target, window=2, stride=2)
        >>> saliency = explanation.saliency  # "h w", in units of the score
        >>> scores = explanation.info.scores  # with each window imputed

    Reference: VDSM section 4; Zintgraf et al. 2017.
    """
    return occlusion(
        key, classifier, image, target,
        infill=infill, window=window, stride=stride, score=score, chunk=chunk,
    )  # fmt: skip
