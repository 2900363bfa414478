"""PyTorch inpainters as infillers: PyTorch's own pictures, by each convention."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infillers import from_torch

torch: Any = pytest.importorskip("torch", reason="needs the extra [torch]")
nn: Any = torch.nn
torch.set_num_threads(1)
SIZE = (8, 8, 3)


class Stacked(nn.Module):
    """An inpainter of one tensor, with a coarse and a fine picture."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(6, 3, 4, stride=2, padding=1)

    def forward(self, x):
        fine = torch.tanh(self.up(torch.relu(self.down(x))))
        return 0 * fine, fine


class Separate(nn.Module):
    def __init__(self, channels=3):
        super().__init__()
        self.inside = nn.Conv2d(4, channels, 3, padding=1)

    def forward(self, images, masks):
        return torch.sigmoid(self.inside(torch.cat([images, masks], 1)))


@pytest.mark.parametrize(
    ("module", "options"),
    [
        (Stacked(), {"inputs": "stacked", "values": (-1.0, 1.0), "mask": "drop"}),
        (Separate(), {"blank": 0.5}),
    ],
)
def test_pictures_equal_pytorchs(module, options):
    rng = np.random.default_rng(0)
    image = rng.random(SIZE).astype(np.float32)
    mask = (rng.random(SIZE[:2]) < 0.5).astype(np.float32)
    infill: Any = jax.jit(from_torch(module, SIZE, composite=False, **options))
    found = infill(jax.random.key(0), jnp.asarray(image), jnp.asarray(mask))
    low, high = options.get("values", (0.0, 1.0))
    seen = np.where(mask[..., None] == 1, low + (high - low) * image, options.get("blank", 0.0))
    x = torch.from_numpy(seen.astype(np.float32)).permute(2, 0, 1)[None]
    z = torch.from_numpy(1 - mask if options.get("mask") == "drop" else mask)[None, None]
    with torch.no_grad():
        y = module(torch.cat([x, z], 1))[-1] if "inputs" in options else module(x, z)
    expected = (y[0].permute(1, 2, 0).numpy() - low) / (high - low)
    assert expected.std() > 0.02
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_grey_pictures_and_other_sizes_have_their_kept_pixels_exactly():
    infill: Any = from_torch(Separate(), SIZE)
    image = jax.random.uniform(jax.random.key(1), (12, 10, 1))
    mask = jnp.ones((12, 10)).at[3:9, 2:8].set(0.0)
    found = infill(jax.random.key(0), image, mask)
    np.testing.assert_array_equal(found[mask == 1], image[mask == 1])
    assert bool(jnp.any(found[mask == 0] != image[mask == 0]))


def test_wrong_modules_are_named():
    with pytest.raises(TypeError, match=r"expects a torch\.nn\.Module, got int"):
        from_torch(3)
    with pytest.raises(ValueError, match="inputs: there is no 'two'"):
        from_torch(Separate(), SIZE, inputs="two")
    with pytest.raises(ValueError, match=r"size is \(8, 4, 3\), expected a square"):
        from_torch(Separate(), (8, 4, 3))
    said = r"returns \(1, 2, 8, 8\), expected a picture of shape \(1, 3, 8, 8\)"
    with pytest.raises(ValueError, match=said):
        from_torch(Separate(2), SIZE)
