"""Tables of FIDO's ablations: A.1's factor of lambda, and whether there is a break (A.6)."""

from collections.abc import Sequence

import numpy as np

from eval import intervals
from eval.report.reading import StoredRun

BREAK = 4
"""Masks per step below which the paper finds its maps unsatisfactory (A.6)."""
FACTOR = 5
"""How many times FIDO's lambda BBMP needs for like maps, roughly (A.1)."""


def breaks(
    stored: StoredRun, infill: Sequence[str], samples: Sequence[int]
) -> list[dict[str, str]]:
    """What each doubling of the masks gains, and whether the one to `BREAK` gains more.

    A break is a doubling up to `BREAK` that gains more than the next one; the gains are of numbers
    of which lower is better, so that they are positive where the map improves.
    """
    counts = sorted(samples)
    lines = []
    for fill in infill:
        for key in ("components", "border", "deletion50"):
            of = stored.study["numbers"][key]
            values = [stored.values(key, f"{fill} {count:g}") for count in counts]
            both = np.isfinite(values).all(axis=0)
            gains = {
                more: (before - after)[both]
                for more, before, after in zip(counts[1:], values, values[1:], strict=False)
            }
            line = {"infill": fill, "number": of["label"], "pictures": str(both.sum())}
            line |= {
                f"gain up to {more}": _signed(gain, of["digits"]) for more, gain in gains.items()
            }
            after = counts[counts.index(BREAK) + 1 :] if BREAK in gains else []
            line["break"] = _signed(gains[BREAK] - gains[after[0]], of["digits"]) if after else ""
            lines.append(line)
    return lines


def _signed(values: np.ndarray, digits: int) -> str:
    return intervals.interval(values).text(digits, signed=True) if len(values) else ""


def factors(
    stored: StoredRun, infill: Sequence[str], bbmp_infill: Sequence[str], lam: Sequence[float]
) -> list[dict[str, str]]:
    """How many times FIDO's lambda BBMP needs for a region of FIDO's mean size.

    Between two weights the size is linear in the logarithm of the weight; beyond the largest it is
    not known.
    """
    lines = []
    for other in bbmp_infill:
        sizes = [np.nanmean(stored.values("size", f"bbmp-{other} {value:g}")) for value in lam]
        for fill in infill:
            for value in lam:
                wanted = np.nanmean(stored.values("size", f"fido-{fill} {value:g}"))
                found = np.interp(-wanted, -np.array(sizes), np.log(lam), left=np.nan, right=np.inf)
                factor = np.exp(found) / value
                text = f"{factor:.1f}" if np.isfinite(factor) else f"> {lam[-1] / value:.1f}"
                lines.append(
                    {
                        "FIDO": f"fido-{fill} {value:g}",
                        "its size": f"{wanted:.3f}",
                        "BBMP": f"bbmp-{other}",
                        "times FIDO's weight": "below the smallest" if np.isnan(factor) else text,
                    }
                )
    return lines
