"""Photos whose file names begin with the index of their class, such as 0281_n02123045_tabby.jpg."""

import re

from eval.subject import StudyRun, Subject, load_subject
from fidojax.data import Picture


def photo_subject(run: StudyRun, crop: float) -> Subject:
    """The photos of the folder `run.data` whose class the classifier predicts.

    Args:
        crop: share of the shorter side that the centre crop keeps.

    Raises:
        ValueError: no photo's name begins with a class index, or fewer than 2 are predicted right.
    """
    if not run.data:
        raise ValueError("data: expected a folder of pictures, --data FOLDER")
    try:
        return load_subject(run, right=True, crop=crop, label=class_index)
    except ValueError as error:
        if str(error) != f"{run.data} has no pictures":
            raise
        message = f"{run.data} has no file whose name begins with a class index"
        raise ValueError(message) from error


def class_index(picture: Picture) -> int | None:
    """The number that the picture's file name begins with; None where it begins with no number."""
    found = re.match(r"\d+", picture.id.rpartition("/")[2])
    return None if found is None else int(found[0])
