"""PyTorch modules: torch's logits and input gradients, layers, what is refused."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fidojax
from fidojax import networks

torch: Any = pytest.importorskip("torch", reason="needs the extra [torch]")
nn: Any = torch.nn
torch.set_num_threads(1)

IMAGES = np.random.default_rng(0).random((3, 16, 12, 3), np.float32)
SIZE = IMAGES.shape[1:]


class Gate(nn.Module):
    """A squeeze-and-excite gate, whose features are counted "n c 1 1"."""

    def __init__(self, channels):
        super().__init__()
        self.narrow = nn.Conv2d(channels, 2, 1)
        self.wide = nn.Conv2d(2, channels, 1)

    def forward(self, x):
        seen = nn.functional.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.wide(nn.functional.hardswish(self.narrow(seen))))


class Block(nn.Module):
    """A residual block with depthwise and grouped convolutions, changed in place."""

    def __init__(self, channels, inside):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.inside = inside
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.inside(self.relu(self.norm(self.conv(x))))
        y += x
        return self.relu(y)


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.blocks = nn.Sequential(
            Block(8, Gate(8)), Block(8, nn.Sequential(nn.Conv2d(8, 8, 1, groups=2), nn.SiLU()))
        )
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.blocks(self.pool(self.stem(x)))
        branches = torch.cat([x[:, :3], x.flip(3)[:, 3:]], 1)
        return self.head(
            self.drop(torch.flatten(nn.functional.adaptive_avg_pool2d(branches, 1), 1))
        )


class Transformer(nn.Module):
    """Tokens of patches and a class token, with PyTorch's own encoder layer."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.places = nn.Parameter(torch.randn(1, 13, 16))
        options = {"dropout": 0.1, "activation": "gelu", "batch_first": True, "norm_first": True}
        self.layer = nn.TransformerEncoderLayer(16, 2, 24, **options)
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        return self.head(self.norm(self.layer(x))[:, 0])


class Windows(nn.Module):
    """Shifted windows with a table of positions, on features whose channels are last."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 2, stride=2)
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.bias = nn.Parameter(torch.randn(5))
        self.register_buffer("index", torch.arange(4)[:, None] % 3 + torch.arange(4) % 2)
        self.block = nn.Sequential(nn.Linear(8, 8), nn.GELU(approximate="tanh"))
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        n = x.shape[0]
        x = torch.roll(self.norm(self.patches(x).permute(0, 2, 3, 1)), (-1, -1), (1, 2))
        mask = torch.zeros(4, 4)
        mask[:2, 2:] = -100.0
        windows = x.view(n, 4, 2, 3, 2, 8).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, 8)
        q, k, v = self.qkv(windows).chunk(3, -1)
        weights = torch.softmax(q @ k.transpose(1, 2) / 8**0.5 + self.bias[self.index] + mask, -1)
        x = (weights @ v).view(n, 4, 3, 2, 2, 8).permute(0, 1, 3, 2, 4, 5).reshape(n, 8, 6, 8)
        return self.head(self.block(x).mean((1, 2)))


class Upsampled(nn.Module):
    """Features of several sides, resized to one."""

    def __init__(self):
        super().__init__()
        self.wide = nn.Conv2d(3, 4, 3, dilation=2, padding="same", padding_mode="reflect")
        self.up = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1)
        self.norm = nn.GroupNorm(2, 4)
        self.act = nn.PReLU(4)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        resize = nn.functional.interpolate
        small = nn.functional.avg_pool2d(x, 3, 2, ceil_mode=True)
        small = resize(resize(small, (5, 4), mode="bicubic"), scale_factor=1.7, mode="bilinear")
        y = resize(self.wide(x), self.up(small).shape[2:], mode="nearest") + self.up(small)
        return self.head(self.act(self.norm(y)).amax((2, 3)))


MODULES = [Convolutional, Transformer, Windows, Upsampled]


def a_module(build, seed=0):
    torch.manual_seed(seed)
    module = build()
    for name, buffer in module.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
        elif name.endswith("running_mean"):
            buffer.normal_()
    return module.eval()


def by_torch(module, images, target):
    """Logits, and the gradient of a logit's sum to the images."""
    x = torch.tensor(np.moveaxis(images, 3, 1).copy(), requires_grad=True)
    logits = module(x)
    logits[:, target].sum().backward()
    return logits.detach().numpy(), np.moveaxis(x.grad.numpy(), 1, 3)


