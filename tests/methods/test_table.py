"""A method, and an infiller, is one function and one row: everything else finds it there."""

import inspect
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import eval.run  # noqa: F401  # the protocols import the explainers, and these a protocol's control
import fidojax
from eval import explainers
from fidojax import cite
from fidojax.bench import passes_per_map
from fidojax.cli import main
from fidojax.cli.job import prepare
from fidojax.cli.options import Explain
from fidojax.core import Loop
from fidojax.core import loop as loops
from fidojax.methods import METHOD_ROWS, RENAMED_METHODS, MethodRow, method_row, register_method
from fidojax.networks.explainers import load_encoder, load_masker
from infillers import (
    INFILLER_ROWS,
    INFILLERS,
    InfillerRow,
    make_infill,
    parse_infill,
    register_infiller,
)

ROOT = Path(__file__).parents[2]


def toy(key, classifier, image, target, *, infill, strength=1.0):
    """Saliency by the brightness of the picture.

    Reference: none.
    """
    classifier(infill(key, image, jnp.zeros(image.shape[:2]))[None])
    return fidojax.Explanation(strength * image.mean(-1), None)


def toy_steps_loop(*, steps=3) -> Loop:
    """A loop that counts its steps."""

    def step(classifier, image, target, state):
        return state + classifier(image[None])[0, target] * 0 + 1, None

    def finish(classifier, image, target, state, history):
        return fidojax.Explanation(jnp.full(image.shape[:2], state), None)

    return Loop(steps, lambda key, classifier, image, target: 0 * image.sum(), step, finish, 2)


toy_steps = loops.method(toy_steps_loop)


def grey(level=0.5):
    """One shade of grey."""
    return Partial(_grey, jnp.asarray(level, jnp.float32))


def _grey(level, key, image, mask):
    del key, mask
    return jnp.full_like(image, level)


@pytest.fixture
def methods(monkeypatch):
    """The table with two methods more."""
    rows = (
        MethodRow(
            function=toy,
            says="how bright the picture is",
            unit="{keep} brightness",
            papers=("rise",),
            limits=(0.0, 5.0),
            mask=True,
            quick={"strength": 2.0},
            evaluation={"infill": "mean"},
            differs="strength 2, not 1",
        ),
        MethodRow(
            function=toy_steps, loop=toy_steps_loop, says="steps", unit="steps", papers=("fido",)
        ),
    )
    with monkeypatch.context() as patch:
        for row in rows:
            patch.setitem(METHOD_ROWS, row.name, row)  # taken out at the end
            del METHOD_ROWS[row.name]
            register_method(row)
        yield
    assert not {"toy", "toy_steps"} & {*fidojax.METHODS}


@pytest.fixture
def infiller(monkeypatch):
    """The table with one infiller more."""
    row = InfillerRow(factory=grey, says="one shade of grey", sees="nothing", papers=("road",))
    with monkeypatch.context() as patch:
        patch.setitem(INFILLER_ROWS, "grey", row)
        del INFILLER_ROWS["grey"]
        register_infiller(row)
        yield
    assert "grey" not in INFILLERS


@pytest.mark.usefixtures("methods")
def test_a_registered_method_is_everywhere(planted, capsys):
    assert fidojax.METHODS["toy"] is getattr(fidojax, "toy") is toy  # noqa: B009
    assert fidojax.LOOPS["toy_steps"] is toy_steps_loop
    assert "toy" not in fidojax.LOOPS

    images = np.full((2, 12, 12, 3), 0.5, np.float32)
    options = {"infill": INFILLERS["mean"](), "strength": 3.0}
    maps = fidojax.explain_batch("toy", planted, images, [0, 0], options=options).saliency
    np.testing.assert_allclose(maps, 1.5)
    maps = fidojax.explain_batch("toy_steps", planted, images, [0, 0], options={"steps": 4})
    np.testing.assert_allclose(maps.saliency, 4)

    assert cite.cite("toy") == cite.BIBTEX["rise"]
    assert main(["list"]) == 0
    said = f"toy {method_row('toy').says}; needs an infiller"
    assert said in " ".join(capsys.readouterr().out.split())

    row = method_row("toy")
    assert (row.meaning({}), row.meaning({"objective": "sdr"})) == (
        "keep brightness",
        "drop brightness",
    )
    assert row.limits == (0, 5)
    assert not row.is_signed(np.array([-1.0]))

    assert passes_per_map("toy", options, (12, 12, 3), 2) == (1, 0)
    assert passes_per_map("toy_steps", {}, (12, 12, 3), 2) == (6, 6)

    setting = explainers.settings()["toy"]
    assert setting.options["strength"] == 2.0
    assert setting.why == "strength 2, not 1"
    (study_row,) = explainers.explainers(["toy"], {}, "fast", "mnist").values()
    assert (study_row.method, study_row.cut) == ("toy", "absolute")

    job = prepare(Explain(method="toy", classifier="mnist", set=("strength=4",)))
    assert (job.method, job.infill, job.options["strength"]) == ("toy", ("mean:color=0.0",), 4)
    with pytest.raises(ValueError, match="there is a 'toy' already"):
        register_method(row)


