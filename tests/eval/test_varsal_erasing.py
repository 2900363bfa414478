"""The metric of VarSal's Figure 5a, and its protocol on small inputs."""

import importlib
import shutil
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import PIL.Image
import pytest
from conftest import PLANTED
from flax import nnx
from jax.tree_util import Partial

from eval import intervals, runner, subject
from eval.protocols.varsal import rankings
from eval.protocols.varsal.erasing import CLAIMED
from eval.protocols.varsal.erasing_report import ORDERINGS, behind, compare, nearing, verdict
from eval.report.findings import findings
from eval.report.reading import read
from eval.subject import StudyRun
from fidojax import gradient, networks
from fidojax.data import BadPicture, Picture
from fidojax.metrics import erasing
from fidojax.metrics.erasing import ERASED, ORDERS, SHARES
from fidojax.networks import weight_files
from fidojax.networks.varsal import VarSalNetwork
from fidojax.runs import Ledger, pack, unpack

# The package exports a function of the same name.
protocol: Any = importlib.import_module("eval.protocols.varsal.erasing")


def curved(weights, images):
    return jnp.tanh(jnp.einsum("nhwc,hwck->nk", images - 0.3, weights))


CURVED = Partial(curved, jax.random.normal(jax.random.key(0), (5, 6, 3, 4)))
IMAGE = jax.random.uniform(jax.random.key(1), (5, 6, 3))
TIES = jax.random.randint(jax.random.key(2), (5, 6), 0, 4).astype(jnp.float32)
"""A map of four values."""


def by_hand(image, saliency, share, order, erased):
    """One point of the curve, pixel by pixel."""
    color = {"black": 0.0, "grey": 0.5, "mean": image.mean((0, 1))}[erased]
    places = [(y, x) for y in range(5) for x in range(6)]
    places.sort(key=lambda at: -saliency[at])  # a stable sort
    if order == "lowest":
        places.reverse()
    other = image.copy()
    for at in places[: round(share * 30)]:
        other[at] = color
    p, q = (np.exp(np.asarray(CURVED(x[None]), np.float64)[0]) for x in (image, other))
    p, q = p / p.sum(), q / q.sum()
    return sum(p[k] * np.log(p[k] / q[k]) for k in range(4))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("erased", ERASED)
def test_equals_a_loop_over_pixels_with_ties(order, erased):
    shares = (0.0, 0.1, 0.4, 0.77, 1.0)
    found = erasing(KEY, CURVED, IMAGE, 0, TIES, shares=shares, order=order, erased=erased, chunk=2)
    image, saliency = np.asarray(IMAGE), np.asarray(TIES)
    expected = [by_hand(image, saliency, share, order, erased) for share in shares]
    np.testing.assert_allclose(found.curve, expected, atol=2e-6)
    np.testing.assert_array_equal(found.erased, [0, 3, 12, 23, 30])
    assert expected[1] > 1e-4


def test_a_perfect_map_is_below_a_random_one_below_its_inverse(planted):
    image = jax.random.uniform(jax.random.key(3), (12, 12, 3), minval=0.5)
    perfect = jnp.zeros((12, 12)).at[PLANTED].set(1.0)
    random = jax.random.uniform(jax.random.key(4), (12, 12))
    maps = jnp.stack([perfect, random, 1 - perfect])
    curves = jax.jit(jax.vmap(lambda each: erasing(KEY, planted, image, 0, each).curve))
    perfect, random, inverted = curves(maps)
    # The patch is 20 of 144 pixels: nothing is lost before 86 %.
    np.testing.assert_allclose(perfect[:8], 0, atol=1e-6)
    assert (perfect[:8] < random[:8]).all()
    assert (random[:8] < inverted[:8]).all()
    assert erasing(KEY, planted, image, 0, maps[0], order="highest").curve[1] == inverted[1] > 0.1


def test_batches_and_chunks_change_no_value_and_new_weights_do_not_trace_again():
    traces = 0

    def one(classifier, image, saliency):
        nonlocal traces
        traces += 1
        return erasing(KEY, classifier, image, 0, saliency, chunk=4).curve

    images, maps = jnp.stack([IMAGE, IMAGE**2]), jnp.stack([TIES, -TIES])
    together = jax.jit(jax.vmap(one, (None, 0, 0)))
    found = together(CURVED, images, maps)
    for i in range(2):
        alone = erasing(KEY, CURVED, images[i], 0, maps[i], chunk=100).curve
        np.testing.assert_allclose(found[i], alone, atol=1e-6)
    other = together(jax.tree.map(lambda leaf: 2 * leaf, CURVED), images, maps)
    assert not np.allclose(found, other)
    assert traces == 1


