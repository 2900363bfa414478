"""Shorter settings of methods that at their papers' constants take minutes for a picture.

Their cost per pass of the classifier is the same.
"""

from typing import Any

SHORTER: dict[str, dict[str, Any]] = {
    "pda": {"window": 16, "stride": 8},
    "prediction_difference": {"stride": 16, "samples": 2},
    "rise": {"samples": 1000},
    "expected_gradients": {"samples": 50},
}
"""By method: options that differ from its defaults."""
