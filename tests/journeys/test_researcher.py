"""The journey of someone with a network: from a module to a figure in ten lines."""

import io
from typing import Any

import numpy as np
import pytest
from flax import nnx

import fidojax
import infillers
from fidojax import networks, viz


@pytest.fixture
def pictures() -> np.ndarray:
    """Two pictures of noise with a bright patch."""
    noise = np.random.default_rng(0).random((2, 16, 16, 3), np.float32) / 2
    noise[:, 4:8, 6:10] = 1
    return noise


def figure_of(classifier, pictures):
    """The ten lines, of which the first makes the classifier."""
    targets = np.asarray(classifier(pictures)).argmax(axis=-1)
    options = {"infill": infillers.mean(), "steps": 2, "samples": 2}
    found = fidojax.explain_batch("fido", classifier, pictures, targets, options=options)
    fills = {"infill": infillers.mean()}
    region = fidojax.measure_batch(
        "region", classifier, pictures, targets, found.saliency, options=fills
    )
    rows = zip(pictures, found.saliency, region.area, strict=True)
    return found, viz.gallery([viz.Exhibit(x, m, verdict=f"{a:.0%}") for x, m, a in rows])


def test_a_network_in_nnx_becomes_a_figure_in_ten_lines(pictures):
    rngs = nnx.Rngs(0)
    module = nnx.Sequential(
        nnx.Conv(3, 4, (3, 3), strides=4, rngs=rngs), nnx.relu,
        lambda features: features.mean((1, 2)), nnx.Linear(4, 3, rngs=rngs),
    )  # fmt: skip
    found, drawn = figure_of(networks.from_nnx(module), pictures)
    assert found.saliency.shape == (2, 16, 16)
    assert len([axis for axis in drawn.axes if axis.images]) >= 6
    file = io.BytesIO()
    drawn.savefig(file, dpi=20)
    assert file.tell() > 1000


def test_a_network_in_pytorch_becomes_a_figure_in_ten_lines(pictures):
    pytest.importorskip("torch.nn", reason="needs the extra [torch]")
    torch: Any = pytest.importorskip("torch")
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 4, 4), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 3),
    )  # fmt: skip
    classifier = networks.from_torch(module, pictures.shape[1:])
    first = torch.tensor(pictures.transpose(0, 3, 1, 2).copy())
    np.testing.assert_allclose(
        classifier(pictures), module.eval()(first).detach().numpy(), atol=1e-5
    )
    found, drawn = figure_of(classifier, pictures)
    assert np.isfinite(found.saliency).all()
    assert len([axis for axis in drawn.axes if axis.images]) >= 6