def test_what_cannot_be_is_refused(monkeypatch):
    assert np.isnan(erasing(KEY, CURVED, IMAGE, 0, TIES.at[0, 0].set(jnp.nan)).curve).all()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"order": "middle"}, "order: there is no 'middle'"),
        ({"erased": "white"}, "erased: there is no 'white'"),
        ({"shares": ()}, r"shares are \(\), expected at least one"),
        ({"shares": (0.1, 10)}, r"shares are \(0.1, 10\), expected .* in \[0, 1\]"),
        ({"chunk": 0}, "chunk is 0"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            erasing(KEY, CURVED, IMAGE, 0, TIES, **options)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=r"saliency has shape \(6, 5\), expected \(5, 6\)"):
        erasing(KEY, CURVED, IMAGE, 0, TIES.T)


def test_roughness():
    noise = np.random.default_rng(0).random((40, 50), np.float32)
    assert protocol.roughness(jnp.asarray(noise)) == pytest.approx(1 / 3, abs=0.01)
    ramp = jnp.arange(20.0).reshape(4, 5)
    # Of 15 steps down each is 5 places, of 16 to the side each is one.
    expected = (15 * 5 + 16) / 31 / 20
    assert float(protocol.roughness(ramp)) == pytest.approx(expected)


def spread(deviation, images):
    mean = jnp.full(images.shape[:3], 5.0)
    return mean, jnp.full_like(mean, 2 * jnp.log(deviation))


def test_a_sampled_map_is_drawn_from_the_posterior():
    image = jnp.zeros((40, 40, 1))
    key, encoder = jax.random.key(0), Partial(spread, jnp.float32(2.0))
    found = rankings.sampled(key, encoder, image, 0, encoder=encoder).saliency
    assert float(found.mean()) == pytest.approx(5, abs=0.2)
    assert float(found.std()) == pytest.approx(2, abs=0.15)


