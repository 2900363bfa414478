"""What a figure shows of one explanation."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fidojax.viz.overlay import Limits


@dataclass(frozen=True)
class View:
    """A picture that the classifier was asked about, as a panel of a figure.

    Attributes:
        image: "h w c" in [0, 1], the picture itself.
        title: what the picture is.
        caption: what the classifier said of it, up to two lines.
        region: "h w", 1 in a region that is outlined on the map over the picture, and 0 outside;
            None for no outline.
    """

    image: Float[np.ndarray, "h w c"]
    title: str
    caption: str = ""
    region: Float[np.ndarray, "h w"] | None = None


@dataclass(frozen=True)
class Exhibit:
    """One explanation with its captions, each of up to two lines that are made to fit.

    Attributes:
        image: "h w c" in [0, 1], one or three channels.
        saliency: "h w", larger = more important.
        title: the image's name.
        prediction: the caption under the title, for instance the class and its probability.
        meaning: the meaning of the map's values.
        target: the explained class.
        mixture: "h w c", the picture that the classifier saw with dropped pixels filled in; None
            for methods without one.
        verdict: the share that was kept, and the target's probability on the mixture.
        limits: the values at the ends of the colour bar; None as in `normalise`.
        symmetric: the map has two signs; see `normalise`.
        deviation: "h w", the standard deviation of each pixel in the map's units; None if unknown.
        views: further panels, such as the region that carries the class, alone and taken away.
        warning: what is wrong with the explanation, in a sentence below the panels.
    """

    image: Float[np.ndarray, "h w c"]
    saliency: Float[np.ndarray, "h w"]
    title: str = "image"
    prediction: str = ""
    meaning: str = ""
    target: str = ""
    mixture: Float[np.ndarray, "h w c"] | None = None
    verdict: str = ""
    limits: Limits | None = None
    symmetric: bool = False
    deviation: Float[np.ndarray, "h w"] | None = None
    views: tuple[View, ...] = ()
    warning: str = ""

    @property
    def seen(self) -> tuple[View, ...]:
        """The pictures that the classifier was asked about: the mixture, and the views."""
        if self.mixture is None:
            return self.views
        return (View(self.mixture, "what the classifier saw", self.verdict), *self.views)
