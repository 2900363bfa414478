"""Maps and object boxes."""

import numpy as np
import pytest

from eval.judging import outside


def test_outside_is_the_share_of_the_map_outside_all_boxes():
    on = np.zeros((4, 6), bool)
    on[0, 0] = on[1, 1] = on[3, 5] = True
    boxes = np.array([[0, 0, 2, 2], [0, 1, 1, 3]])
    assert outside(on, boxes) == pytest.approx(1 / 3)
    assert np.isnan(outside(on, None))
    assert np.isnan(outside(np.zeros((4, 6), bool), boxes))
