"""Fingerprints of weights and pictures, and quartiles as text."""

import numpy as np

from eval.report import Box, markdown_table, quartile_table
from fidojax.runs import digest


def test_digest_tells_arrays_apart():
    one = {"a": np.zeros((2, 3), np.float32)}
    assert digest(one) == digest({"a": np.zeros((2, 3), np.float32)})
    assert digest(one) != digest({"a": np.zeros((3, 2), np.float32)})
    assert digest(one) != digest({"a": np.full((2, 3), 1e-7, np.float32)})


def test_box_is_median_and_quartiles():
    box = Box.of(np.array([4.0, 0.0, 1.0, 3.0, 2.0]))
    assert box == (2.0, 1.0, 3.0)
    assert box.text() == "2.0 (1.0–3.0)"  # noqa: RUF001
    assert np.isnan(Box.of(np.array([1.0, np.nan])).median)
    assert markdown_table([{"a": "1", "b": "2"}]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_quartile_table_leaves_out_what_a_row_does_not_have():
    samples = {
        "one": {"a": np.array([1.0, 2.0, 3.0, np.nan]), "b": np.array([np.nan])},
        "two": {"c": np.array([4.0])},
    }
    assert quartile_table(samples, 1) == [
        {"row": "a", "one": "2.0 (1.5–2.5)", "two": ""},  # noqa: RUF001
        {"row": "c", "one": "", "two": "4.0 (4.0–4.0)"},  # noqa: RUF001
    ]
