"""FIDO on real photos: does the class survive on the pixels that the map keeps, and only there?

    python -m eval.run fido-photos --data FOLDER --out runs/photos --weights mobilenetv2.npz

The numbers behind FIDO's Figures 2 and 4: for each infiller the probability of the class on the
mixture of picture and infill at the map's own keep > 0.5, the same for random and centred masks of
exactly that area, and the smallest area that each needs to give the class half its probability.
"""

from pathlib import Path

import numpy as np

from eval import scores
from eval.protocols.fido_ablations import REFERENCE
from eval.protocols.photos import photo_subject
from eval.report import Triptych, quartile_table, triptychs
from eval.report.reading import StoredRun
from eval.runner import conduct
from eval.study import Study, StudyRow
from eval.subject import StudyRun, defaults
from fidojax.core import OBJECTIVES, check_name
from fidojax.data import IMAGENET_CROP
from fidojax.presets import PRESETS
from infillers import make_infill

SHOWN = 12
"""Pictures in a gallery."""

DEFAULTS = defaults(data="", classifier="keras:MobileNetV2", limit=50, batch_size=1)


def fido_photos(
    run: StudyRun = DEFAULTS,
    infill: tuple[str, ...] = ("mean", "blur", "random", "local"),
    objective: str = "ssr",
    preset: str = "paper",
    steps: int | None = None,
    samples: int | None = None,
    crop: float = IMAGENET_CROP,
) -> None:
    """FIDO Figures 2 and 4 in numbers: the class on the map's own pixels, beside control masks.

    Args:
        run: where and on what; its data is a folder of pictures whose file names begin with the
            index of their class.
        infill: infillers, as `infillers.named.make_infill` takes them.
        objective: ssr or sdr.
        preset: a name in `fidojax.presets.PRESETS`.
        steps: optimiser steps instead of the preset's.
        samples: masks per step instead of the preset's.
        crop: share of the shorter side that the centre crop keeps.
    """
    check_name("preset", preset, PRESETS)
    check_name("objective", objective, OBJECTIVES)
    given = {"steps": steps, "samples": samples}
    options = PRESETS[preset] | {key: value for key, value in given.items() if value is not None}
    options["objective"] = objective
    rows = {
        name: StudyRow("fido", options | {"infill": make_infill(name)}, "FIDO", cut="absolute")
        for name in infill
    }
    kinds = {
        "mixture": scores.mixture(controls=True, keep_image=True),
        "needs": scores.sufficiency(controls=True),
    }
    subject = photo_subject(run, crop)
    captions = [subject.model.labels[label] for label in subject.drawn.labels[:SHOWN]]
    study = Study(
        name="fido-photos",
        title="FIDO Figures 2 and 4 on photos",
        reference=REFERENCE,
        about=(
            "Photos whose class the classifier predicts. The class's probability on the map's own "
            "pixels with the rest filled in, beside masks of the same area that know nothing, and "
            "the smallest area that gives the class half its probability."
        ),
        rows=rows,
        scores=kinds,
        numbers=[key for kind in kinds.values() for key in kind.numbers],
        gallery="needs",
        tables=lambda stored: {"Median (quartiles)": quartile_table(stored.samples())},
        figures=lambda stored, folder: _galleries(stored, folder, captions),
    )
    chosen = {"infill": infill, "objective": objective, "preset": preset, "crop": crop}
    conduct(study, run, subject, chosen | given)


def _galleries(stored: StoredRun, folder: Path, captions: list[str]) -> None:
    """Picture, map and mixture of the first pictures, gallery_FILL.png for each infiller."""
    images = stored.pictures.read("images", np.arange(len(captions))) / 255
    for fill in stored.explained:
        seen = stored.column("mixture", fill, "seen")
        if seen is None:  # no picture has a map
            continue
        maps = np.nan_to_num(stored.maps(fill, np.arange(len(captions))))
        numbers = zip(
            *(stored.values(key, fill) for key in ("original", "kept", "on mixture")), strict=True
        )
        rows = [
            Triptych(image, saliency, mixture, (
                f"{caption} {original:.2f}",
                f"{fill} infill",
                f"{100 * area:.0f}% kept: {probability:.2f}",
            ))
            for image, saliency, mixture, caption, (original, area, probability) in zip(
                images, maps, np.nan_to_num(seen) / 255, captions, numbers, strict=False
            )
        ]  # fmt: skip
        triptychs(folder / f"gallery_{fill}.png", rows)
