"""Maps for several weights in one run: the first is FIDO's, the next ones go on from it."""

import json
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from conftest import PLANTED, linear
from jax.tree_util import Partial

import fidojax
from benchmarks.fido_cost import lambda_paths
from fidojax.core.masks import upsample
from fidojax.engine import programs
from fidojax.engine.explain import lambda_path
from fidojax.methods.fido import fido_loop
from fidojax.methods.fido.path import fido_path, fido_path_loop
from infillers import mean, random

OPTIONS = {
    "infill": random(), "steps": 24, "samples": 2, "learning_rate": 0.3, "scale": "map",
    "smooth": 0.1, "final_smooth": 0.02, "temperature": 2.0, "final_temperature": 0.2, "warmup": 2,
}  # fmt: skip
LAMS = (0.002, 0.02, 0.2)
IMAGES = jnp.asarray(np.random.default_rng(0).uniform(0.4, 1, size=(3, 12, 12, 3)), jnp.float32)
CLASSIFIER = Partial(linear, jnp.zeros((12, 12, 3)).at[PLANTED].set(0.05))


def paths(lams=LAMS, options=OPTIONS, **more):
    settings = {"again": 8, "limit": 2.0, "batch_size": 3, **more}
    return lambda_path(CLASSIFIER, IMAGES, [0] * 3, lams, options=options, **settings)


def compiled_programs():
    compiled: Any = (programs.one_shot, programs.advance)
    return [program._cache_size() for program in compiled]


@pytest.fixture(scope="module")
def found():
    return paths()


def test_the_first_map_is_fidos(found):
    one = jax.jit(partial(fidojax.fido, lam=LAMS[0], **OPTIONS))
    alone = one(fidojax.image_keys(0, [1])[0], CLASSIFIER, IMAGES[1], 0)
    first = jax.tree.map(lambda leaf: leaf[0, 1], found)
    for ours, theirs in zip(jax.tree.leaves(first), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_next_ones_repeat_the_schedules_last_steps_from_the_map_before(found):
    loop = fido_loop(**OPTIONS)

    @jax.jit
    def step(lam, state):
        return fido_loop(**OPTIONS, lam=lam).step(CLASSIFIER, IMAGES[1], 0, state)[0]

    key = fidojax.image_keys(0, [1])[0]
    state = loop.init(key, CLASSIFIER, IMAGES[1], 0)
    for i in range(24):
        earlier = state if i == 16 else earlier if i else state
        state = step(LAMS[0], state)
    for stage in (1, 2):
        params = jnp.clip(state.params, -2.0, 2.0)
        seed = jax.random.fold_in(
            key, fido_path_loop(lams=jnp.asarray(LAMS), again=8, **OPTIONS).steps + stage
        )
        state = earlier._replace(params=params, key=seed)
        for _ in range(8):
            state = step(LAMS[stage], state)
        keep = upsample(state.average, (12, 12))
        np.testing.assert_allclose(found.saliency[stage, 1], keep, atol=1e-4)


def test_every_leaf_has_the_weights_first_and_then_the_pictures(found):
    assert found.saliency.shape == (3, 3, 12, 12)
    assert found.info.reference.shape == (3, 3, 12, 12, 3)
    for leaf in jax.tree.leaves(found):
        assert leaf.shape[:2] == (3, 3)
    done = np.isfinite(found.info.objective)
    np.testing.assert_array_equal(done.sum(axis=2), [[24] * 3, [8] * 3, [8] * 3])
    assert done[:, :, -8:].all()


def test_a_larger_weight_leaves_a_smaller_region(found):
    deletion = paths(options=OPTIONS | {"objective": "sdr", "infill": mean(0.0)})
    for maps in (found, deletion):
        size = maps.saliency.mean(axis=(2, 3))
        assert (size[1:] < size[:-1] - 0.02).all()


def test_the_next_weight_goes_on_from_the_map_before():
    """A weight that is repeated stays where it was; from logits of 0 it would be far away."""
    before = compiled_programs()
    kept, anew = (paths((0.02,) * 3, limit=limit).saliency for limit in (50.0, 0.0))
    change, other = (np.abs(maps[1] - maps[0]).mean() for maps in (kept, anew))
    assert change < 0.5 * other
    assert compiled_programs() == before  # not recompiled


def test_one_weight_is_a_path():
    explain = partial(fido_path, lams=jnp.asarray(LAMS[:1]), again=8, **OPTIONS)
    shapes = jax.eval_shape(explain, jax.random.key(0), CLASSIFIER, IMAGES[0], 0)
    assert shapes.saliency.shape == (1, 12, 12)
    assert shapes.info.objective.shape == (1, 24)


def test_each_mask_costs_an_evaluation():
    loop = fido_path_loop(lams=jnp.asarray(LAMS), again=8, **OPTIONS)
    assert (loop.steps, loop.evaluations) == (24 + 2 * 8, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lams": ()}, "lams has shape"),
        ({"again": 25}, "again is 25, expected at most the schedule's 24 steps"),
        ({"again": 0}, "again is 0"),
        ({"stop": fidojax.Stop()}, "cannot end early"),
        ({"options": OPTIONS | {"scale": "pixels"}}, "scale"),
        ({"options": OPTIONS | {"lam": 0.1}}, "options hold lam"),
    ],
)
def test_what_cannot_be_is_said(change, message):
    with pytest.raises(ValueError, match=message):
        paths(**change)


def test_the_benchmark_compares_a_path_with_runs_of_their_own(tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    for i, picture in enumerate(np.random.default_rng(3).integers(0, 256, (3, 28, 28), np.uint8)):
        PIL.Image.fromarray(picture).save(tmp_path / "pictures" / f"{i}.png")
    config = lambda_paths.Config(
        out=tmp_path / "out", network="mnist", pictures=(str(tmp_path / "pictures"),), samples=8,
        lams=(1e-3, 1e-2), again=4, part="tune", batch_size=2,
    )  # fmt: skip
    found = lambda_paths.main(config)
    own, short, along = (found[name] for name in ("own", "short", "path"))
    np.testing.assert_allclose(along[0]["objective"], own[0]["objective"], atol=0.02)
    assert (along[0]["like"] > 0.99).all()
    assert (along[1]["objective"] < short[1]["objective"]).all()
    np.testing.assert_allclose(own[0]["like"], 1, atol=1e-6)
    text = capsys.readouterr().out
    assert "| 0.01 | path | 16 |" in text
    assert "| 0.001 | path | 240 |" in text
    table = json.loads((tmp_path / "out" / "table.json").read_text("utf-8"))
    np.testing.assert_allclose(table["path"][1]["objective"], along[1]["objective"])
