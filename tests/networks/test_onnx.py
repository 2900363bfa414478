"""ONNX files of all opsets: onnxruntime's answers, and what is refused."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fidojax
from fidojax import networks

onnx: Any = pytest.importorskip("onnx", reason="needs the package onnx")
runtime: Any = pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
FLOAT = onnx.TensorProto.FLOAT

DRAW = np.random.default_rng(0)
IMAGES = DRAW.random((3, 6, 5, 4), np.float32) - 0.4
KERNEL = DRAW.standard_normal((6, 2, 3, 2)).astype(np.float32)
VECTOR = DRAW.random(4, np.float32) + 0.5
SIX = np.arange(6, dtype=np.float32)


def node(op, inputs, outputs="y", **attributes):
    return onnx.helper.make_node(op, inputs.split(","), outputs.split(","), **attributes)


def a_model(nodes, constants=None, opset=13, image=("n", 4, 6, 5), outputs="logits", kind=FLOAT):
    """A model of the picture `x`, with constants by name."""
    tensors = [onnx.numpy_helper.from_array(np.asarray(a), n) for n, a in (constants or {}).items()]
    graph = onnx.helper.make_graph(
        nodes,
        "network",
        [onnx.helper.make_tensor_value_info("x", kind, image)],
        [onnx.helper.make_tensor_value_info(name, FLOAT, None) for name in outputs.split(",")],
        tensors,
    )
    opsets = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


def by_runtime(model, images):
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {"x": np.moveaxis(images, 3, 1)})[0]


def saved(model, folder, name="network.onnx"):
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def floats(*values):
    return np.asarray(values, np.float32)


def ints(*values):
    return np.asarray(values, np.int64)


CASES: list[Any] = [
    # The first opset and the operation; constants after the picture; attributes.
    (9, "Conv", {"k": KERNEL, "b": SIX}, {"pads": [1, 0, 2, 1], "strides": [2, 1], "group": 2}),
    (9, "Conv", {"k": KERNEL}, {"auto_pad": "SAME_UPPER", "strides": [2, 2], "group": 2}),
    (11, "Conv", {"k": KERNEL}, {"auto_pad": "SAME_LOWER", "strides": [1, 2], "group": 2}),
    (11, "ConvTranspose", {"k": KERNEL[:4]},
     {"strides": [2, 2], "pads": [1, 0, 1, 0], "output_padding": [1, 0], "group": 2}),
    (11, "ConvTranspose", {"k": KERNEL[:4]}, {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    (9, "MaxPool", {}, {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}),
    (12, "MaxPool", {}, {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    (9, "AveragePool", {}, {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}),
    (11, "AveragePool", {}, {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1],
                             "count_include_pad": 1}),
    (19, "AveragePool", {}, {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    (9, "GlobalAveragePool", {}, {}),
    (9, "GlobalMaxPool", {}, {}),
    (9, "BatchNormalization", {"w": VECTOR, "b": -VECTOR, "m": VECTOR / 2, "v": 2 * VECTOR},
     {"epsilon": 1e-3}),
    (15, "BatchNormalization", {"w": VECTOR, "b": -VECTOR, "m": VECTOR / 2, "v": VECTOR}, {}),
    (9, "InstanceNormalization", {"w": VECTOR, "b": -VECTOR}, {}),
    (17, "LayerNormalization", {"w": SIX[:5], "b": SIX[1:]}, {"axis": -1}),
    (18, "GroupNormalization", {"w": VECTOR[:2], "b": VECTOR[2:]}, {"num_groups": 2}),
    (21, "GroupNormalization", {"w": VECTOR, "b": -VECTOR}, {"num_groups": 2}),
    (9, "LRN", {}, {"size": 3, "alpha": 0.2, "bias": 2.0}),
    (9, "LpNormalization", {}, {"axis": 1, "p": 2}),
    (9, "Softmax", {}, {"axis": 2}),
    (13, "Softmax", {}, {"axis": 2}),
    (9, "LogSoftmax", {}, {}),
    (9, "MatMul", {"m": KERNEL[:5, 0, :, 0]}, {}),
    (20, "Gelu", {}, {}),
    (20, "Gelu", {}, {"approximate": "tanh"}),
    (14, "HardSwish", {}, {}),
    (9, "HardSigmoid", {}, {"alpha": 0.4, "beta": 0.3}),
    (18, "Mish", {}, {}),
    (9, "Elu", {}, {"alpha": 2.0}),
    (9, "Selu", {}, {}),
    (12, "Celu", {}, {"alpha": 2.0}),
    (9, "LeakyRelu", {}, {"alpha": 0.3}),
    (9, "PRelu", {"s": VECTOR.reshape(4, 1, 1)}, {}),
    (9, "ThresholdedRelu", {}, {"alpha": 0.1}),
    (9, "Softplus", {}, {}),
    (9, "Softsign", {}, {}),
    (9, "Erf", {}, {}),
    (9, "Clip", {}, {"min": -0.1, "max": 0.3}),
    (11, "Clip", {"low": np.float32(-0.1), "high": np.float32(0.3)}, {}),
    (13, "Clip", {"low": np.float32(0), "high": np.float32(6)}, {}),
    (9, "Pow", {"e": np.float32(2)}, {}),
    (9, "Sum", {"a": VECTOR.reshape(4, 1, 1), "b": np.float32(2)}, {}),
    (13, "Max", {"a": np.float32(0.1)}, {}),
    (13, "Mean", {"a": np.float32(0.1)}, {}),
    (9, "ReduceMean", {}, {"axes": [2, 3], "keepdims": 0}),
    (18, "ReduceMean", {"a": ints(2, 3)}, {"keepdims": 1}),
    (13, "ReduceSum", {"a": ints(-1)}, {"keepdims": 0}),
    (13, "ReduceSum", {}, {"noop_with_empty_axes": 1}),
    (9, "ReduceL2", {}, {"axes": [1]}),
    (18, "ReduceMax", {"a": ints(1)}, {}),
    (9, "ReduceLogSumExp", {}, {"axes": [1]}),
    (9, "Transpose", {}, {"perm": [0, 2, 3, 1]}),
    (9, "Reshape", {"s": ints(0, 2, -1, 5)}, {}),
    (11, "Unsqueeze", {}, {"axes": [1, 2]}),
    (13, "Unsqueeze", {"a": ints(-1, 1)}, {}),
    (9, "Slice", {}, {"starts": [1, 0], "ends": [9999, -1], "axes": [1, 3]}),
    (10, "Slice", {"s": ints(-1), "e": ints(-(2**63)), "a": ints(2), "t": ints(-2)}, {}),
    (9, "Pad", {}, {"pads": [0, 0, 1, 0, 0, 0, 2, 1], "value": 3.0}),
    (11, "Pad", {"p": ints(0, 0, 1, 1, 0, 0, 2, 1)}, {"mode": "reflect"}),
    (13, "Pad", {"p": ints(0, 0, 0, 1, 0, 0, -1, 0), "v": np.float32(2)}, {}),
    (18, "Pad", {"p": ints(1, 2), "v": np.float32(2), "a": ints(3)}, {}),
    (9, "Gather", {"i": ints(2, 0)}, {"axis": 1}),
    (13, "Gather", {"i": np.int64(-1)}, {"axis": 2}),
    (11, "GatherND", {"i": ints([[0, 2, -1], [0, 0, 3]])}, {}),
    (13, "GatherND", {"i": ints([[1, -1], [2, 0]])}, {"batch_dims": 1}),
    (11, "ScatterND", {"i": ints([0, 1], [0, -1]), "u": IMAGES[:2, ..., 0]}, {}),
    (16, "ScatterND", {"i": ints([0, 2], [0, 2]), "u": np.ones((2, 6, 5), np.float32)},
     {"reduction": "add"}),
    (11, "ScatterElements", {"i": ints([[[1, -1]]]), "u": floats([[[2, 3]]])}, {"axis": 3}),
    (18, "ScatterElements", {"i": ints([[[1, 1]]]), "u": floats([[[2, 0.1]]])},
     {"axis": 2, "reduction": "max"}),
    (13, "Expand", {"s": ints(1, 1, 4, 1, 1)}, {}),
    (13, "Tile", {"r": ints(1, 2, 1, 1)}, {}),
    (11, "DepthToSpace", {}, {"blocksize": 2, "mode": "CRD"}),
    (9, "DepthToSpace", {}, {"blocksize": 2}),
    (14, "CumSum", {"a": np.int64(1)}, {"reverse": 1, "exclusive": 1}),
    (14, "Trilu", {"k": np.int64(1)}, {"upper": 0}),
    (9, "Upsample", {"s": floats(1, 1, 2, 3)}, {"mode": "nearest"}),
    (10, "Resize", {"s": floats(1, 1, 1.7, 0.6)}, {"mode": "linear"}),
    (11, "Resize", {"r": floats(), "s": floats(1, 1, 2, 1.5)}, {"mode": "cubic"}),
    (13, "Resize", {"": None, "s": floats(1, 1, 2, 0.5)},
     {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
    (13, "Resize", {"": None, " ": None, "s": ints(1, 4, 9, 3)},
     {"mode": "nearest", "coordinate_transformation_mode": "asymmetric",
      "nearest_mode": "floor"}),
    (18, "Resize", {"": None, "s": floats(1, 1, 0.5, 0.5)},
     {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}),
]  # fmt: skip


@pytest.mark.parametrize(("opset", "op", "constants", "attributes"), CASES)
def test_an_operation_is_that_of_onnxruntime(opset, op, constants, attributes, tmp_path):
    inputs = ",".join(["x", *[name.strip() for name in constants]])
    arrays = {name: array for name, array in constants.items() if array is not None}
    nodes = [node(op, inputs, **attributes), node("Flatten", "y", "logits", axis=1)]
    model = a_model(nodes, arrays, opset, (1, 4, 6, 5))
    expected = by_runtime(model, IMAGES[:1])
    found = jax.jit(networks.from_onnx(saved(model, tmp_path)))(IMAGES[:1])
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def network(opset):
    """A convolutional network as exporters write it: its shape is computed, its end a softmax."""
    by_attribute = opset < 13
    unsqueeze = {"axes": [0]} if by_attribute else {}
    nodes = [
        node("Conv", "x,k,b", "a", pads=[1, 1, 1, 1], group=2, name="stem/conv"),
        node("Relu", "a", "r", name="stem/relu"),
        node("GlobalAveragePool", "r", "p"),
        node("Shape", "p", "s"),
        node("Gather", "s,zero", "n", axis=0),
        node("Unsqueeze", "n" if by_attribute else "n,axes", "m", **unsqueeze),
        node("Concat", "m,rest", "t", axis=0),
        node("Reshape", "p,t", "f"),
        node("Gemm", "f,w,c", "z", transB=1),
        node("Softmax", "z", "probabilities", axis=1),
    ]
    draw = np.random.default_rng(opset)
    weights = {
        "k": draw.standard_normal((6, 2, 3, 3)), "b": SIX, "w": draw.standard_normal((5, 6)),
        "c": SIX[:5],
    }  # fmt: skip
    constants = {name: np.float32(array) for name, array in weights.items()}
    constants |= {"zero": np.int64(0), "axes": ints(0), "rest": ints(-1)}
    return a_model(nodes, constants, opset, outputs="probabilities")


@pytest.mark.parametrize("opset", range(9, 22))
def test_a_network_of_every_opset(opset, tmp_path):
    model = network(opset)
    classifier = networks.from_onnx(saved(model, tmp_path))
    logits = jax.jit(classifier)(IMAGES)  # any number of pictures
    assert np.abs(logits.sum(1)).min() > 1e-3  # logits, not probabilities
    np.testing.assert_allclose(
        jax.nn.softmax(logits), by_runtime(model, IMAGES), rtol=1e-5, atol=1e-6
    )


def tf_network():
    """Pictures with channels last, transposed for each layer, as TensorFlow's converter writes."""
    nodes = [
        node("Transpose", "x", "i", perm=[0, 3, 1, 2]),
        node("Conv", "i,k", "a", auto_pad="SAME_LOWER", strides=[2, 2]),
        node("Transpose", "a", "h", perm=[0, 2, 3, 1]),
        node("Add", "h,b", "biased", name="features/BiasAdd"),
        node("Clip", "biased,low,high", "r"),
        node("ReduceMean", "r", "p", axes=[1, 2], keepdims=0),
        node("MatMul", "p,w", "z"),
        node("Add", "z,c", "logits"),
    ]
    constants = {
        "k": np.random.default_rng(0).standard_normal((6, 4, 3, 3)).astype(np.float32),
        "b": SIX, "low": np.float32(0), "high": np.float32(6),
        "w": np.random.default_rng(1).standard_normal((6, 5)).astype(np.float32), "c": SIX[:5],
    }  # fmt: skip
    return a_model(nodes, constants, 13, (1, 6, 5, 4))