@jax.jit
def by_jax(classifier, images):
    def score(images):
        logits = classifier(images)
        return logits[:, 1].sum(), logits

    gradient, logits = jax.grad(score, has_aux=True)(images)
    return logits, gradient


def agree(module, classifier, images, bound=1e-5):
    for ours, theirs in zip(by_jax(classifier, images), by_torch(module, images, 1), strict=True):
        assert np.abs(ours - theirs).max() < bound * np.abs(theirs).max()


@pytest.mark.parametrize("build", MODULES)
def test_gives_torchs_logits_and_input_gradients(build):
    module = a_module(build)
    classifier = networks.from_torch(module, SIZE)
    agree(module, classifier, IMAGES)
    np.testing.assert_allclose(
        by_jax(classifier, IMAGES[:1])[0], by_torch(module, IMAGES[:1], 1)[0], rtol=1e-4, atol=1e-5
    )


def test_the_module_stays_as_it_is_and_is_evaluated_as_at_test_time():
    module = a_module(Convolutional).train()
    module.blocks[0].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    classifier = networks.from_torch(module, SIZE)
    assert [module.training, module.blocks[0].training, module.drop.training] == [True, False, True]
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
    agree(module.eval(), classifier, IMAGES)
    with torch.no_grad():
        module.head.weight.zero_()  # no leaf shares the module's memory
    assert jnp.ptp(classifier(IMAGES)) > 0


def test_new_weights_neither_retrace_nor_go_stale():
    traces = []

    @jax.jit
    def logits(classifier, images):
        traces.append(1)
        return classifier(images)

    for seed in (0, 1):
        module = a_module(Windows, seed)
        ours = logits(networks.from_torch(module, SIZE), IMAGES)
        np.testing.assert_allclose(ours, by_torch(module, IMAGES, 1)[0], rtol=1e-4, atol=1e-5)
    assert len(traces) == 1
    leaves = jax.tree.leaves(networks.from_torch(module, SIZE))
    weights = sum(p.numel() for p in module.parameters())
    assert sum(leaf.size for leaf in leaves) == weights + 16  # and the mask of the windows


@pytest.mark.parametrize(
    ("dtype", "bound"), [("float64", 1e-5), ("float16", 2e-2), ("bfloat16", 0.1)]
)
def test_modules_of_other_precisions(dtype, bound):
    module = a_module(Transformer)
    logits = by_torch(module, IMAGES, 1)[0]
    classifier = networks.from_torch(module.to(getattr(torch, dtype)), SIZE)
    kinds = {str(leaf.dtype) for leaf in jax.tree.leaves(classifier)}
    assert kinds == {"float32" if dtype == "float64" else dtype}
    ours = jax.jit(lambda c, x: c(x))(classifier, IMAGES)
    assert np.abs(ours - logits).max() < bound * np.abs(logits).max()


LAYERS = [
    (Convolutional, "blocks.1", (5, 4, 8)),
    (Convolutional, "blocks.0.relu", (5, 4, 8)),  # called twice: the first call
    (Convolutional, "stem", (8, 6, 8)),
    (Windows, "block", (8, 6, 8)),
    (Windows, "norm", (8, 6, 8)),
    (Upsampled, "act", (16, 12, 4)),
]


