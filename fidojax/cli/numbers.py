"""Numbers for records and for people."""

from typing import Any

import numpy as np


def as_number(value: Any) -> float | None:
    """A float for JSON; None if it is not finite, since JSON has no such numbers."""
    number = float(value)
    return number if np.isfinite(number) else None


def percent(share: Any) -> str:
    """A share in [0, 1] as a percentage; rounding never gives 0 % or 100 %."""
    value = 100 * float(share)
    if 0 < value < 0.05:
        return "< 0.1 %"
    if 99.95 <= value < 100:
        return "> 99.9 %"
    return f"{value:.1f} %" if 0 < value < 100 else f"{value:.0f} %"
