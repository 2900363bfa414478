"""Holes: how large, where, and the same under jit and vmap."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infillers.holes import blobs, box, centred, free_form, random_pixels, rectangle

SHAPE = (24, 20)
KEYS = jax.random.split(jax.random.key(0), 300)
KINDS = {
    "random_pixels": lambda key: random_pixels(key, SHAPE),
    "rectangle": lambda key: rectangle(key, SHAPE, (6, 9)),
    "free_form": lambda key: free_form(key, SHAPE),
    "blobs": lambda key: blobs(key, SHAPE, 0.3, 6.0),
}


def draw(kind, count: int = len(KEYS)) -> np.ndarray:
    """So many masks of one kind, a function of the key."""
    return np.asarray(jax.jit(jax.vmap(kind))(KEYS[:count]))


@functools.cache
def drawn(name: str) -> np.ndarray:
    """Many masks of one of the kinds."""
    return draw(KINDS[name])


@pytest.mark.parametrize("name", KINDS)
def test_masks_are_hard_and_differ_with_the_key(name):
    masks = drawn(name)
    assert masks.shape == (300, *SHAPE)
    assert masks.dtype == np.float32
    assert set(np.unique(masks)) == {0, 1}
    assert len(np.unique(masks, axis=0)) > 100


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 1.0])
def test_random_pixels_are_kept_each_for_itself(keep):
    masks = draw(lambda key: random_pixels(key, SHAPE, keep))
    assert float(masks.mean()) == pytest.approx(keep, abs=0.005)
    # Of a mask the share varies as that of independent coins.
    spread = np.sqrt(keep * (1 - keep) / (24 * 20))
    assert float(masks.mean((1, 2)).std()) == pytest.approx(spread, rel=0.15, abs=1e-6)


def test_more_kept_pixels_of_the_same_key_contain_the_fewer():
    few, many = (random_pixels(KEYS[0], SHAPE, keep) for keep in (0.3, 0.6))
    assert float(few.sum()) < float(many.sum())
    assert float(jnp.max(few - many)) == 0


def test_a_rectangle_lies_fully_inside_and_anywhere():
    sides = (6, 9)
    places = set()
    for mask in draw(lambda key: rectangle(key, SHAPE, sides)):
        rows, columns = np.nonzero(mask == 0)
        top, left = rows.min(), columns.min()
        assert (rows.max() - top + 1, columns.max() - left + 1, rows.size) == (*sides, 54)
        places.add((int(top), int(left)))
    tops, lefts = (set(part) for part in zip(*places, strict=True))
    assert tops == set(range(24 - 6 + 1))
    assert lefts == set(range(20 - 9 + 1))


def test_a_rectangle_as_large_as_the_picture_takes_all():
    assert float(rectangle(KEYS[0], SHAPE, SHAPE).sum()) == 0


def test_sides_of_a_rectangle_may_be_traced():
    all_sides = jnp.array([[3, 4], [7, 2]])
    masks = jax.jit(jax.vmap(lambda sides: rectangle(KEYS[1], SHAPE, sides)))(all_sides)
    np.testing.assert_array_equal((1 - masks).sum((1, 2)), [12, 14])


@pytest.mark.parametrize("shape", [(64, 64), (28, 28), (12, 20)])
def test_the_centred_hole_takes_a_quarter_of_the_area_in_the_middle(shape):
    hole = 1 - centred(shape)
    assert float(hole.mean()) == 0.25
    np.testing.assert_array_equal(hole, hole[::-1, ::-1])
    assert float(hole[shape[0] // 2, shape[1] // 2]) == 1


def test_a_centred_hole_may_take_other_shares():
    assert float((1 - centred((20, 20), 0.49)).sum()) == 14 * 14
    assert float(centred((20, 20), 1.0).sum()) == 0
    with pytest.raises(ValueError, match="part is 2, expected a share"):
        centred((20, 20), 2)


def test_a_box_is_half_open():
    np.testing.assert_array_equal(
        box((4, 5), 1, 2, (2, 3)),
        [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]],
    )


def test_strokes_are_connected_lines_of_their_width():
    """One straight stroke: all its pixels lie within half a width of one line."""
    masks = draw(lambda key: free_form(key, (64, 64), 1, 1, (0.1, 0.1), (0.3, 0.3)), 50)
    whole = 0
    for mask in masks:
        rows, columns = np.nonzero(mask == 0)
        if min(rows.min(), columns.min()) == 0 or max(rows.max(), columns.max()) == 63:
            continue  # it left the picture
        points = np.stack([rows, columns], 1) - np.array([rows.mean(), columns.mean()])
        _, _, axes = np.linalg.svd(points, full_matrices=False)
        along, across = np.ptp(points @ axes.T, axis=0)
        whole += 1
        # Length 19.2 plus two round ends of radius 3.2; width 6.4; pixels have places, no extent.
        assert along == pytest.approx(25.6, abs=1.6)
        assert across == pytest.approx(6.4, abs=1.2)
    assert whole > 10


def test_a_stroke_goes_on_from_its_last_bend():
    """Its pixels form one region, whatever the bends."""
    from skimage.measure import label

    holes = 1 - draw(lambda key: free_form(key, (64, 64), 1, 8, (0.08, 0.08), (0.05, 0.1)), 40)
    # One that leaves the picture may come back elsewhere.
    inside = [hole for hole in holes if not _touches_border(hole)]
    assert len(inside) > 5
    assert all(np.max(label(hole, connectivity=2)) == 1 for hole in inside)  # type: ignore
    # Parts of at most 6.4 pixels that all began at one place would reach twice that far.
    extents = [np.ptp(np.argwhere(hole), axis=0).max() for hole in inside]
    assert np.median(extents) > 2 * 6.4 + 5.1


def _touches_border(hole) -> bool:
    return bool(hole[[0, -1]].any() or hole[:, [0, -1]].any())


def test_strokes_scale_with_the_picture():
    small, large = (1 - draw(lambda key, n=n: free_form(key, (n, n)), 200).mean() for n in (28, 64))
    assert 0.15 < large < 0.3
    assert small == pytest.approx(large, rel=0.05)


def test_wider_strokes_drop_more():
    wide = draw(lambda key: free_form(key, SHAPE, width=(0.2, 0.3)))
    assert wide.mean() < drawn("free_form").mean() - 0.1
    with pytest.raises(ValueError, match="bends is 0, expected at least 1"):
        free_form(KEYS[0], SHAPE, bends=0)


@pytest.mark.parametrize("keep", [0.05, 0.25, 0.5])
def test_blobs_keep_their_share_exactly_and_as_much_at_the_border(keep):
    masks = draw(lambda key: blobs(key, SHAPE, keep))
    np.testing.assert_allclose(masks.mean((1, 2)), keep, atol=1 / (24 * 20))
    border = np.concatenate([masks[:, :2].ravel(), masks[:, -2:].ravel()]).mean()
    assert border == pytest.approx(keep, rel=0.2)


def test_more_cells_make_more_and_smaller_blobs():
    def changes(cells):  # along rows, how often the mask turns from 0 to 1 or back
        masks = draw(lambda key: blobs(key, (64, 64), 0.5, cells), 50)
        return np.abs(np.diff(masks, axis=2)).sum(2).mean()

    few, some, many = map(changes, (4.0, 8.0, 32.0))
    # Zeros of Gaussian noise with correlation exp(-d^2 / (4 s^2)), s a quarter of half a cell's
    # square root: their number is proportional to the number of cells (Rice's formula).
    assert some / few == pytest.approx(2, rel=0.15)
    assert many / few == pytest.approx(8, rel=0.15)
