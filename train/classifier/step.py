"""One training step of the classifiers: augment, differentiate, update, average."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import NamedSharding

from fidojax.networks import MnistAllConv, ResNet
from train import augment


class Phase(NamedTuple):
    """The augmentation from the epoch `start` on."""

    start: int
    """Number of the epoch, the first one being 0."""
    size: int
    """Side of the crops in pixels."""
    pad: int = 0
    """Pixels by which the picture is first extended by reflection, which makes objects smaller."""
    area: tuple[float, float] = (0.2, 1.0)
    """Range of the crops' area as a fraction of the picture's; above 1 the border is black."""
    grey: float = 0.0
    """Probability that a picture loses its colours."""
    method: str = "linear"
    """Interpolation of the crops: "linear", or the sharper "cubic"."""
    blur: tuple[float, float] = (0.0, 0.0)
    """Range of the weight of each neighbour of a pixel; negative weights sharpen."""
    ema: float = 0.998
    """Decay of the moving average of the weights, which is measured and exported."""


class Run(NamedTuple):
    """What a checkpoint holds; randomness and data order follow from the seed and the step."""

    params: Any
    stats: Any
    opt: Any
    average: Any


def network(config: Any, classes: int) -> MnistAllConv | ResNet:
    """Return the network to train, its weights drawn from the seed."""
    rngs = nnx.Rngs(config.seed)
    if not config.widths:
        return MnistAllConv(rngs)
    return ResNet(classes, config.widths, config.blocks, rngs=rngs)


def optimiser(config: Any, per_epoch: int) -> optax.GradientTransformation:
    """Return SGD or AdamW: warm-up, cosine, then a constant rate; weight decay for kernels only."""
    begin, constant = config.again
    steps = min(begin, config.epochs) * per_epoch
    rise = max(1, round(config.warmup * steps))
    rate = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, rise, steps)
    if begin < config.epochs:
        rate = optax.join_schedules([rate, optax.constant_schedule(constant)], [steps])

    def kernels(params):
        return jax.tree.map(lambda x: x.ndim > 1, params)

    if config.optimizer == "sgd":
        decay = optax.add_decayed_weights(config.weight_decay, kernels)
        return optax.chain(decay, optax.sgd(rate, 0.9, nesterov=True))
    if config.optimizer == "adamw":
        return optax.adamw(rate, weight_decay=config.weight_decay, mask=kernels)
    raise ValueError(f'optimizer must be "sgd" or "adamw", got {config.optimizer!r}')


def at(phases: tuple[Phase, ...], epoch: int) -> Phase:
    """Return the phase of an epoch, without its start, which the compiled step does not use."""
    return [phase for phase in phases if epoch >= phase.start][-1]._replace(start=0)


def augmented(config: Any, phase: Phase, key: jax.Array, image: jax.Array) -> jax.Array:
    """Augment one picture in [0, 1] to a training picture of the phase's size."""
    key_crop, key_flip, key_colours = jax.random.split(key, 3)
    image = jnp.pad(image, ((phase.pad,) * 2, (phase.pad,) * 2, (0, 0)), mode="reflect")
    image = augment.crop(key_crop, image, phase.size, phase.area, config.ratio, phase.method)
    if config.flip:
        image = augment.flip(key_flip, image)
    if config.colours:
        image = augment.colours(key_colours, image, config.colours)
    if phase.grey:
        image = augment.grey(jax.random.fold_in(key, 3), image, phase.grey)
    if any(phase.blur):
        image = augment.blur(jax.random.fold_in(key, 4), image, phase.blur)
    return image


def make_step(
    config: Any, graph: Any, tx: optax.GradientTransformation, replicated: NamedSharding
) -> Callable:
    """Return the jitted `(run, images, labels, index, phase) -> (run, metrics)`, `phase` static."""
    seed = jax.random.key(config.seed + 1)

    def loss_of(params, stats, images, labels, key):
        model = nnx.merge(graph, params, stats, copy=True)
        logits = model(images, train=True, key=key)
        targets = optax.smooth_labels(
            jax.nn.one_hot(labels, logits.shape[-1]), config.label_smoothing
        )
        loss = optax.softmax_cross_entropy(logits, targets).mean()
        accuracy = jnp.mean(jnp.argmax(logits, -1) == labels)
        return loss, (accuracy, nnx.state(model, nnx.BatchStat))

    def step(run: Run, images, labels, index, phase: Phase):
        key, key_model = jax.random.split(jax.random.fold_in(seed, index))
        keys = jax.random.split(key, len(images))
        images = jax.vmap(partial(augmented, config, phase))(keys, images.astype(jnp.float32) / 255)
        (loss, (accuracy, stats)), grads = jax.value_and_grad(loss_of, has_aux=True)(
            run.params, run.stats, images, labels, key_model
        )
        updates, opt = tx.update(grads, run.opt, run.params)
        params = optax.apply_updates(run.params, updates)
        keep = jnp.minimum(phase.ema, (1.0 + index) / (10.0 + index))
        average = optax.incremental_update((params, stats), run.average, 1.0 - keep)
        return Run(params, stats, opt, average), {"loss": loss, "accuracy": accuracy}

    return jax.jit(step, static_argnums=4, out_shardings=replicated, donate_argnums=0)
