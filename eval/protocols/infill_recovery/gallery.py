"""Galleries: the same holes in the same pictures, as several infillers fill them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eval.protocols.infill_recovery.report import TRUTH
from eval.study import StudyRow
from eval.subject import StudyRun, Subject
from fidojax import explain_batch

SHOWN = 12
"""Pictures in a gallery: the first that are classified right."""
DPI = 100


def fill_again(of: Subject, row: StudyRow, chosen: np.ndarray, run: StudyRun) -> Any:
    """The `Recovery` of some pictures by a row, with their filled pictures; the draws are equal."""
    shown = of.drawn.rows(chosen)
    pictures = [of.picture_list[place] for place in chosen]
    found = explain_batch(
        row.method, of.model.classifier, shown.images, shown.labels, options=row.options,
        each=None if row.each is None else row.each(pictures), seed=run.seed + row.seed,
        ids=shown.ids, batch_size=run.batch_size,
    )  # fmt: skip
    return found.info


def gallery(
    path: Path, of: Subject, chosen: np.ndarray, filled: Mapping[str, Any], at: int
) -> None:
    """FIDO Figure 3: picture, holes, and what each infiller makes of them, p(class) above.

    A picture is drawn in no fewer pixels than it has.

    Args:
        chosen: the pictures.
        filled: by infiller the `Recovery` of the chosen pictures, the truth's included.
        at: the place of the kind of holes.
    """
    import matplotlib.pyplot as plt

    names = [name for name in filled if name != TRUTH]
    masks = filled[TRUTH].masks[:, at, ..., None] > 0
    height, width = (max(1.25, side / DPI) for side in of.drawn.images.shape[1:3])
    figure, axes = plt.subplots(
        len(chosen),
        2 + len(names),
        figsize=(width * (2 + len(names)) + 0.9, (height + 0.2) * len(chosen) + 0.3),
        layout="constrained",
        squeeze=False,
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)  # type: ignore
    for row, (line, place) in enumerate(zip(axes, chosen, strict=True)):
        picture = of.drawn.images[place]
        shown = [picture, np.where(masks[row], picture, 1.0)]
        shown += [filled[name].images[row, at] for name in names]
        # The first judge is the classifier that the pictures were chosen by.
        titles = [f"{filled[TRUTH].probability[row, 0, at]:.2f}", ""]
        titles += [f"{filled[name].probability[row, 0, at]:.2f}" for name in names]
        for column, (axis, content, title) in enumerate(zip(line, shown, titles, strict=True)):
            axis.imshow(
                np.clip(content.squeeze(), 0, 1), "gray", vmin=0, vmax=1, interpolation="none"
            )
            axis.set_xticks([])
            axis.set_yticks([])
            head = (("picture", "kept", *names)[column] + "\n") if row == 0 else ""
            axis.set_title(head + title, fontsize=9, pad=2)
        line[0].set_ylabel(
            of.model.labels[of.drawn.labels[place]].replace(" ", "\n", 1), fontsize=8
        )
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