KEY = jax.random.key(0)
NOISE = np.random.default_rng(1).random((3, 28, 28, 1), np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The protocol on three pictures of noise, with tiny encoders and cheap FIDO and PDA."""
    folder = tmp_path_factory.mktemp("weights")
    for seed, name in enumerate(("one", "two")):
        network = VarSalNetwork(1, (2,), norm=False, rngs=nnx.Rngs(seed))
        weight_files.save(folder / f"{name}.npz", network)
    found = [
        *(Picture(f"digits/{i}", image, 0, source=f"{i}") for i, image in enumerate(NOISE)),
        BadPicture("digit 3", "the record is damaged"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "pictures", lambda *_, **__: found)
        patch.setattr(rankings, "PDA", {"window": 4, "stride": 12, "samples": 1})
        patch.setattr(rankings, "PRESETS", {"fast": {"steps": 2, "samples": 1, "size": 7}})
        patch.setattr(intervals, "RESAMPLES", 500)
        patch.setattr(runner, "SHOWN", 1)  # a large gallery takes long

        def call(out, encoder="one", standard="two", figures=False, seed=0, **options):
            options = {"fido_limit": 2, "pda_limit": 1} | options
            files = [name and str(folder / f"{name}.npz") for name in (encoder, standard)]
            given = StudyRun(out, classifier="mnist", batch_size=2, seed=seed)
            with pytest.MonkeyPatch.context() as patch:
                if not figures:
                    patch.setattr(protocol, "draw", lambda *_, **__: None)
                protocol.varsal_erasing(given, encoder=files[0], standard=files[1], **options)
            return out

        yield call


@pytest.fixture(scope="module")
def out(run, tmp_path_factory):
    """A finished run."""
    return run(tmp_path_factory.mktemp("run") / "out", figures=True)


ROWS = (*ORDERINGS, "varsal", "standard sampled")


def test_it_measures_every_ranking_at_every_share(out):
    stored = read(out)
    assert set(stored.study["rows"]) == set(ROWS)
    curves = {row: stored.curve("kl", row) for row in ROWS}
    counts = {row: int(np.isfinite(curve).all(axis=1).sum()) for row, curve in curves.items()}
    assert counts == dict.fromkeys(ROWS, 3) | {"fido": 2, "pda": 1}
    assert all(curve.shape == (3, len(SHARES)) for curve in curves.values())
    classifier = networks.load("mnist").classifier
    images = [NOISE[int(name.split("/")[1])] for name in stored.pictures.ids]
    # Compiled as in the protocol: pixels as far from the middle as others may differ by rounding.
    middle = jax.jit(lambda image: rankings.center(None, None, image, 0).saliency)(images[0])
    assert middle.argmax() in (13 * 28 + 13, 14 * 28 + 14)
    # The second is not symmetric.
    slopes = [
        gradient(KEY, classifier, jnp.asarray(x), classifier(x[None]).argmax()).saliency
        for x in images
    ]
    for name, maps in (("center", [middle] * 3), ("gradient", slopes)):
        kept = unpack(*pack(np.stack(maps)).values())  # the numbers are of the stored maps
        np.testing.assert_allclose(stored.maps(name), kept, rtol=2e-3, atol=1e-5)
        expected = [
            erasing(KEY, classifier, jnp.asarray(image), 0, jnp.asarray(map_)).curve
            for image, map_ in zip(images, stored.maps(name), strict=True)
        ]
        np.testing.assert_allclose(curves[name], expected, rtol=1e-3, atol=1e-5)
        means = [stored.values(f"kl{100 * share:.0f}", name).mean() for share in SHARES]
        np.testing.assert_allclose(means, np.mean(expected, axis=0), rtol=1e-3, atol=1e-5)
    found = findings(stored)
    ours = curves["varsal"]
    claims = {(each["worse"], each["number"]): each for each in found["claims"]}
    for name in ORDERINGS:
        for share in CLAIMED:
            at = round(share / 10) - 1
            gap = np.nanmean(curves[name][:, at] - ours[:, at])
            assert claims[name, f"kl{share}"]["difference"]["mean"] == pytest.approx(gap, rel=1e-3)
    assert sum(number == "roughness" for _, number in claims) == 3
    assert {row["varsal below"] for row in _table(stored, "Orderings")} == set(ORDERINGS)
    assert len(_table(stored, "Nearer")) == 3
    for name in ("curves", "priors", "samples"):
        with PIL.Image.open(out / "figures" / f"{name}.png") as file:
            assert min(file.size) > 300


def _table(stored, title):
    (found,) = (rows for name, rows in stored.tables.items() if name.startswith(title))
    return found


def test_a_lost_row_alone_is_run_again(out, run, capsys, monkeypatch):
    stored, tables = read(out), (out / "tables.json").read_text("utf-8")
    before = {row: stored.curve("kl", row) for row in ROWS}
    for part in ("rows", "scores/erased", "scores/roughness"):
        shutil.rmtree(out / "results.zarr" / part / "varsal sampled")
    written, write = [], Ledger.write

    def noted(ledger, *arguments):
        written.append(ledger.path.name)
        write(ledger, *arguments)

    monkeypatch.setattr(Ledger, "write", noted)
    run(out)
    assert set(written) == {"varsal sampled"}
    assert "left out digit 3: the record is damaged" in capsys.readouterr().out
    assert (out / "tables.json").read_text("utf-8") == tables
    for row in ROWS:
        np.testing.assert_array_equal(read(out).curve("kl", row), before[row])
    with pytest.raises(ValueError, match="other settings"):
        run(out, seed=1)


def test_another_encoder_has_a_run_of_its_own(out, run, tmp_path):
    with pytest.raises(ValueError, match="varsal holds results of other settings"):
        run(out, encoder="two")
    other = read(run(tmp_path / "out", encoder="two", standard=None, fido_limit=0, pda_limit=0))
    assert set(other.study["rows"]) == {
        *ROWS
    } - {"standard", "standard sampled", "fido", "pda"}  # fmt: skip
    for kind in ("", " sampled"):
        standard = read(out).curve("kl", f"standard{kind}")
        np.testing.assert_array_equal(other.curve("kl", f"varsal{kind}"), standard)


def test_the_verdicts(monkeypatch):
    """Curves that differ by known amounts, on pictures that differ by much more."""
    monkeypatch.setattr(intervals, "RESAMPLES", 500)
    rng = np.random.default_rng(0)
    level = rng.random((60, 1)) + 1
    above = {
        "varsal": (0, 0, 0, 0, 0),
        "random": (0.5, 0.5, 0.5, 0.5, 0.5),
        "center": (0.1, 0, 0.1, 0.1, -0.1),
        "gradient": (0.4, 0.4, 0.2, 0.4, 0.45),
        "integrated_gradients": (0.4, 0.4, 0.45, 0.4, 1.1),
        "varsal sampled": (0, 0, 0, 0, 0),
    }
    noise = rng.normal(0, 0.02, (len(above), 60, 5))
    noise[:, :, 1] -= noise[:, :, 1].mean(axis=1, keepdims=True)
    curves = {name: level + above[name] + noise[i] for i, name in enumerate(above)}
    curves["gradient"][40:] = np.nan
    heads = ["10%", "20%", "50%", "70%", "90%"]
    found = compare(curves, heads)
    gaps = behind(curves)
    words = [verdict(gap, below=False) for gap in gaps["center"]]
    assert words == ["holds", "undecided", "holds", "holds", "fails"]
    (center,) = (
        row
        for row in found["Orderings, by these intervals, at the shares"]
        if row["varsal below"] == "center"
    )
    assert [*center.values()] == [
        "center", "not in the paper", "10%, 50–70%", "90%", "20%"  # noqa: RUF001
    ]  # fmt: skip
    others = nearing(curves, heads)
    assert {name: verdict(gap) for name, gap in others.items()} == {
        "gradient nearer to random at 90% than at 50%": "holds",
        # From just below the control to far above it.
        "integrated_gradients nearer to random at 90% than at 50%": "fails",
    }
    expected = (0.5 - 0.45) - (0.5 - 0.2), 0.6 - 0.05
    for gap, value in zip(others.values(), expected, strict=True):
        assert gap.value == pytest.approx(value, abs=0.02)
        assert gap.high - gap.low < 0.05, "paired, so the pictures' levels do not matter"
    gap = gaps["gradient"][0]
    assert gap.value == pytest.approx(0.4, abs=0.01)
    assert gap.low > 0.38
