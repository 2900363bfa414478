"""Each learned infiller against every other infiller, paired, by kind of holes."""

from collections.abc import Mapping, Sequence

import numpy as np

from eval.intervals import Interval, means
from eval.report.reading import StoredRun

COMPARED = ("probability", "distance", "rms")
"""The numbers that are compared, of every judge."""


def standings(
    run: StoredRun,
    fills: Sequence[str],
    ours: Sequence[str],
    kinds: Mapping[str, str],
    panels: Sequence[str],
    measured: Mapping[str, tuple[str, str]],
) -> dict[str, list[dict[str, str]]]:
    """Two tables: who is above whom in short, and every difference with its interval.

    Above is better: a higher probability, a lower distance or error. It is said only where the
    whole 95% interval of the paired difference of the means lies on that side of zero.

    Args:
        fills: all infillers of the run, among them the truth, which is not compared.
        ours: the learned ones.
        kinds: titles by kind of holes, in the order of the stored columns.
        panels: the kinds that are compared.
        measured: by stored column its label and which values are better.
    """
    others = [fill for fill in fills if run.study["rows"][fill]["group"] != "controls"]
    names = [name for name in measured if name.rstrip("0123456789") in COMPARED]
    short, whole = [], []
    for name in names:
        label, better = measured[name]
        for fill in ours:
            against = [other for other in others if other != fill]
            pairs = _ahead(run, name, better, fill, against, [[*kinds].index(k) for k in panels])
            line = {"infill": fill, "by": label}
            short.append(line | {kinds[k]: _verdict(pairs[at]) for at, k in enumerate(panels)})
            whole += [
                {"infill": fill, "against": other, "by": label}
                | {kinds[k]: _text(pairs[at].get(other)) for at, k in enumerate(panels)}
                for other in against
            ]
    if not whole:
        return {}
    return {
        "Learned infillers against every other infiller, above is better": short,
        "By how much they are better than each: paired differences of the means": whole,
    }


def _ahead(
    run: StoredRun,
    name: str,
    better: str,
    fill: str,
    against: Sequence[str],
    places: Sequence[int],
) -> list[dict[str, Interval]]:
    """For each place of a kind, by other infiller, how much better `fill` is in the mean."""
    sign = 1 if better == "high" else -1
    values = {each: run.column("quality", each, name) for each in (fill, *against)}
    columns = [
        sign * (values[fill][:, at] - values[other][:, at])  # type: ignore[index]
        for at in places
        for other in against
        if values[fill] is not None and values[other] is not None
    ]
    if len(columns) < len(places) * len(against) or not columns:
        return [{} for _ in places]
    found = iter(means(np.stack(columns, axis=1)))
    return [{other: next(found) for other in against} for _ in places]


def _verdict(pairs: Mapping[str, Interval]) -> str:
    """Such as "above all 5", or "above 3; not told apart: local; below: ca"."""
    pairs = {other: each for other, each in pairs.items() if np.isfinite(each.value)}
    above = [other for other, each in pairs.items() if each.low > 0]
    below = [other for other, each in pairs.items() if each.high < 0]
    rest = [other for other in pairs if other not in above and other not in below]
    if not pairs:
        return ""
    if len(above) == len(pairs):
        return f"above all {len(pairs)}"
    parts = [f"above {len(above)}"]
    parts += [f"not told apart: {', '.join(rest)}"] if rest else []
    parts += [f"below: {', '.join(below)}"] if below else []
    return "; ".join(parts)


def _text(each: Interval | None) -> str:
    return "" if each is None or not np.isfinite(each.value) else each.text(signed=True)