@pytest.mark.usefixtures("methods", "infiller")
def test_the_documentation_lists_what_is_registered():
    page = runpy.run_path(str(ROOT / "docs" / "write_methods.py"))["page"]()
    assert "| `toy` | how bright the picture is | keep or drop brightness, in [0, 5] |" in page
    assert "| `toy_steps` * |" in page
    assert "| `grey` | one shade of grey | nothing | Rong et al. 2022" in page


def test_the_documentation_is_fresh():
    written = runpy.run_path(str(ROOT / "docs" / "write_methods.py"))
    text = written["PAGE"].read_text("utf-8")
    assert text == written["page"](), "run python docs/write_methods.py"
    for target in {t for t in _links(text) if not t.startswith("http")}:
        assert (ROOT / "docs" / target).exists(), target


def _links(text):
    return [part.partition(")")[0] for part in text.split("](")[1:]]


@pytest.mark.usefixtures("infiller")
def test_a_registered_infiller_is_everywhere(capsys):
    image = jnp.zeros((4, 4, 3))
    filled = make_infill("grey:level=0.25")(jax.random.key(0), image, image[..., 0])
    np.testing.assert_array_equal(filled, 0.25)
    assert parse_infill("grey:0.25", first=True) == ("grey", {"level": 0.25})
    assert cite.cite("grey") == cite.BIBTEX["road"]
    assert main(["list"]) == 0
    assert "One shade of grey (level=0.5)" in " ".join(capsys.readouterr().out.split())
    job = prepare(Explain(method="occlusion", classifier="mnist", infill=("grey:level=0.25",)))
    assert job.infill == ("grey:level=0.25",)
    (name,) = explainers.explainers(["bbmp"], {"bbmp": ["grey"]}, "fast", "mnist")
    assert name == "bbmp-grey"
    row = INFILLER_ROWS["grey"]
    with pytest.raises(ValueError, match="there is a 'grey' already"):
        register_infiller(row)
    with pytest.raises(ValueError, match="sees: there is no 'some'"):
        register_infiller(InfillerRow(factory=grey, says="", sees="some", papers=()))


@pytest.mark.parametrize("name", METHOD_ROWS)
def test_a_row_agrees_with_its_method(name):
    row = METHOD_ROWS[name]
    assert row.name == name
    assert row.says
    assert row.unit
    assert {*row.papers} <= cite.BIBTEX.keys()
    options = {*inspect.signature(row.function).parameters}
    assert {*row.quick, *row.evaluation} <= options
    if row.loop is not None:
        assert options >= {*inspect.signature(row.loop).parameters}
    if row.mask:
        assert row.limits == (0, 1)


@pytest.mark.parametrize("name", INFILLER_ROWS)
def test_a_row_agrees_with_its_infiller(name):
    row = INFILLER_ROWS[name]
    assert row.name == name
    assert {*row.papers} <= cite.BIBTEX.keys()


@pytest.mark.parametrize(("old", "new"), RENAMED_METHODS.items())
def test_old_names_of_methods_warn_and_work(old, new):
    with pytest.warns(DeprecationWarning, match=f"'{old}' is now called '{new}'"):
        assert fidojax.METHODS[old] is fidojax.METHODS[new]
    with pytest.warns(DeprecationWarning, match=new):
        assert method_row(old).name == new
    assert old not in [*fidojax.METHODS]


def test_old_names_work_wherever_a_method_is_named(planted):
    images = np.zeros((1, 12, 12, 3), np.float32)
    with pytest.warns(DeprecationWarning, match="center_box"):
        fidojax.explain_batch("center", planted, images, [0])
    with pytest.warns(DeprecationWarning, match="center_box"):
        assert fidojax.over_keys("center", 2).method is fidojax.center_box
    with pytest.warns(DeprecationWarning, match="max_box"):
        assert prepare(Explain(method="max", classifier="mnist")).method == "max_box"
    with pytest.warns(DeprecationWarning, match="max_box"):
        assert cite.cite("max") == cite.BIBTEX["fido"]
    with pytest.warns(DeprecationWarning, match="max_box"):
        assert passes_per_map("max", {}, (12, 12, 3), 2) == (0, 0)
    with pytest.warns(DeprecationWarning, match="max_box"):
        assert [*explainers.explainers(["max"], {}, "fast", "mnist")] == ["max_box"]


def test_old_names_in_fidojax_warn_and_work():
    for old, new in (
        ("prediction_difference", fidojax.pda),
        ("lowered", fidojax.in_precision),
    ):
        with pytest.warns(DeprecationWarning, match=old):
            assert getattr(fidojax, old) is new
    for old, name, new in (
        ("encoders", "load_encoder", load_encoder),
        ("encoders", "load_masker", load_masker),
        ("pretrained", "load", fidojax.networks.load),
        ("adapters", "from_nnx", fidojax.networks.from_nnx),
    ):
        with pytest.warns(DeprecationWarning, match=old):
            assert getattr(getattr(fidojax, old), name) is new
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        getattr(fidojax, "absent")  # noqa: B009
