"""What failed, written down with the page of all results."""

from collections.abc import Sequence
from datetime import UTC, datetime

from fidojax.cli.job import Job
from fidojax.cli.outcome import versions
from fidojax.cli.page import page
from fidojax.cli.records import EXPLAINED, Results
from fidojax.data import BadPicture


def write_index(
    results: Results, job: Job, shard: tuple[int, int], failures: Sequence[BadPicture]
) -> None:
    """Write the run's file and index.html.

    A failure stays there until its file is tried again, and goes when that succeeds.

    Args:
        failures: of this run so far.
    """
    records = list(results.records())
    explained = {
        record["source"]
        for record in records
        if record["status"] == EXPLAINED and record["settings_digest"] == job.digest
    }

    def with_ours(before: Sequence[dict[str, str]]) -> list[dict[str, str]]:
        found = {bad["source"]: bad for bad in before if bad["source"] not in explained}
        ours = [{"source": bad.source, "reason": bad.reason} for bad in failures]
        return list((found | {bad["source"]: bad for bad in ours}).values())

    results.store_run(
        job.digest, shard,
        {
            "settings": dict(job.settings),
            "versions": versions(),
            "updated": datetime.now(UTC).isoformat(timespec="microseconds"),
            "failures": with_ours(results.failures(job.digest, shard)),
        },
    )  # fmt: skip
    runs = results.runs()
    runs[job.digest]["failures"] = with_ours(runs[job.digest]["failures"])
    results.write_page(page(runs, records))
