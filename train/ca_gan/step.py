"""One training step of the contextual attention GAN: holes, critics, generator."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from infillers import holes
from infillers.ca import (
    Critics,
    Generator,
    Hole,
    adversarial_loss,
    box_weights,
    completed,
    critic_loss,
    hole_weights,
    reconstruction_loss,
)
from train import augment
from train.data_parallel import Placement


class Run(NamedTuple):
    """What a checkpoint holds; randomness and data order follow from the seed and the step."""

    generator: Any
    critics: Any
    generator_opt: Any
    critics_opt: Any
    average: Any
    """Moving average of the generator's weights, which is measured and exported."""


class Networks(NamedTuple):
    """The structures and the optimisers of generator and critics."""

    generator: Any
    critics: Any
    generator_tx: optax.GradientTransformation
    critics_tx: optax.GradientTransformation


def build(config: Any) -> tuple[Networks, Run]:
    """Return the networks and their initial state, weights drawn from the seed."""

    def both():
        rngs = nnx.Rngs(0)
        generator = Generator(config.width, config.dilations, config.rule, rngs=rngs)
        return generator, Critics(config.side, config.critic_width, rngs=rngs)

    (graph, params), (critics_graph, critics) = map(nnx.split, nnx.eval_shape(both))
    params, critics = glorot(jax.random.key(config.seed), (params, critics))
    adam = optax.adam(schedule(config), *config.betas)
    critics_adam = optax.adam(config.critic_rate, *config.critic_betas)
    # All weights as one array: one update per array takes long to compile.
    networks = Networks(graph, critics_graph, optax.flatten(adam), optax.flatten(critics_adam))
    opts = networks.generator_tx.init(params), networks.critics_tx.init(critics)
    return networks, Run(params, critics, *opts, params)


def glorot(key: jax.Array, weights: Any) -> Any:
    """Draw kernels from Glorot's uniform distribution, all in one draw; biases are 0."""
    leaves, tree = jax.tree.flatten(weights)
    draw = np.asarray(jax.random.uniform(key, (sum(x.size for x in leaves),), minval=-1.0))
    parts = np.split(draw, np.cumsum([x.size for x in leaves])[:-1])
    limits = [
        (6 / (x.size / x.shape[-1] + x.size / x.shape[-2])) ** 0.5 if x.ndim > 1 else 0.0
        for x in leaves
    ]
    scaled = [
        jnp.asarray(limit * part.reshape(x.shape), x.dtype)
        for limit, part, x in zip(limits, parts, leaves, strict=True)
    ]
    return jax.tree.unflatten(tree, scaled)


def schedule(config: Any) -> optax.Schedule:
    """Return the generator's learning rate: a rise over `warmup`, constant, then a linear fall."""
    rate, start = config.learning_rate, round((1 - config.cooldown) * config.steps)
    fall = optax.linear_schedule(rate, config.last_rate, config.steps - start)
    later = optax.join_schedules([optax.constant_schedule(rate), fall], [start])
    rise = optax.linear_schedule(0.0, 1.0, config.warmup)
    return lambda step: later(step) * (rise(step + 1) if config.warmup else 1.0)


def draw(config: Any, key: jax.Array) -> Hole:
    """Draw a hole of a kind drawn from `config.holes`."""
    shape = (config.side, config.side)
    kind_key, box_key, shape_key, rate_key = jax.random.split(key, 4)
    half = config.side // 2
    corner = jax.random.randint(box_key, (2,), 0, half + 1)
    kinds = []
    for kind in config.holes:
        if kind == "rectangle":
            # All four sides of the box move inwards by up to an eighth, drawn per axis.
            shrink = jax.random.randint(shape_key, (2,), 0, half // 8 + 1)
            top, left = corner + shrink
            mask = holes.box(shape, top, left, half - 2 * shrink)
            kinds.append(Hole(mask, corner, box_weights(shape, corner)))
            continue
        if kind == "pixels":
            keep = jax.random.uniform(rate_key, minval=config.keep[0], maxval=config.keep[1])
            mask = holes.random_pixels(shape_key, shape, keep)
        else:
            mask = holes.free_form(shape_key, shape)
        kinds.append(Hole(mask, corner, hole_weights(mask)))
    chosen = jax.random.randint(kind_key, (), 0, len(kinds))
    return jax.tree.map(lambda *parts: jnp.stack(parts)[chosen], *kinds)


def batch(config: Any, images: jax.Array, key: jax.Array) -> tuple[jax.Array, Hole]:
    """Return pictures in [-1, 1], mirrored at random, and their holes."""
    keys = jax.random.split(key, (2, len(images)))
    real = jax.vmap(augment.flip)(keys[0], images.astype(jnp.float32) / 127.5 - 1.0)
    return real, jax.vmap(partial(draw, config))(keys[1])


def make_steps(
    config: Any, networks: Networks, placement: Placement
) -> tuple[Callable, Callable, Callable]:
    """Return the jitted `batch`, `critics_step` and `generator_step`.

    The steps are `(run, real, hole, key) -> (run, metrics)` and `(run, real, hole, adversarial) ->
    (run, metrics)`; `adversarial` is static and adds the critics to the generator's loss.
    """

    def critics_step(run: Run, real: jax.Array, hole: Hole, key: jax.Array):
        _, fine = nnx.merge(networks.generator, run.generator)(real, hole.mask)
        fake = jax.lax.stop_gradient(completed(real, fine, hole.mask))
        between = jax.random.uniform(key, (len(real),))

        def loss_of(params):
            critics = nnx.merge(networks.critics, params)
            return critic_loss(critics, real, fake, hole, between, config.penalty)

        (loss, distance), grads = jax.value_and_grad(loss_of, has_aux=True)(run.critics)
        updates, opt = networks.critics_tx.update(grads, run.critics_opt, run.critics)
        run = run._replace(critics=optax.apply_updates(run.critics, updates), critics_opt=opt)
        return run, {"critic": loss, "distance": distance}

    def generator_step(run: Run, real: jax.Array, hole: Hole, adversarial: bool):
        def loss_of(params):
            coarse, fine = nnx.merge(networks.generator, params)(real, hole.mask)
            inside, known = reconstruction_loss(real, coarse, fine, hole, config.coarse_weight)
            loss = config.l1_weight * inside + config.known_weight * known
            if adversarial:
                critics = nnx.merge(networks.critics, run.critics)
                fake = completed(real, fine, hole.mask)
                loss += config.gan_weight * adversarial_loss(critics, fake, hole.corner)
            return loss, (inside, known)

        (loss, (inside, known)), grads = jax.value_and_grad(loss_of, has_aux=True)(run.generator)
        updates, opt = networks.generator_tx.update(grads, run.generator_opt, run.generator)
        params = optax.apply_updates(run.generator, updates)
        average = optax.incremental_update(params, run.average, 1.0 - config.ema)
        run = run._replace(generator=params, generator_opt=opt, average=average)
        return run, {"loss": loss, "hole": inside, "known": known}

    jitted = partial(jax.jit, out_shardings=placement.replicated, donate_argnums=0)
    drawn = jax.jit(partial(batch, config), out_shardings=placement.spread)
    return drawn, jitted(critics_step), jitted(generator_step, static_argnums=3)
