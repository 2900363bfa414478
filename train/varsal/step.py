"""One training step of VarSal's encoder: a sampled map per picture, its loss, the update."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import NamedSharding

from fidojax.methods import KEPT, varsal_objective
from train import augment
from train.adam import adam, rate

LARGEST = float(jnp.finfo(jnp.float32).max)
"""The initial value of `Run.lowest`; finite, since checkpoints must be."""


OBJECTIVE_OPTIONS = tuple(
    ["sigma", "noise", "epsilon", "hard", "prior", "alpha", "beta", "half", "baselines"]
)
"""Settings that `fidojax.methods.varsal_objective` takes."""


class Run(NamedTuple):
    """What a checkpoint holds; randomness and data order follow from the seed and the step.

    Attributes:
        best: parameters and statistics after the epoch with the lowest mean loss.
        lowest: that loss.
        total: the sum of the losses of the present epoch.
    """

    params: Any
    stats: Any
    opt: Any
    best: Any
    lowest: jax.Array
    total: jax.Array


def start(params: Any, stats: Any, tx: optax.GradientTransformation) -> Run:
    """Return the state before the first step."""
    lowest = jnp.float32(LARGEST)
    return Run(params, stats, tx.init(params), (params, stats), lowest, jnp.float32(0))


def optimiser(config: Any, per_epoch: int) -> optax.GradientTransformation:
    """Return Adam with a constant rate, or one that falls to 0 after a warm-up."""
    steps = config.epochs * per_epoch
    falling = rate(config.schedule, config.learning_rate, steps)
    return adam(falling, config.weight_decay, config.betas)


def make_step(config: Any, graph: Any, tx: Any, replicated: NamedSharding) -> Callable:
    """Return the jitted `(run, classifier, images, index) -> (run, metrics)`."""
    seed = jax.random.key(config.seed + 1)
    options = {name: getattr(config, name) for name in OBJECTIVE_OPTIONS}

    def loss_of(params, stats, classifier, images, keys, draw):
        model = nnx.merge(graph, params, stats, copy=True)
        posteriors = model(images, train=True)

        def one(key, image, mean, log_variance):
            return varsal_objective(key, classifier, image, mean, log_variance, **draw, **options)

        each = jax.vmap(one)(keys, images, *posteriors)
        mean = jax.tree.map(jnp.mean, each)
        return mean.loss, (mean, nnx.state(model, nnx.BatchStat))

    def step(run: Run, classifier, images, index):
        draw_key, flip_key, key = jax.random.split(jax.random.fold_in(seed, index), 3)
        images = images.astype(jnp.float32) / 255
        if config.flip:
            images = jax.vmap(augment.flip)(jax.random.split(flip_key, len(images)), images)
        keys = jax.random.split(key, len(images))
        draw = {} if config.mixed else one_draw(draw_key, len(config.baselines))
        (loss, (means, stats)), grads = jax.value_and_grad(loss_of, has_aux=True)(
            run.params, run.stats, classifier, images, keys, draw
        )
        updates, opt = tx.update(grads, run.opt, run.params)
        params = optax.apply_updates(run.params, updates)
        run = run._replace(params=params, stats=stats, opt=opt, total=run.total + loss)
        return run, means._asdict()

    return jax.jit(step, out_shardings=replicated, donate_argnums=0)


def one_draw(key: jax.Array, baselines: int) -> dict[str, jax.Array]:
    """Draw the kept share and the baseline once for all pictures of a step, as the paper does."""
    kept_key, baseline_key = jax.random.split(key)
    return {
        "kept": jax.random.uniform(kept_key, (), jnp.float32, *KEPT),
        "baseline": jax.random.randint(baseline_key, (), 0, baselines),
    }


def kept(run: Run) -> Any:
    """Return parameters and statistics of the best epoch; in the first epoch, the present ones."""
    return run.best if float(run.lowest) < LARGEST else (run.params, run.stats)


@partial(jax.jit, static_argnums=1, donate_argnums=0)
def keep_best(run: Run, per_epoch: int) -> Run:
    """Keep the weights at the end of an epoch if its loss was the lowest."""
    mean = run.total / per_epoch
    better = mean < run.lowest
    best = jax.tree.map(
        lambda new, old: jnp.where(better, new, old), (run.params, run.stats), run.best
    )
    return run._replace(
        best=best, lowest=jnp.minimum(mean, run.lowest), total=jnp.zeros_like(run.total)
    )