def test_pictures_whose_channels_are_last(tmp_path):
    model = tf_network()
    classifier: Any = networks.from_onnx(saved(model, tmp_path), layer="features/BiasAdd")
    session = runtime.InferenceSession(model.SerializeToString())
    expected = np.concatenate([session.run(None, {"x": IMAGES[i : i + 1]})[0] for i in range(3)])
    np.testing.assert_allclose(classifier(IMAGES), expected, rtol=1e-5, atol=1e-5)
    activations, rest = classifier.tap(jnp.asarray(IMAGES))
    assert activations.shape == (3, 3, 3, 6)
    np.testing.assert_allclose(rest(activations), expected, rtol=1e-5, atol=1e-5)


def test_gradients_weights_and_layers(tmp_path):
    classifiers: list[Any] = []
    for opset in (13, 14):  # other weights, the same network
        path = saved(network(opset), tmp_path)
        classifiers.append(networks.from_onnx(path, layer="stem/relu"))
    first, second = classifiers
    assert jax.tree.structure(first) == jax.tree.structure(second)
    assert not np.allclose(first(IMAGES), second(IMAGES))
    weights = {str(path[-1].key): leaf for path, leaf in jax.tree.leaves_with_path(first)}
    assert set(weights) == {"k", "b", "w", "c"}
    layout = ("NHWC", "HWIO", "NHWC")
    maps = jax.lax.conv_general_dilated(
        jnp.asarray(IMAGES), weights["k"], (1, 1), "SAME", dimension_numbers=layout,
        feature_group_count=2,
    )  # fmt: skip
    features = jax.nn.relu(maps + weights["b"])
    np.testing.assert_allclose(first.tap(IMAGES)[0], features, rtol=1e-4, atol=1e-5)
    found = fidojax.grad_cam(jax.random.key(0), first, jnp.asarray(IMAGES[0]), 2)
    coarse = np.maximum(features[0] @ weights["w"][2] / 30, 0)
    np.testing.assert_allclose(found.info.coarse, coarse, rtol=1e-4, atol=1e-5)


