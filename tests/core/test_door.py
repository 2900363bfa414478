"""The door before methods, metrics and the engine: what is said of arguments that do not fit."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.tree_util import Partial

import fidojax
import infillers
from fidojax.core import by_name, checked_options, known_options, of_one_image

KEY = jax.random.key(0)
IMAGE = np.full((8, 8, 3), 0.5, np.float32)
MAP = np.ones((8, 8), np.float32)


def network(weights, images):
    return images.mean((1, 2)) @ weights


CLASSIFIER = Partial(network, 5 - 8 * np.eye(3, dtype=np.float32))
MEAN = infillers.mean(0.5)
FIDO: Any = fidojax.fido
GRADIENT: Any = fidojax.gradient
DELETION: Any = fidojax.metrics.deletion


def said(function, *arguments, **options):
    """The error of a call."""
    with pytest.raises((TypeError, ValueError)) as caught:
        function(*arguments, **options)
    return f"{type(caught.value).__name__}: {caught.value}"


NEAR = "fidoo"
GIVEN = (KEY, CLASSIFIER, IMAGE, 0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "fido needs the option infill: an infiller such as infillers.blur(), or its name"),
        ({"infill": MEAN, "step": 3}, "fido: there is no option 'step'; did you mean steps?"),
        ({"infill": MEAN, "lr": 3.0}, "fido: there is no option 'lr'; did you mean learning_rate?"),
        ({"infill": MEAN, "lambda": 3.0}, "fido: there is no option 'lambda'; did you mean lam?"),
        ({"infill": MEAN, "steps": "3"}, "fido: steps is '3', expected an integer"),
        ({"infill": MEAN, "steps": 3.0}, "fido: steps is 3.0, expected an integer"),
        ({"infill": MEAN, "size": "8"}, "fido: size is '8', expected an integer or None"),
        ({"infill": MEAN, "lam": "high"}, "fido: lam is 'high', expected a number"),
        ({"infill": MEAN, "lam": None}, "fido: lam is None, expected a number"),
        ({"infill": MEAN, "objective": 1}, "fido: objective is 1, expected a name"),
        ({"infill": MEAN, "antithetic": 1}, "fido: antithetic is 1, expected True or False"),
        ({"infill": 0.5}, "fido: infill is 0.5, expected an infiller such as infillers.blur(), or"),
        ({"infill": None}, "fido: infill is None, expected an infiller"),
        (
            {"infill": infillers.blur},
            "the function blur, which makes an infiller: call it, infill=",
        ),
        ({"infill": (MEAN, 0.5)}, "fido: infill is 0.5, expected an infiller"),
        ({"infill": ()}, "fido: infill is empty, expected an infiller or several"),
        ({"infill": "blurr"}, "infill: there is no 'blurr'; did you mean blur?"),
        ({"infill": "blur:sigm=3"}, "infill blur: there is no 'sigm'; did you mean sigma?"),
    ],
)
def test_options(options, sentence):
    """The pure method and the engine say the same."""
    assert sentence in said(FIDO, *GIVEN, **options)
    arguments: tuple[Any, ...] = ("fido", CLASSIFIER, IMAGE[None], [0])
    assert sentence in said(fidojax.explain_batch, *arguments, options=options)


@pytest.mark.parametrize(
    ("function", "options", "sentence"),
    [
        (fidojax.bbmp, {"infill": (MEAN, MEAN)}, "infill has 2 entries, expected one infiller"),
        (fidojax.object_box, {}, 'needs the option boxes: the boxes of the object, an array "b 4"'),
        (fidojax.varsal, {"encoder": "file.npz"}, "is 'file.npz', expected a trained encoder"),
        (fidojax.grad_cam, {"grid": "7"}, "grid is '7', expected a tuple or None"),
        (
            fidojax.grad_cam,
            {"steps": 7},
            "there is no option 'steps'; it is one of interpolation, score, grid",
        ),
        (fidojax.max_box, {"steps": 7}, "there is no option 'steps'; it has none"),
        (fidojax.smoothgrad, {"method": 7, "noise": "a"}, "noise is 'a', expected a number"),
    ],
)
def test_options_of_other_methods(function, options, sentence):
    assert sentence in said(function, *GIVEN, **options)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"key": 0}, "TypeError: key is 0, expected a random key: jax.random.key(0)"),
        ({"key": CLASSIFIER}, "TypeError: key is a Partial, expected a random key"),
        (
            {"key": jax.random.split(KEY)},
            "ValueError: key has shape (2,), expected one key: jax.vma",
        ),
        ({"classifier": "mnist"}, "classifier is 'mnist', expected a callable"),
        (
            {"classifier": nnx.Linear(3, 2, rngs=nnx.Rngs(0))},
            "a flax.nnx module, Linear: pass fido",
        ),
        (
            {"image": IMAGE[None]},
            "has shape (1, 8, 8, 3), expected one picture (h, w, c): fidojax.ex",
        ),
        (
            {"image": IMAGE[..., 0]},
            "has shape (8, 8), expected (h, w, c): [..., None] adds a channel",
        ),
        ({"image": IMAGE[0, 0]}, "ValueError: image has shape (3,), expected (h, w, c)"),
        (
            {"image": np.zeros((3, 32, 32))},
            "seems to be (c, h, w), expected (h, w, c): jnp.moveaxis",
        ),
        (
            {"image": (255 * IMAGE).astype(np.uint8)},
            "is of type uint8, expected floating numbers in",
        ),
        ({"image": "cat.jpg"}, "image is 'cat.jpg', expected an array (h, w, c) with values in"),
        ({"image": None}, "TypeError: image is of type NoneType, expected an array (h, w, c)"),
        ({"image": [[0.5], [0.5, 0.5]]}, "TypeError: image is of type list, expected an array"),
        ({"target": "cat"}, "network.target('cat') finds it"),
    ],
)
def test_arguments(changed, sentence):
    given = dict(zip(("key", "classifier", "image", "target"), GIVEN, strict=True)) | changed
    assert sentence in said(GRADIENT, **given)
    assert sentence in said(DELETION, **given, saliency=MAP, infill=MEAN)


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        (
            GIVEN[:3],
            {},
            "gradient needs its argument target, expected gradient(key, classifier, ima",
        ),
        (GIVEN, {"image": IMAGE}, "gradient got its argument image twice"),
        (
            (*GIVEN, "max"),
            {},
            "takes its options by name: gradient(key, classifier, image, target, N",
        ),
    ],
)
def test_places_of_arguments(arguments, options, sentence):
    assert sentence in said(GRADIENT, *arguments, **options)


@pytest.mark.parametrize(
    ("function", "changed", "sentence"),
    [
        ("explain", {"images": IMAGE}, "expected (n, h, w, c): images[None] is a batch of one"),
        ("explain", {"images": (255 * IMAGE[None]).astype(np.uint8)}, "is of type uint8, expected"),
        (
            "explain",
            {"targets": np.array(["cat"])},
            "TypeError: targets[0] is 'cat', expected the index of a",
        ),
        (
            "explain",
            {"targets": np.zeros((), int)},
            "targets have shape (), expected (1,), one class for each image",
        ),
        (
            "explain",
            {"infill": MEAN},
            "'infill'; those of the method go into options={\"infill\": ...}",
        ),
        ("explain", {"option": {}}, "there is no argument 'option'; did you mean options?"),
        (
            "explain",
            {"each": {"boxes": np.zeros((1, 1, 4))}},
            "gradient: there is no option 'boxes'",
        ),
        ("measure", {"infill": MEAN}, 'those of the metric go into options={"infill": ...}'),
        ("measure", {}, "deletion needs the option infill"),
        (
            "measure",
            {"options": {"infil": MEAN}},
            "deletion: there is no option 'infil'; did you m",
        ),
        (
            "measure",
            {"metric": "deletoin"},
            "metric: there is no 'deletoin'; did you mean deletion?",
        ),
    ],
)
def test_many_pictures(function, changed, sentence):
    shared = {"classifier": CLASSIFIER, "images": IMAGE[None], "targets": [0]}
    call: Any = fidojax.explain_batch if function == "explain" else fidojax.measure_batch
    own = (
        {"method": "gradient"}
        if function == "explain"
        else {"metric": "deletion", "maps": MAP[None]}
    )
    assert sentence in said(call, **shared | own | changed)


def test_an_infiller_by_its_name_is_that_infiller():
    one = jax.random.uniform(KEY, IMAGE.shape)
    mask = jnp.zeros((8, 8))
    for name, expected in (
        ("blur:sigma=2", infillers.blur(2.0)),
        ("mean:color=0.25", infillers.mean(0.25)),
    ):
        np.testing.assert_array_equal(by_name(name)(KEY, one, mask), expected(KEY, one, mask))
    assert by_name(("blur:sigma=2", MEAN))[1] is MEAN
    assert by_name(None, optional=True) is None
    assert by_name("vae") is by_name("vae")  # its weights are read once
    # Its arrays are its own, also where it is made while another function is traced.
    held = []
    jax.eval_shape(lambda: held.append(by_name("mean:color=0.25")))
    assert jax.tree.leaves(held) == [0.25]


def test_methods_metrics_and_the_engine_take_names(planted):
    image: Any = np.asarray(jax.random.uniform(KEY, (12, 12, 3)))
    options: Any = {"window": 6, "stride": 6}
    given = (KEY, planted, image, 0)
    right = fidojax.occlusion(*given, **options, infill=infillers.mean(0.25)).saliency
    by: Any = {"infill": "mean:color=0.25"}
    np.testing.assert_array_equal(fidojax.occlusion(*given, **options, **by).saliency, right)
    found = fidojax.explain_batch("occlusion", planted, image[None], [0], options=options | by)
    np.testing.assert_allclose(found.saliency[0], right, rtol=1e-5, atol=1e-6)


def test_functions_of_others_are_asked_for_their_options_too():
    def own(key, classifier, image, target, strength=1.0, *, again: int = 2):
        raise AssertionError

    def any_option(key, classifier, image, target, **options):
        raise AssertionError

    known = known_options(own)
    assert [*known.parameters] == ["strength", "again"]
    assert checked_options(known, {"again": 3}) == {"again": 3}
    with pytest.raises(TypeError, match="own: there is no option 'strengh'; did you mean strength"):
        checked_options(known, {"strengh": 3})
    assert checked_options(known_options(any_option), {"x": "y"}) == {"x": "y"}
    assert checked_options(known_options(own), {}, each=["again"]) == {}


def test_the_door_adds_nothing_to_a_program():
    """Under `jit`, `vmap` and `grad` it reads shapes and types: no operation is traced."""

    @of_one_image
    def nothing(key, classifier, image, target, *, infill, lam: float = 1.0):
        return image * 0 + lam

    def call(key, image, target, lam):
        return nothing(key, CLASSIFIER, image, target, infill="blur", lam=lam)

    keys, images = jax.random.split(KEY), jnp.asarray([IMAGE, IMAGE])
    one = (KEY, images[0], jnp.asarray(1), jnp.asarray(2.0))
    own = jax.make_jaxpr(lambda key, image, target, lam: image * 0 + lam)(*one)
    assert str(jax.make_jaxpr(call)(*one)) == str(own)
    many = jax.jit(jax.vmap(call, (0, 0, 0, None)))(keys, images, jnp.arange(2), 2.0)
    assert many.shape == (2, *IMAGE.shape)
    assert jax.grad(lambda lam: call(*one[:3], lam).sum())(1.0) == IMAGE.size


def test_traced_values_of_options_pass():
    def one(lam, infill):
        return checked_options(known_options(FIDO), {"infill": infill, "lam": lam})["lam"]

    assert jax.vmap(one, (0, None))(jnp.arange(2.0), MEAN).tolist() == [0.0, 1.0]


class Network(nnx.Module):
    """Two arrays, 3 x 2 weights and 2 offsets."""

    def __init__(self):
        self.layer = nnx.Linear(3, 2, rngs=nnx.Rngs(0))

    def __call__(self, images):
        return self.layer(images.mean((1, 2)))


def test_short_texts():
    explanation = fidojax.Explanation(jnp.asarray(MAP), None)
    plain = fidojax.networks.from_nnx(Network())
    texts = {
        "mean(0.5)": MEAN,
        "mean([0.485, 0.456, 0.406])": infillers.mean(),
        "random(0.2)": infillers.random(),
        "blur(sigma=10.0)": infillers.blur(),
        "local(window=15, color=[0.485, 0.456, 0.406])": infillers.local(),
        "nnx(Network, 2 arrays of 8 values)": plain,
        "nnx(Network, 2 arrays of 8 values) with features": fidojax.networks.from_nnx(
            Network(), layer="layer"
        ),
        "Explanation(saliency=f32[8,8](jax), info=None)": explanation,
        "Pretrained('mnist', 10 classes, pictures of 28 x 28 x 1)": fidojax.networks.load("mnist"),
    }
    assert [repr(thing) for thing in texts.values()] == [*texts]
    assert "array(" not in repr(infillers.road()) + repr(infillers.vae())
    assert len(repr(infillers.vae())) < 200
    # It is the pytree that it says it is.
    leaves, structure = jax.tree.flatten(plain)
    assert repr(jax.tree.unflatten(structure, leaves)) == repr(plain)


def test_packages_and_names_are_found_where_one_looks():
    assert fidojax.infillers is infillers
    for name in ("core", "data", "engine", "metrics", "networks", "runs", "viz"):
        assert getattr(fidojax, name).__name__ == f"fidojax.{name}"
    assert {*fidojax.__all__, "infillers", "viz", "networks"} < {*dir(fidojax)}
    assert "Any" not in dir(fidojax)
    assert not [name for name in dir(fidojax) if not hasattr(fidojax, name)]
    for package, names in fidojax._ELSEWHERE.items():
        for name in names:
            with pytest.raises(AttributeError, match=rf"'{name}'; it is {package}\.{name}"):
                getattr(fidojax, name)
            assert hasattr(getattr(fidojax, package.removeprefix("fidojax.")), name)
    with pytest.raises(AttributeError, match="no attribute 'fidoo'; did you mean fido"):
        getattr(fidojax, NEAR)


def test_signatures_show_the_options_and_what_is_returned():
    for name, method in fidojax.METHODS.items():
        signature = inspect.signature(method)
        assert signature.return_annotation is fidojax.Explanation, name
        assert [*signature.parameters][:4] == ["key", "classifier", "image", "target"]
        assert not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()), name


def test_a_network_finds_a_class_by_its_name():
    mnist = fidojax.networks.load("mnist")
    small = mnist._replace(labels=("tiger cat", "Persian cat", "crane", "crane"))
    assert small.target("persian_cat") == 1
    for name, message in (("cat", "did you mean tiger cat or Persian cat"), ("crane", "2 and 3")):
        with pytest.raises(ValueError, match=message):
            small.target(name)
