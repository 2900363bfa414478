"""One training step of the U-Net: masks, losses, updates."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.tree_util import Partial

from fidojax.core import mix
from infillers.fido_like import fido_like
from infillers.unet import UNet, shrunk
from train import augment
from train.data_parallel import Placement
from train.unet.critic import Critic, dropped_share, fooling, telling
from train.unet.perceptual import distances


class Run(NamedTuple):
    """What a checkpoint holds; randomness and data order follow from the seed and the step."""

    network: Any
    critic: Any
    network_opt: Any
    critic_opt: Any
    average: Any
    """Moving average of the network's weights, which is measured and exported."""


class Losses(NamedTuple):
    """What a step trains beside the coarse network's absolute error."""

    detail: bool
    """Whether the second network is applied at all; the other losses need it."""
    perceptual: bool
    adversarial: bool


class Parts(NamedTuple):
    """The structures and the optimisers of network and critic."""

    network: Any
    critic: Any
    network_tx: optax.GradientTransformation
    critic_tx: optax.GradientTransformation


def build(config: Any) -> tuple[Parts, Run]:
    """Return the networks and their initial state, weights drawn from the seed."""

    @jax.jit
    def drawn():
        rngs = nnx.Rngs(config.seed)
        network = UNet(config.coarse, config.detail, config.blocks, rngs=rngs)
        return nnx.split(network), nnx.split(Critic(config.critic_width, rngs=rngs))

    (graph, params), (critic_graph, critic) = drawn()
    adam = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adam(schedule(config), 0.9, 0.99, eps=1e-8)
    )
    critic_adam = optax.adam(config.critic_rate, 0.0, 0.99)
    # All weights as one array: one update per array takes long to compile.
    parts = Parts(graph, critic_graph, optax.flatten(adam), optax.flatten(critic_adam))
    opts = parts.network_tx.init(params), parts.critic_tx.init(critic)
    return parts, Run(params, critic, *opts, params)


def schedule(config: Any) -> optax.Schedule:
    """Return the learning rate: a rise, then a fall with the root of the steps, without an end."""
    rise = optax.linear_schedule(0.0, 1.0, config.warmup)
    return lambda step: (
        config.learning_rate * rise(step + 1) * (1.0 + step / config.slower_after) ** -0.5
    )


def batch(config: Any, images: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return augmented pictures in [0, 1], and their masks."""
    crop_key, flip_key, colour_key, mask_key = jax.random.split(key, (4, len(images)))
    real = images.astype(jnp.float32) / 255
    cut = partial(augment.crop, size=config.side, area=config.crop, ratio=(0.8, 1.25))
    real = jax.vmap(augment.flip)(flip_key, jax.vmap(cut)(crop_key, real))
    real = jax.vmap(partial(augment.colours, strength=0.2))(colour_key, real)
    masks = jax.lax.map(partial(fido_like, shape=(config.side, config.side)), mask_key)
    return real, masks


def make_steps(
    config: Any, parts: Parts, placement: Placement, features: Partial | None
) -> tuple[Callable, Callable, Callable]:
    """Return the jitted `batch`, `critic_step` and `network_step`.

    The steps are `(run, real, masks) -> (run, metrics)`; `network_step` takes what it trains, too:
    `Losses`, static.

    Args:
        features: of the perceptual loss; None if it is not asked for.
    """

    def losses(params, run: Run, real: jax.Array, masks: jax.Array, asked: Losses):
        scales = nnx.merge(parts.network, params)(real, masks, None if asked.detail else 1)
        found: dict[str, Any] = {"coarse": 0.0}
        for drawn in scales[:-1] if asked.detail else scales:
            smaller, _ = shrunk(real, jnp.ones_like(masks), drawn.shape[1:3])
            _, kept = shrunk(real, masks, drawn.shape[1:3])
            found["coarse"] += _hole(drawn, smaller, 1.0 - kept)
        loss = config.l1_weight * found["coarse"]
        if not asked.detail:
            return loss, found | {"loss": loss}
        found["hole"] = _hole(scales[-1], real, (1.0 - masks)[..., None])
        loss += config.l1_weight * found["hole"]
        completed = _completed(real, masks, scales[-1])
        if asked.perceptual and features is not None:
            seen = distances(features, real, completed)
            found |= {"perceptual": seen.mean()}
            loss += config.perceptual_weight * seen.mean()
        if asked.adversarial:
            critic = nnx.merge(parts.critic, run.critic)
            found["fooling"] = fooling(critic, completed, dropped_share(masks))
            loss += config.gan_weight * found["fooling"]
        return loss, found | {"loss": loss}

    def network_step(run: Run, real: jax.Array, masks: jax.Array, asked: Losses):
        (_, found), grads = jax.value_and_grad(losses, has_aux=True)(
            run.network, run, real, masks, asked
        )
        updates, opt = parts.network_tx.update(grads, run.network_opt, run.network)
        params = optax.apply_updates(run.network, updates)
        average = optax.incremental_update(params, run.average, 1.0 - config.ema)
        return run._replace(network=params, network_opt=opt, average=average), found

    def critic_step(run: Run, real: jax.Array, masks: jax.Array):
        drawn = nnx.merge(parts.network, run.network)(real, masks)[-1]
        drawn = jax.lax.stop_gradient(_completed(real, masks, drawn))

        def loss_of(params):
            critic = nnx.merge(parts.critic, params)
            return telling(critic, real, drawn, dropped_share(masks), config.penalty)

        loss, grads = jax.value_and_grad(loss_of)(run.critic)
        updates, opt = parts.critic_tx.update(grads, run.critic_opt, run.critic)
        return run._replace(critic=optax.apply_updates(run.critic, updates), critic_opt=opt), loss

    jitted = partial(jax.jit, out_shardings=placement.replicated, donate_argnums=0)
    drawn = jax.jit(partial(batch, config), out_shardings=placement.spread)
    return drawn, jitted(critic_step), jitted(network_step, static_argnums=3)


def _completed(real: jax.Array, masks: jax.Array, drawn: jax.Array) -> jax.Array:
    """Return the pictures with what was drawn in their holes."""
    return jax.vmap(mix)(real, masks, jnp.clip(drawn, 0.0, 1.0))


def _hole(drawn: jax.Array, real: jax.Array, dropped: jax.Array) -> jax.Array:
    """Return the mean absolute error over the dropped pixels of all pictures."""
    return (jnp.abs(drawn - real) * dropped).mean() / jnp.maximum(dropped.mean(), 1e-6)
