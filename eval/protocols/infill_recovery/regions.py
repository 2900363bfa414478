"""FIDO's regions of the pictures of a run: found once, stored, and filled by every infiller."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from eval import scores
from eval.judges import load_judges
from eval.protocols.infill_recovery.kinds import REGION
from eval.row_specs import row_of_spec
from eval.runner import conduct
from eval.scores import Number
from eval.study import Study
from eval.subject import StudyRun, Subject, logits
from fidojax.data import Picture
from fidojax.runs import DONE, find_ledger

ROW = "fido"
INFILL = ("mean", "blur")
"""The fills under which a region holds: none of the learned ones, which are judged on it."""


def find_regions(run: StudyRun, of: Subject, classifier: str, command: str) -> None:
    """Explain the pictures by FIDO with the preset `hold`: a run of its own in `OUT/regions`.

    Args:
        classifier: NAME or NAME=WEIGHTS of the network that FIDO explains.
        command: the command line of the whole run.
    """
    ((name, explained),) = load_judges([classifier], of.model).items()
    predictions = logits(explained, of.drawn.images).argmax(1)
    model = of.model._replace(name=name, classifier=explained)
    # The regions that a method has read out are stored with its maps.
    row = row_of_spec(f"{ROW}@hold", INFILL, "ssr")._replace(record=None)
    area = Number("area of the region", "low", 3, "region_area")
    study = Study(
        name="infill-recovery",
        title="The regions that the infillers fill",
        reference="Chang et al. 2019, Explaining Image Classifiers by Counterfactual Generation",
        about=f"FIDO with the preset hold and the fills {' and '.join(INFILL)}, explaining {name}.",
        rows={ROW: row},
        scores={"region": scores.recorded({"area": area})},
        numbers=["area"],
        reading=("Where FIDO has found no region, its area is missing from the mean.",),
    )
    own = replace(run, out=run.out / "regions", classifier=name, weights=None)
    subject = Subject(model, of.drawn._replace(predictions=predictions))
    conduct(study, own, subject, {"regions": classifier}, command)


def stored_regions(out: Path, batch: Sequence[Picture]) -> Mapping[str, np.ndarray]:
    """The option `region` of some pictures, from `OUT/regions`; zeros where FIDO failed."""
    ledger = find_ledger(out / "regions" / "results.zarr" / "rows" / ROW)
    found = np.zeros((len(batch), *batch[0].image.shape[:2]), np.float32)
    if ledger is not None and REGION in ledger.names:
        done = ledger.status == DONE
        rows = {name: row for row, name in enumerate(ledger.ids) if done[row]}
        there = [place for place, picture in enumerate(batch) if picture.id in rows]
        found[there] = ledger.read(REGION, [rows[batch[place].id] for place in there])
    return {REGION: found}
