"""Rows in batches of one shape."""

import numpy as np
import pytest

from fidojax.engine.batches import in_batches


@pytest.mark.parametrize(("count", "calls"), [(1, 1), (3, 1), (6, 2), (7, 3)])
def test_every_row_once_by_batches_of_one_shape(count, calls):
    values, seen = np.random.default_rng(0).random((count, 2)), []

    def compute(rows):
        seen.append(rows)
        return {"double": 2 * values[rows], "sum": values[rows].sum(1)}

    found = in_batches(compute, count, 3)
    np.testing.assert_array_equal(found["double"], 2 * values)
    np.testing.assert_array_equal(found["sum"], values.sum(1))
    assert [rows.shape for rows in seen] == [(3,)] * calls
    assert max(map(max, seen)) == count - 1  # what fills the last batch is a row that exists
