"""Write the pictures of a run for other libraries, in the order in which `own-maps` wants maps.

    python -m eval.run pictures --data photos --limit 100 --out runs/pictures

`own-maps` with the same `--data`, `--limit`, `--seed`, `--classifier` and `--crop` then takes one
map for each of them.
"""

import numpy as np

from eval.protocols.own_maps import places_of
from eval.subject import StudyRun, load_subject
from fidojax.data import write_atomically, write_text


def write_pictures(run: StudyRun, crop: float = 1.0) -> None:
    """The pictures and true classes of a run as files, in the order of own-maps.

    OUT/pictures.npy is "n h w c" in [0, 1], as the classifier takes them; OUT/targets.npy "n", the
    true classes; OUT/ids.txt the names of the pictures, one a line.

    Args:
        run: where and on what.
        crop: share of the shorter side that the centre crop keeps.
    """
    of = load_subject(run, crop=crop)
    places = places_of(run, of.model.size)
    drawn = of.drawn.rows(np.argsort([places[name] for name in of.drawn.ids]))
    run.out.mkdir(parents=True, exist_ok=True)
    for name, values in (("pictures", drawn.images), ("targets", drawn.labels)):
        write_atomically(run.out / f"{name}.npy", lambda file, values=values: np.save(file, values))
    write_text(run.out / "ids.txt", "".join(f"{name}\n" for name in drawn.ids))
    height, width, channels = of.model.size
    print(
        f"{run.out}/pictures.npy: {len(drawn.ids)} pictures of {height} x {width} x {channels} in "
        f"[0, 1]; targets.npy: their classes; ids.txt: their names"
    )
