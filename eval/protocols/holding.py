"""The region that carries the class: how small is it, does it hold, and for whom else?

    python -m eval.run holding --data FOLDER --out runs/holding

Every map is read out by asking the classifier: the smallest region of the map's order on which the
class holds under each fill, with hard and with soft edges (`fidojax.region`). The region shown is
then judged under fills that took no part and by other networks, beside controls of its area.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from eval import intervals, scores
from eval.holding_scores import CONTROLS, Judge, boxed, holding_scores
from eval.judges import load_judges
from eval.protocols.own_maps import rows_of_files
from eval.protocols.photos import photo_subject
from eval.report.reading import StoredRun
from eval.row_specs import row_of_spec
from eval.runner import conduct
from eval.study import Study, StudyRow
from eval.subject import StudyRun, defaults
from fidojax.core import check_hold, check_name
from fidojax.data import IMAGENET_CROP
from fidojax.runs import digest
from infillers import make_infill

DEFAULTS = defaults(data="", classifier="efficientnet_lite0", limit=50, batch_size=1)
HOLDS = (0.5, 0.9)
ROWS = (
    "fido", "fido@fast", "fido@paper", "bbmp", "extremal_perturbation", "igos_pp", "rise",
    "grad_cam", "integrated_gradients", "random", "centre",
)  # fmt: skip
READING = (
    "A region holds when p(target) is at least the share `hold` of what it is on the picture (ssr),"
    " or at most 1 - hold of it on the picture without the region (sdr), under each fill, with"
    " hard and with soft edges.",
    "Where no region holds, its area is missing from the means, and it holds for nobody: read the"
    " areas beside the share of the pictures on which the class holds.",
    "p is the worst over fills and edges: the lowest on the region, the highest without it.",
    "A judge that does not know the class on the picture itself (p at most 1/classes) has no say.",
    "Maps are stored with 11 bits: values near 1 may be tied, and then stay together.",
)


def holding(
    run: StudyRun = DEFAULTS,
    rows: tuple[str, ...] = ROWS,
    infill: tuple[str, ...] = ("mean", "blur"),
    unseen: tuple[str, ...] = ("random", "blur:sigma=4.0"),
    judge: tuple[str, ...] = (),
    hold: str = "0.9",
    objective: str = "ssr",
    against: str = "grad_cam",
    again: tuple[str, ...] = (),
    maps: tuple[str, ...] = (),
    crop: float = IMAGENET_CROP,
    orders: bool = True,
) -> None:
    """The smallest region that carries the class, for every map, and who else sees the class on it.

    Args:
        run: where and on what; its data is a folder of pictures whose file names begin with the
            index of their class, or whose label is that index in the table of boxes.
        rows: METHOD[@PRESET][:OPTION=VALUE,...], such as fido@fast:steps=30, random, or centre.
        infill: the fills under which the region has to hold; a method with one infiller has the
            first.
        unseen: fills that took no part, each a judge of the region.
        judge: other classifiers of the same classes that judge the region, NAME or NAME=WEIGHTS as
            `fidojax.networks.load` takes them.
        hold: share of the probability between 0 and 1, or first.
        objective: ssr, sdr, or dual.
        against: the row with which the areas of all others are compared.
        again: rows that are repeated with another seed.
        maps: NAME=FILE, maps of other libraries, as own-maps takes them.
        crop: share of the shorter side that the centre crop keeps.
        orders: also deletion and insertion, most of the scores' time.
    """
    share = hold if hold == "first" else _share(hold)
    check_hold(share, objective)
    subject = photo_subject(run, crop)
    fills = tuple(make_infill(name) for name in infill)
    chosen = {spec: row_of_spec(spec, infill, objective) for spec in rows}
    chosen |= rows_of_files(run, subject, maps)
    check_name("against", against, chosen)
    for spec in again:
        check_name("again", spec, chosen)
        row = chosen[spec]._replace(seed=1, like=spec, scores=("holding", "like"))
        chosen[f"{spec}, another seed"] = row
    judges = {" and ".join(infill): Judge(fills)}
    judges |= {f"{name} infill": Judge((make_infill(name, "--unseen"),)) for name in unseen}
    others = load_judges(judge, subject.model)
    judges |= {name: Judge(fills, classifier) for name, classifier in others.items()}
    boxes = any(own is not None and len(own) for own in subject.drawn.boxes)
    kinds = {
        "holding": holding_scores(judges, hold=share, holds=HOLDS, objective=objective, boxes=boxes)
    }
    numbers = list(kinds["holding"].numbers)
    if boxes:
        kinds["boxed"] = boxed()
        numbers += kinds["boxed"].numbers
    for name, fill in zip(infill, fills, strict=True) if orders else ():
        prefix = "" if name == infill[0] else f"{name} "
        fingerprint = f"{name} {digest(fill)}"
        kinds[f"order-{name}"] = scores.order(fill, fingerprint, insertion=True, prefix=prefix)
        numbers += [f"{prefix}deletion50", f"{prefix}insertion50"]
    if again:
        kinds["like"] = scores.likeness()
        numbers += kinds["like"].numbers
    study = Study(
        name="holding",
        title="The region that carries the class",
        reference="Fong et al. 2019, Understanding Deep Networks via Extremal Perturbations",
        about=(
            "Photos whose class the classifier predicts. The smallest region of each map's order "
            f"that holds ({objective}) under the fills {', '.join(infill)} with hard and soft "
            "edges, and whether the class holds on it under fills that took no part, for other "
            "networks, and on controls of the same area."
        ),
        rows=chosen,
        scores=kinds,
        numbers=numbers,
        reading=READING,
        gallery="area 0.9",
        tables=lambda stored: _tables(stored, against, chosen, list(judges), objective),
    )
    settings = {
        "rows": rows, "infill": infill, "unseen": unseen, "judge": judge, "hold": hold,
        "objective": objective, "against": against, "again": again, "maps": maps, "crop": crop,
        "orders": orders,
    }  # fmt: skip
    conduct(study, run, subject, settings)


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"hold: expected a share between 0 and 1, or first, got {text!r}"
        ) from None


def _tables(
    stored: StoredRun,
    against: str,
    rows: Mapping[str, StudyRow],
    judges: Sequence[str],
    objective: str,
) -> dict[str, list[dict[str, str]]]:
    """The areas against those of one row, p for every judge, controls, and regions of two seeds."""
    keys = [f"area {hold:g}" for hold in HOLDS]
    others = [row for row in rows if row != against]
    title = f"Areas against {against} (pictures where both have a region)"
    found = {title: [{"row": row} | _against(stored, row, against, keys) for row in others]}
    says = {"alone": "p on the region", "without": "p without the region"}
    for side in {"ssr": ("alone",), "sdr": ("without",), "dual": tuple(says)}[objective]:
        columns = {"the picture": ("original0", None)}
        columns |= {name: (f"{side}{at}", None) for at, name in enumerate(judges)}
        columns |= {
            f"{name} of its area": (f"{side}_controls", at) for at, name in enumerate(CONTROLS)
        }
        found[f"{says[side]}, the worst over fills and edges"] = _means(stored, rows, columns)
    columns = {"the region": ("held0", None)}
    columns |= {f"{name} of its area": ("held_controls", at) for at, name in enumerate(CONTROLS)}
    found["Pictures on which the class holds"] = _means(stored, rows, columns)
    pairs = [(name, row.like) for name, row in rows.items() if row.like]
    if pairs:
        found["Regions of two seeds"] = [
            {"row": like, "intersection over union": _overlap(stored, like, name)}
            for name, like in pairs
        ]
    return found


def _means(
    stored: StoredRun, rows: Iterable[str], columns: Mapping[str, tuple[str, int | None]]
) -> list[dict[str, str]]:
    """A line for each row: the means of stored columns, each a name and an index, by title."""
    lines = []
    for row in rows:
        line = {"row": row}
        for title, (name, index) in columns.items():
            values = stored.column("holding", row, name)
            if values is None:
                line[title] = ""
                continue
            values = values if index is None else values[:, index]
            values = values[np.isfinite(values)]
            line[title] = intervals.interval(values).text() if len(values) else ""
        lines.append(line)
    return lines


def _against(stored: StoredRun, row: str, against: str, keys: Sequence[str]) -> dict[str, str]:
    line = {}
    for key in keys:
        ours, theirs = stored.values(key, row), stored.values(key, against)
        both = np.isfinite(ours) & np.isfinite(theirs)
        pair = ours[both], theirs[both]
        enough = both.any()
        line |= {
            f"{key}: pictures": str(both.sum()),
            f"{key}: difference": intervals.difference(*pair).text(signed=True) if enough else "",
            f"{key}: ratio": intervals.ratio(*pair).text() if enough else "",
        }
    return line


def _overlap(stored: StoredRun, one: str, other: str) -> str:
    """The intersection over union of the regions of two rows, over pictures where both have one."""
    first, second = (stored.column("holding", row, "region") for row in (one, other))
    if first is None or second is None:
        return ""
    first, second = np.nan_to_num(first) > 0, np.nan_to_num(second) > 0
    both = first.any((1, 2)) & second.any((1, 2))
    if not both.any():
        return ""
    inter = (first & second).sum((1, 2))[both]
    return intervals.interval(inter / (first | second).sum((1, 2))[both]).text()
