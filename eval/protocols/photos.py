"""Photos with the index of their class: in their file names, such as 0281_n02123045_tabby.jpg, or
in the table of their boxes.
"""

import re

from eval.subject import StudyRun, Subject, load_subject
from fidojax.data import Picture


def photo_subject(run: StudyRun, crop: float) -> Subject:
    """The photos of the folder `run.data` whose class the classifier predicts.

    Args:
        crop: share of the shorter side that the centre crop keeps.

    Raises:
        ValueError: no photo has a class index, or fewer than 2 are predicted right.
    """
    if not run.data:
        raise ValueError("data: expected a folder of pictures, --data FOLDER")
    try:
        return load_subject(run, right=True, crop=crop, label=class_index)
    except ValueError as error:
        if str(error) != f"{run.data} has no pictures":
            raise
        message = f"{run.data} has no file whose name begins with a class index" + (
            "" if run.boxes is None else f", and none whose label is one in {run.boxes}"
        )
        raise ValueError(message) from error


def class_index(picture: Picture) -> int | None:
    """The number that the picture's file name begins with, or else its label if that is a number.

    None where it has neither.
    """
    found = re.match(r"\d+", picture.id.rpartition("/")[2])
    if found is not None:
        return int(found[0])
    name = picture.label_name or ""
    return int(name) if name.isdecimal() else None
