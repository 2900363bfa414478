"""VarSal encoders trained for a few hundred steps, to compare classifiers by.

`train.varsal` trains the shipped encoders for many epochs with checkpoints and mirrored pictures.
This module has only its step: the same objective with a k and a baseline drawn for each picture,
the same optimiser and schedule, each picture seen once.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.tree_util import Partial
from jaxtyping import UInt8

from fidojax.methods import varsal_objective
from fidojax.networks import VarSalNetwork, fold
from fidojax.runs import Ledger
from fidojax.types import Classifier, Encoder

Train = Callable[..., tuple[Partial, np.ndarray]]
"""`train(seed, classifier, images, progress)`, see `encoder_trainer`."""


@functools.cache
def encoder_trainer(
    channels: int, widths: tuple[int, ...], steps: int, learning_rate: float, sigma: float
) -> Train:
    """Return `train(seed, classifier, images, progress) -> (encoder, loss of each step)`.

    The encoder's weights, the order of the pictures and all draws follow from the seed. Each step
    takes its share of the uint8 `images`; `progress(done, total)` is called after it. Classifiers
    of the same structure share one program.

    Args:
        channels: channels of the pictures.
        widths: channels of each hidden layer of the encoder.
        steps: steps of the optimiser.
        learning_rate: the highest, after a warm-up of 5% and before a cosine to 0.
        sigma: of the blurred baseline, in pixels.
    """
    rate = optax.warmup_cosine_decay_schedule(0.0, learning_rate, round(0.05 * steps), steps)
    adam = optax.chain(optax.add_decayed_weights(5e-4), optax.adam(rate, 0.9, 0.99))

    def loss_of(params, stats, graph, classifier, images, keys):
        model = nnx.merge(graph, params, stats, copy=True)
        means, log_variances = model(images, train=True)

        def one(key, image, mean, log_variance):
            return varsal_objective(key, classifier, image, mean, log_variance, sigma=sigma).loss

        losses = jax.vmap(one)(keys, images, means, log_variances)
        return losses.mean(), nnx.state(model, nnx.BatchStat)

    def step(state, graph, classifier, images, key):
        params, stats, opt = state
        images = images.astype(jnp.float32) / 255
        keys = jax.random.split(key, len(images))
        (loss, stats), grads = jax.value_and_grad(loss_of, has_aux=True)(
            params, stats, graph, classifier, images, keys
        )
        updates, opt = adam.update(grads, opt, params)
        return (optax.apply_updates(params, updates), stats, opt), loss

    jitted = jax.jit(step, static_argnames="graph")

    def train(
        seed: int,
        classifier: Classifier,
        images: UInt8[np.ndarray, "n h w c"],
        progress: Callable[[int, int], None],
    ) -> tuple[Partial, np.ndarray]:
        network = VarSalNetwork(channels, widths, rngs=nnx.Rngs(seed))
        graph, params, stats = nnx.split(network, nnx.Param, ...)
        state: Any = (params, stats, adam.init(params))
        order = np.array_split(np.random.default_rng(seed).permutation(len(images)), steps)
        batch = len(order[-1])
        losses = []
        for index, rows in enumerate(order):
            key = jax.random.fold_in(jax.random.key(seed + 1), index)
            state, loss = jitted(state, graph, classifier, images[rows[:batch]], key)
            losses.append(float(loss))
            progress(index + 1, steps)
        if not np.isfinite(losses).all():
            raise FloatingPointError(
                f"the loss is not finite at step {np.argmin(np.isfinite(losses))}"
            )
        folded = fold(nnx.merge(graph, *state[:2]))
        return Partial(_apply, *nnx.split(folded)), np.array(losses)

    return train


def encoder_columns(encoder: Encoder) -> dict[str, np.ndarray]:
    """The encoder's weights as columns of a ledger's row."""
    leaves = jax.tree.leaves(encoder)
    return {f"weights {at:03d}": np.asarray(leaf)[None] for at, leaf in enumerate(leaves)}


def stored_encoder(ledger: Ledger, row: int, channels: int, widths: tuple[int, ...]) -> Encoder:
    """The encoder whose `encoder_columns` stand in a row of the ledger."""
    network = VarSalNetwork(channels, widths, norm=False, rngs=nnx.Rngs(0))
    structure = jax.tree.structure(Partial(_apply, *nnx.split(network)))
    names = [f"weights {at:03d}" for at in range(structure.num_leaves)]
    return jax.tree.unflatten(structure, [ledger.read(name, [row])[0] for name in names])


def _apply(graph: Any, params: Any, images: Any) -> Any:
    return nnx.merge(graph, params)(jnp.asarray(images))