CONV = node("Conv", "x,k", "y", group=2)
FLAT = node("Flatten", "y", "logits")
K = {"k": KERNEL}
REFUSED: list[Any] = [
    (a_model([CONV, FLAT], K, 8), r"has opset 8, expected 9 to 21"),
    (a_model([CONV, FLAT], K, 22), r"has opset 22, expected 9 to 21"),
    (a_model([node("NonZero", "x", "y"), FLAT]), r"uses the operation NonZero, which has no rule"),
    (a_model([node("FusedConv", "x,k", "y", domain="com.microsoft"), FLAT], K),
     r"uses the operation com\.microsoft\.FusedConv"),
    (a_model([CONV, node("Identity", "y", "logits")], K),
     r"gives logits \(1, 6, 4, 4\) for one picture, expected one output of logits \(1, k\)"),
    (a_model([FLAT, CONV], K), "Flatten '' cannot be computed: nothing gives its operand y"),
    (a_model([CONV, node("Shape", "y", "s"), node("Cast", "x", "c", to=7),
              node("Reshape", "y,c", "logits")], K), "its shape depends on the picture"),
    (a_model([CONV, FLAT], K, image=("n", 3, 6, 5)), "Conv '' cannot be computed"),
    (a_model([CONV, FLAT], K, image=("n", 4)), "expected pictures of floating numbers"),
    (a_model([CONV, FLAT], K, image=(8, 4, 6, 5)), r"\(8, 4, 6, 5\), .*with n free or 1"),
    (a_model([CONV, FLAT], K, kind=onnx.TensorProto.UINT8), "pictures of floating numbers"),
    (a_model([CONV, FLAT], K, image=("n", 4, "h", "w")),
     r"\(h, w, c\) = \('free', 'free', 4\); pass size=\(h, w, c\)"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "said"), REFUSED)
