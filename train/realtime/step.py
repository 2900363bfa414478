"""The two training steps of Realtime: the class selector's, and then the decoder's."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import NamedSharding

from fidojax.core import check_name
from fidojax.methods import existence_loss, exists, realtime_objective, realtime_paper_objective
from fidojax.transforms import feature_pyramid
from train import augment
from train.adam import adam, rate

OBJECTIVES = ("code", "paper")


class Run(NamedTuple):
    """What a checkpoint holds; randomness and data order follow from the seed and the step.

    In the first phase `params` are the selector's, and `stats` is empty.
    """

    params: Any
    stats: Any
    opt: Any


def split(network: nnx.Module) -> tuple[Any, Any, Any, Any]:
    """Return the structure, the weights of selector and decoder, and batch norm's statistics."""
    selector = nnx.All(nnx.Param, nnx.PathContains("selector"))
    parts: Any = nnx.split(network, selector, nnx.Param, ...)
    return parts


def selector_optimiser(config: Any) -> optax.GradientTransformation:
    """Return Adam, whose rate falls to a tenth after every `selector_falls` steps."""
    falls = range(config.selector_falls, config.selector_steps, config.selector_falls)
    falling = optax.piecewise_constant_schedule(config.selector_rate, dict.fromkeys(falls, 0.1))
    return adam(falling, config.weight_decay)


def optimiser(config: Any) -> optax.GradientTransformation:
    """Return Adam with a constant rate, or one that falls to 0 after a warm-up."""
    falling = rate(config.schedule, config.learning_rate, config.steps)
    return adam(falling, config.weight_decay)


def asked(
    key: jax.Array, labels: jax.Array, classes: int, fakes: float
) -> tuple[jax.Array, jax.Array]:
    """Draw the classes to ask the masker for; return them and whether they are the pictures' own.

    With probability `fakes` the class is another one, drawn uniformly from the others.
    """
    coin_key, class_key = jax.random.split(key)
    real = ~jax.random.bernoulli(coin_key, fakes, labels.shape)
    other = (labels + jax.random.randint(class_key, labels.shape, 1, classes)) % classes
    return jnp.where(real, labels, other), real


def prepared(config: Any, key: jax.Array, images: jax.Array) -> jax.Array:
    """Scale uint8 pictures to [0, 1] and augment them."""
    images = images.astype(jnp.float32) / 255
    crop_key, flip_key = jax.random.split(key)
    if config.crop is not None:
        keys, ratio = jax.random.split(crop_key, len(images)), (3 / 4, 4 / 3)
        side = images.shape[1]
        images = jax.vmap(lambda k, x: augment.crop(k, x, side, config.crop, ratio))(keys, images)
    if config.flip:
        images = jax.vmap(augment.flip)(jax.random.split(flip_key, len(images)), images)
    return images


def make_selector_step(
    config: Any, graph: Any, decoder: Any, stats: Any, classes: int, replicated: NamedSharding
) -> Callable:
    """Return the jitted `(run, classifier, images, labels, index) -> (run, metrics)` of phase 1."""
    seed, tx = jax.random.key(config.seed + 1), selector_optimiser(config)

    def loss_of(params, targets, real, coarsest):
        network = nnx.merge(graph, params, decoder, stats)
        activations = network.activation(targets, coarsest)
        right = (jax.vmap(exists)(activations) > 0.5) == real
        return jax.vmap(existence_loss)(activations, real).mean(), right.mean()

    def step(run: Run, classifier, images, labels, index):
        asked_key, augment_key = jax.random.split(jax.random.fold_in(seed, index))
        targets, real = asked(asked_key, labels, classes, config.selector_fakes)
        coarsest, *_ = feature_pyramid.features(classifier, prepared(config, augment_key, images))
        (loss, right), grads = jax.value_and_grad(loss_of, has_aux=True)(
            run.params, targets, real, coarsest
        )
        updates, opt = tx.update(grads, run.opt, run.params)
        params = optax.apply_updates(run.params, updates)
        return Run(params, run.stats, opt), {"loss": loss, "right": right}

    return jax.jit(step, out_shardings=replicated, donate_argnums=0)


def make_step(config: Any, graph: Any, classes: int, replicated: NamedSharding) -> Callable:
    """Return the jitted step of phase 2, which leaves the selector unchanged.

    It is `(run, selector, classifier, images, labels, index) -> (run, metrics)`.
    """
    seed, tx = jax.random.key(config.seed + 2), optimiser(config)
    objective = objectives(config)

    def loss_of(params, stats, selector, classifier, images, labels, draws):
        (targets, real), keys = draws
        network = nnx.merge(graph, selector, params, stats, copy=True)
        levels = feature_pyramid.features(classifier, images)
        masks, _ = network(targets, 0.0, *levels, train=True)

        def one(key, image, label, mask, real):
            return objective(key, classifier, image, label, mask, real=real)

        each = jax.vmap(one)(keys, images, labels, masks, real)
        mean = jax.tree.map(jnp.mean, each)
        return mean.loss, (mean, nnx.state(network, nnx.BatchStat))

    def step(run: Run, selector, classifier, images, labels, index):
        key, asked_key, augment_key = jax.random.split(jax.random.fold_in(seed, index), 3)
        images = prepared(config, augment_key, images)
        keys = jax.random.split(key, len(images))
        draws = asked(asked_key, labels, classes, config.fakes), keys
        (_, (means, stats)), grads = jax.value_and_grad(loss_of, has_aux=True)(
            run.params, run.stats, selector, classifier, images, labels, draws
        )
        updates, opt = tx.update(grads, run.opt, run.params)
        return Run(optax.apply_updates(run.params, updates), stats, opt), means._asdict()

    return jax.jit(step, out_shardings=replicated, donate_argnums=0)


def objectives(config: Any) -> Callable:
    """Return the minimised objective with the weights of the configuration."""
    check_name("objective", config.objective, OBJECTIVES)
    options = {"sigma": config.sigma, "area": config.area, "smoothness": config.smoothness}
    if config.objective == "paper":
        return partial(realtime_paper_objective, **options)
    return partial(realtime_objective, **options, preserver=config.preserver, loses=config.loses)
