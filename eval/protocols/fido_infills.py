"""One picture under every infiller: FIDO's Figure 7, with the numbers of its Figures 4 and 8.

    python -m eval.run fido-infills --data-dir DATA --out runs/infills

The same pictures, classes and seeds for all infillers. The mixture is judged with the infiller that
the map was made with; where the pictures have boxes, so is where the map lies.
"""

from pathlib import Path

import numpy as np

from eval import scores
from eval.protocols.fido_ablations import DEVIATIONS, REFERENCE
from eval.report import Panel, panels
from eval.report.reading import StoredRun
from eval.runner import conduct
from eval.study import Claim, Study, StudyRow
from eval.subject import StudyRun, defaults, load_subject
from fidojax.core import OBJECTIVES, check_name
from fidojax.presets import PRESETS
from infillers import make_infill

NUMBERS = ("kept", "on mixture", "on samples", "samples' area")
ACROSS = 12
"""Pictures side by side in a figure."""

DEFAULTS = defaults(limit=24)


def fido_infills(
    run: StudyRun = DEFAULTS,
    infill: tuple[str, ...] = ("mean", "blur", "random", "local", "vae", "ca"),
    objective: str = "ssr",
    preset: str = "paper",
) -> None:
    """FIDO Figure 7: maps of the same pictures under every infiller.

    Args:
        run: where and on what; only pictures whose class the classifier predicts.
        infill: infillers, as `infillers.named.make_infill` takes them.
        objective: ssr or sdr.
        preset: a name in `fidojax.presets.PRESETS`.
    """
    check_name("preset", preset, PRESETS)
    check_name("objective", objective, OBJECTIVES)
    options = PRESETS[preset] | {"objective": objective}
    rows = {
        name: StudyRow("fido", options | {"infill": make_infill(name)}, "FIDO", cut="absolute")
        for name in infill
    }
    subject = load_subject(run, right=True)
    boxed = any(boxes is not None and len(boxes) for boxes in subject.drawn.boxes)
    captions = [subject.model.labels[label] for label in subject.drawn.labels]
    study = Study(
        name="fido-infills",
        title="FIDO Figure 7: every infiller",
        reference=REFERENCE,
        about=(
            "The same pictures under every infiller: the region that the map keeps (above one "
            "half), the class's probability on the picture with the rest filled in by the same "
            "infiller, the same for masks drawn from the map, and where the region lies."
        ),
        rows=rows,
        scores={"mixture": scores.mixture(keep_image=True)}
        | ({"place": scores.place()} if boxed else {}),
        numbers=(*NUMBERS, "outside") if boxed else NUMBERS,
        claims=[
            Claim("ca", other, number, figure)
            for number, figure in (("samples' area", "Figure 7"), ("outside", "Figure 8"))
            for other in infill
            if other != "ca"
        ],
        deviations=DEVIATIONS,
        gallery="on samples",
        figures=lambda stored, folder: _galleries(stored, folder, captions),
    )
    conduct(study, run, subject, {"infill": infill, "objective": objective, "preset": preset})


def _galleries(stored: StoredRun, folder: Path, captions: list[str]) -> None:
    """Under each picture the map of every infiller and the mixture it leaves, gallery_N.png."""
    images = stored.pictures.read("images") / 255
    columns = [Panel(image, caption, {}) for image, caption in zip(images, captions, strict=True)]
    for infill in stored.explained:
        seen = stored.column("mixture", infill, "seen")
        if seen is None:  # no picture has a map
            continue
        maps, seen = np.nan_to_num(stored.maps(infill)), np.nan_to_num(seen) / 255
        for column, saliency, mixture in zip(columns, maps, seen, strict=True):
            column.maps.update({infill: saliency, f"{infill}, seen": mixture})  # type: ignore
    for number, first in enumerate(range(0, len(columns), ACROSS)):
        panels(folder / f"gallery_{number}.png", columns[first : first + ACROSS])