def test_what_cannot_be_taken_is_named_in_one_sentence(model, said, tmp_path):
    path = saved(model, tmp_path)
    with pytest.raises(ValueError, match=said) as caught:
        networks.from_onnx(path)
    assert "\n" not in str(caught.value)
    assert "from_onnx: " in str(caught.value)


def test_files_that_are_no_networks_are_named(tmp_path):
    whole = network(13).SerializeToString()
    with pytest.raises(FileNotFoundError, match=r"no file .*absent\.onnx"):
        networks.from_onnx(tmp_path / "absent.onnx")
    for content in (b"", b"PK\x03\x04 cut short", b"\xff" * 64, whole[: len(whole) // 2]):
        path = tmp_path / "damaged.onnx"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"damaged\.onnx"):
            networks.from_onnx(path)
    path = saved(network(13), tmp_path)
    with pytest.raises(ValueError, match=r"no 'stem/conf'; did you mean stem/conv"):
        networks.from_onnx(path, layer="stem/conf")
    with pytest.raises(ValueError, match=r"= \(6, 5, 4\); got size=\(8, 8, 4\)"):
        networks.from_onnx(path, (8, 8, 4))


def test_free_sides_are_those_that_are_asked_for(tmp_path):
    model = network(13)
    for axis, side in ((2, "h"), (3, "w")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = side
    for h, w in itertools.product((6, 8), (5,)):
        images = np.random.default_rng(h).random((2, h, w, 4), np.float32)
        classifier = networks.from_onnx(saved(model, tmp_path), (h, w, 4))
        probabilities = jax.nn.softmax(classifier(images))
        np.testing.assert_allclose(probabilities, by_runtime(model, images), rtol=1e-5, atol=1e-6)


def test_exports_of_torch(tmp_path):
    """A network of PyTorch by its exporter, against PyTorch."""
    torch: Any = pytest.importorskip("torch", reason="needs the extra [torch]")
    nn = torch.nn
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Hardswish(), nn.MaxPool2d(2),
        nn.Upsample(scale_factor=2.0, mode="bilinear"), nn.PixelUnshuffle(2), nn.Flatten(2),
        nn.LayerNorm(6), nn.GELU(), nn.Flatten(), nn.Linear(192, 5),
    ).eval()  # fmt: skip
    path, x = tmp_path / "torch.onnx", torch.tensor(np.moveaxis(IMAGES[:, :, :4], 3, 1))
    torch.onnx.export(module, (x,), path, dynamo=False, opset_version=13, input_names=["x"])
    expected = module(x).detach().numpy()
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    found = networks.from_onnx(saved(model, tmp_path))(IMAGES[:, :, :4])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