@pytest.mark.parametrize(("build", "layer", "shape"), LAYERS)
def test_a_layer_shows_its_activations(build, layer, shape):
    module = a_module(build)
    classifier: Any = networks.from_torch(module, SIZE, layer=layer)
    seen = []
    hook = module.get_submodule(layer).register_forward_hook(
        lambda _, __, y: seen.append(y.clone())
    )
    logits = by_torch(module, IMAGES, 1)[0]
    hook.remove()
    expected = seen[0].detach().numpy()
    expected = expected if build is Windows else np.moveaxis(expected, 1, 3)
    activations, rest = classifier.tap(jnp.asarray(IMAGES))
    assert activations.shape == (3, *shape)
    np.testing.assert_allclose(activations, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(rest(activations), logits, rtol=1e-4, atol=1e-5)
    assert not np.allclose(rest(activations + 1), logits, rtol=1e-3, atol=1e-3)


def test_grad_cam_is_that_of_torch():
    module = a_module(Convolutional)
    classifier = networks.from_torch(module, SIZE, layer="blocks.1")
    found = fidojax.grad_cam(jax.random.key(0), classifier, jnp.asarray(IMAGES[0]), 2)
    kept = []
    module.blocks[1].register_forward_hook(lambda _, __, y: kept.append(y))
    score = module(torch.tensor(np.moveaxis(IMAGES[:1], 3, 1)))[0, 2]
    (slope,) = torch.autograd.grad(score, kept)
    coarse = torch.relu((slope.mean((2, 3), keepdim=True) * kept[0]).sum(1))[0]
    assert coarse.max() > 0
    np.testing.assert_allclose(found.info.coarse, coarse.detach().numpy(), rtol=1e-4, atol=1e-6)


def normalise(images):
    return (images - 0.5) / 0.25


def test_preprocessing_is_part_of_the_classifier():
    module = a_module(Transformer)
    classifier = networks.from_torch(module, SIZE, preprocess=normalise)
    plain = networks.from_torch(module, SIZE)
    np.testing.assert_allclose(classifier(IMAGES), plain(4 * IMAGES - 2), rtol=1e-4, atol=1e-5)


class Named(Transformer):
    def forward(self, pixel_values, labels=None):
        return {"attentions": pixel_values, "logits": super().forward(pixel_values)}


def test_an_output_with_logits_is_taken_by_its_name():
    module = a_module(Named)
    ours = networks.from_torch(module, SIZE)(IMAGES)
    x = torch.tensor(np.moveaxis(IMAGES, 3, 1))
    np.testing.assert_allclose(ours, module(x)["logits"].detach(), rtol=1e-4, atol=1e-5)


class Two(Transformer):
    def forward(self, x):
        return super().forward(x), x


class Sorting(nn.Module):
    def forward(self, x):
        return torch.special.bessel_j0(x.mean((2, 3)))


class Branching(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


REFUSED: list[Any] = [
    (lambda: networks.from_torch("resnet18"), TypeError, r"a torch\.nn\.Module, got str"),
    (lambda: networks.from_torch(Transformer), TypeError, r"torch\.nn\.Module, got type"),
    (lambda: networks.from_torch(a_module(Transformer), (8, 12, 3)), ValueError,
     r"fails on Transformer at a picture \(1, 3, 8, 12\).*size=\(h, w, c\)"),
    (lambda: networks.from_torch(a_module(Transformer), (0, 12, 3)), ValueError,
     r"size is \(0, 12, 3\), expected \(h, w, c\)"),
    (lambda: networks.from_torch(Branching(), SIZE), ValueError, "torch.export fails on Branching"),
    (lambda: networks.from_torch(Sorting(), SIZE), ValueError,
     r"Sorting uses the operation special_bessel_j0 of ATen, which has no rule"),
    (lambda: networks.from_torch(a_module(Two), SIZE), ValueError,
     r"Two returns \(1, 5\), \(1, 3, 16, 12\) for one picture, expected logits \(1, k\)"),
    (lambda: networks.from_torch(nn.Conv2d(3, 5, 1), SIZE), ValueError,
     r"Conv2d returns \(1, 5, 16, 12\)"),
    (lambda: networks.from_torch(a_module(Convolutional), SIZE, layer="blocks.7"), ValueError,
     r"layer: there is no 'blocks\.7'; did you mean"),
    (lambda: networks.from_torch(a_module(Convolutional), SIZE)(IMAGES[:, :8]), ValueError,
     r"16 x 12 x 3, got 8 x 12 x 3"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "said"), REFUSED)
def test_what_cannot_be_taken_is_named_in_one_sentence(call, kind, said):
    with pytest.raises(kind, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)
