"""One training step of the autoencoders: holes, loss, update, average."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import NamedSharding

from infillers import holes
from infillers.vae import MnistVAE, NaturalVAE, mnist, natural
from train import augment

KINDS = ("rectangle", "pixels", "free_form")


class Run(NamedTuple):
    """What a checkpoint holds; randomness and data order follow from the seed and the step."""

    params: Any
    stats: Any
    opt: Any
    average: Any


def network(config: Any, norm: bool = True) -> MnistVAE | NaturalVAE:
    """Return the network to train, weights drawn from the seed; `norm=False` is its folded form."""
    rngs = nnx.Rngs(config.seed)
    if len(config.widths) == 1:
        return MnistVAE(config.widths[0], config.latent, norm=norm, rngs=rngs)
    sizes = (config.widths, config.latent, config.dilations, config.variance)
    return NaturalVAE(*sizes, norm=norm, rngs=rngs)


def optimiser(config: Any, per_epoch: int) -> optax.GradientTransformationExtraArgs:
    """Return elementwise clipping and Adam, with the learning rate of `config.schedule`."""
    clip = optax.clip(config.clip) if config.clip else optax.identity()
    if config.schedule == "plateau":
        # PyTorch's patience of 2 lets two epochs pass and lowers the rate after the third.
        plateau = optax.contrib.reduce_on_plateau(
            factor=0.2,
            patience=3,
            accumulation_size=per_epoch,
            min_scale=5e-7 / config.learning_rate,
        )
        return optax.chain(clip, optax.adam(config.learning_rate), plateau)
    if config.schedule == "cosine":
        begin, second = config.again
        steps = min(begin, config.epochs) * per_epoch
        rate = optax.warmup_cosine_decay_schedule(
            0.0, config.learning_rate, round(0.05 * steps), steps
        )
        if begin < config.epochs:
            rest = optax.cosine_decay_schedule(second, (config.epochs - begin) * per_epoch)
            rate = optax.join_schedules([rate, rest], [steps])
        return optax.with_extra_args_support(optax.chain(clip, optax.adam(rate)))
    raise ValueError(f'schedule must be "plateau" or "cosine", got {config.schedule!r}')


def drawn_holes(config: Any, key: jax.Array, count: int, shape: tuple[int, int]) -> jax.Array:
    """Draw masks "n h w": one kind of hole per batch, as in the papers, or per picture.

    Rectangles have sides of 3/8 to 1/2 of the picture's, drawn once per batch.
    """
    kind_key, side_key, key = jax.random.split(key, 3)
    low, high = ((n // 2 - n // 8 for n in shape), (n // 2 + 1 for n in shape))
    sides = jax.random.randint(side_key, (2,), jnp.asarray([*low]), jnp.asarray([*high]))

    def pixels(key):
        rate_key, key = jax.random.split(key)
        low, high = config.keep
        return holes.random_pixels(
            key, shape, jax.random.uniform(rate_key, minval=low, maxval=high)
        )

    draws = {
        "rectangle": lambda key: holes.rectangle(key, shape, sides),
        "pixels": pixels,
        "free_form": lambda key: holes.free_form(key, shape),
    }
    which = jax.random.randint(
        kind_key, (count if config.mixed else 1,), 0, len(config.holes)
    ) * jnp.ones(count, jnp.int32)
    branches = [draws[name] for name in config.holes]
    return jax.vmap(lambda kind, key: jax.lax.switch(kind, branches, key))(
        which, jax.random.split(key, count)
    )


def make_step(
    config: Any, graph: Any, tx: Any, pictures: int, replicated: NamedSharding
) -> Callable:
    """Return the jitted `(run, images, index, side) -> (run, metrics)`.

    `side`, that of the crops, is static.

    Args:
        pictures: number of training pictures, from which the authors' weight of the divergence
            follows.
    """
    seed = jax.random.key(config.seed + 1)

    def loss_of(params, stats, images, masks, key):
        model = nnx.merge(graph, params, stats, copy=True)
        latent = model.encode(images, masks, train=True)
        decoded = model.decode(latent.sample(key), train=True)
        if isinstance(model, MnistVAE):
            lost = mnist.loss(decoded, images, masks, config.loss)
        else:
            lost = natural.loss(decoded, images, masks)
        weight = config.kl_weight if config.kl_weight is not None else len(images) / pictures
        divergence = latent.divergence().mean()
        loss = lost.mean() + weight * divergence
        return loss, (divergence, nnx.state(model, nnx.BatchStat))

    def picture(side, key, image):
        key_crop, key_flip = jax.random.split(key)
        top, left = jax.random.randint(key_crop, (2,), 0, jnp.asarray(image.shape[:2]) - side + 1)
        image = jax.lax.dynamic_slice(image, (top, left, 0), (side, side, image.shape[2]))
        return augment.flip(key_flip, image) if config.flip else image

    def step(run: Run, images, index, side: int):
        keys = jax.random.split(jax.random.fold_in(seed, index), 3)
        images = jax.vmap(partial(picture, side))(
            jax.random.split(keys[0], len(images)), images.astype(jnp.float32) / 255
        )
        masks = drawn_holes(config, keys[1], len(images), (side, side))
        (loss, (divergence, stats)), grads = jax.value_and_grad(loss_of, has_aux=True)(
            run.params, run.stats, images, masks, keys[2]
        )
        updates, opt = tx.update(grads, run.opt, run.params, value=loss)
        params = optax.apply_updates(run.params, updates)
        keep = jnp.minimum(config.ema, (1.0 + index) / (10.0 + index))
        average = optax.incremental_update((params, stats), run.average, 1.0 - keep)
        return Run(params, stats, opt, average), {"loss": loss, "divergence": divergence}

    return jax.jit(step, static_argnums=3, out_shardings=replicated, donate_argnums=0)
