"""The optimisation loop that every iterative method shares.

A method's file builds a `Loop` from its options. The pure method is `run(loop, ...)`, one
`jax.lax.scan`; `fidojax.engine` drives the same `init` and `step` over batches from the host, where
progress, early stopping and cancelling live. All functions are for ONE image.
"""

from collections.abc import Callable
from typing import Any, Concatenate, NamedTuple, ParamSpec, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from fidojax.core.arguments import of_one_image
from fidojax.core.signatures import with_options_of
from fidojax.types import Classifier, Explanation, Image, PRNGKey, Scalar, Target

Options = ParamSpec("Options")
"""The options of a loop, which are those of its method."""


class Loop(NamedTuple):
    """An iterative method with its options filled in.

    Attributes:
        steps: the number of calls of `step`.
        init: `init(key, classifier, image, target) -> state`.
        step: `step(classifier, image, target, state) -> (state, record)`; the record is a
            NamedTuple of scalars, among them `objective`.
        readout: `readout(classifier, image, target, state, history) -> Explanation`; the history is
            the record with a leading axis of steps.
        evaluations: the number of forward and backward passes of the classifier in one step.
        mask: `mask(state) -> mask`, values in [0, 1], the mask that would be read out now; None
            where the method needs all its steps, so that it cannot end early.
    """

    steps: int
    init: Callable[..., Any]
    step: Callable[..., tuple[Any, Any]]
    readout: Callable[..., Explanation]
    evaluations: int
    mask: Callable[[Any], Array] | None = None


class State(NamedTuple):
    """The state between two steps: a pytree of arrays, which can be stored and resumed.

    Attributes:
        step: number of steps done.
        params: the optimised parameters.
        optimiser: the Optax state.
        average: the value to read out: its running mean over the last steps, before them the value.
        constant: what a method keeps beside them, most of it computed once for all steps.
        key: the picture's key; step `i` uses `fold_in(key, i)`.
    """

    step: Int[Array, ""]
    params: Any
    optimiser: Any
    average: Any
    constant: Any
    key: PRNGKey


def readout_key(key: PRNGKey) -> PRNGKey:
    """Return the key of a readout, which no step has, of the picture's key."""
    return jax.random.fold_in(key, jnp.iinfo(jnp.int32).max)


class Record(NamedTuple):
    """One step's entry in the history.

    Attributes:
        objective: the minimised value, with its regularisers.
        score: the classifier's mean score of the target on the sampled counterfactuals.
    """

    objective: Scalar
    score: Scalar


def start(
    key: PRNGKey, params: Any, optimiser: optax.GradientTransformation, constant: Any = ()
) -> State:
    """Return the state before the first step."""
    return State(
        step=jnp.zeros((), jnp.int32),
        params=params,
        optimiser=optimiser.init(params),
        average=jax.tree.map(jnp.zeros_like, params),
        constant=constant,
        key=key,
    )


def update(state: State, grads: Any, optimiser: optax.GradientTransformation) -> State:
    """Take one step of the optimiser down the gradient."""
    updates, opt_state = optimiser.update(grads, state.optimiser, state.params)
    params = optax.apply_updates(state.params, updates)
    # Adam takes no step where the square of a gradient overflows: the map would be its start.
    params = jax.tree.map(lambda p, g: jnp.where(jnp.isfinite(g * g), p, jnp.nan), params, grads)
    return state._replace(step=state.step + 1, params=params, optimiser=opt_state)


def average_tail(state: State, value: Any, steps: int, share: float | Scalar) -> State:
    """Keep the mean of `value` over the last `share` of all steps (at least the last one)."""
    first = steps - jnp.maximum(1.0, jnp.floor(share * steps))
    count = state.step - first  # 1 at the first averaged step, since state.step counts steps done
    weight = 1.0 / jnp.maximum(count, 1.0)
    average = jax.tree.map(
        lambda a, v: jnp.where(count > 1, a + weight * (v - a), v), state.average, value
    )
    return state._replace(average=average)


def method(
    loop: Callable[Options, Loop],
) -> Callable[Concatenate[PRNGKey, Classifier, Image, Target, Options], Explanation]:
    """Return the pure method of a loop's factory, with its options and documentation."""

    @of_one_image
    @with_options_of(loop)
    def explain(
        key: PRNGKey, classifier: Classifier, image: Image, target: Target, **options: Any
    ) -> Explanation:
        return run(cast(Callable[..., Loop], loop)(**options), key, classifier, image, target)

    explain.__name__ = explain.__qualname__ = loop.__name__.removesuffix("_loop")
    explain.__module__, explain.__doc__ = loop.__module__, loop.__doc__
    return cast(Any, explain)  # a type checker does not see that its options are the loop's


def run(
    loop: Loop, key: PRNGKey, classifier: Classifier, image: Image, target: Target
) -> Explanation:
    """Run all steps in one scan and read out the map; works under jit, vmap and grad.

    On XLA:CPU gradients of convolutions are several times slower inside a scan;
    `fidojax.engine` and `fidojax.transforms.cpu.fast` both avoid that.
    """
    state = loop.init(key, classifier, image, target)
    state, history = jax.lax.scan(
        lambda state, _: loop.step(classifier, image, target, state), state, length=loop.steps
    )
    return loop.readout(classifier, image, target, state, history)
