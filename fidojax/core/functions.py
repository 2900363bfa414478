"""Plain functions as classifiers: what is no pytree of arrays becomes one, or is refused.

A classifier is an argument of compiled functions, so it has to be a pytree. Functions, bound
methods and other callables become nodes without leaves, the arrays of a `functools.partial` and of
a bound method's object become leaves.
"""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.tree_util import Partial

from fidojax.core.contract import TRIED, logits_of
from fidojax.types import Classifier

ADAPTERS = {
    "flax.nnx": "from_nnx(module)",
    "flax.linen": "from_linen(module, variables)",
    "keras": "from_keras(model)",
    "torch": "from_torch(module)",
}
"""The package of a framework's modules, which are no classifiers, and the adapter for them."""
SMALL = 65536
"""Arrays in a function of at most this many values are compared by value, others by identity."""


def as_classifier(classifier: Any, shape: tuple[int, ...] | None = None) -> Classifier:
    """Return the classifier as a callable pytree of arrays; one that is so already is unchanged.

    The arrays that a plain function refers to are constants of the compiled programs. With `shape`
    the function is traced, and compiled anew if these arrays are other ones than before.

    Args:
        classifier: a callable: a pytree, a function, `jax.jit` of one, a `functools.partial`, a
            bound method, or a pytree with some of these as leaves.
        shape: "h w c" of an image.

    Raises:
        TypeError: it cannot be called, is a module of a framework that needs an adapter, or has a
            leaf that is neither an array nor a function.

    Example:
        >>> classifier = fidojax.core.as_classifier(lambda images: network(images).logits)
    """
    check_callable(classifier)
    wrapped = jax.tree.map(_node, classifier)
    if shape is None or not any(map(_is_function, jax.tree.leaves(wrapped, is_leaf=_is_function))):
        return wrapped
    images = jax.ShapeDtypeStruct((TRIED, *shape), jnp.float32)
    # A function of its own, since JAX remembers the traces of functions.
    constants = jax.make_jaxpr(lambda images: logits_of(wrapped, images))(images).consts
    if any(isinstance(array, Tracer) for array in constants):
        return wrapped  # of a trace that is going on: nothing to compare
    seen = tuple(map(_Constant, constants))
    return jax.tree.map(
        lambda leaf: Function(leaf.call, seen) if _is_function(leaf) else leaf,
        wrapped,
        is_leaf=_is_function,
    )


@jax.tree_util.register_static
class Function:
    """A function as a pytree without leaves.

    Two of them are equal, and share their compiled programs, if they call the same function and the
    arrays it refers to are known to be the same.

    Attributes:
        call: the function.
        constants: the arrays that it refers to; None if unknown.
    """

    def __init__(self, call: Any, constants: tuple["_Constant", ...] | None = None) -> None:
        self.call, self.constants = call, constants

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the function."""
        return self.call(*arguments, **options)

    def __eq__(self, other: object) -> bool:
        if self is other or not isinstance(other, Function):
            return self is other
        if self.constants is None or self.constants != other.constants:
            return False
        return self.call is other.call or (inspect.ismethod(self.call) and self.call == other.call)

    def __hash__(self) -> int:
        return hash(getattr(self.call, "__qualname__", type(self.call)))


class _Constant:
    """An array that is compared by value if it is small, else by identity."""

    def __init__(self, array: Any) -> None:
        self.array = array
        small = isinstance(array, np.ndarray) or array.size <= SMALL
        self.content = np.asarray(array).tobytes() if small else id(array)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Constant) or self.content != other.content:
            return False
        return self.array.shape == other.array.shape and self.array.dtype == other.array.dtype

    def __hash__(self) -> int:
        return hash(self.content)


@jax.tree_util.register_static
class _Rest:
    """What a `functools.partial` binds beside arrays, and the structure of it all."""

    def __init__(self, structure: Any, leaves: list) -> None:
        self.structure, self.leaves = structure, leaves

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Rest):
            return False
        return self.structure == other.structure and self.leaves == other.leaves

    def __hash__(self) -> int:
        return hash(self.structure)


def _node(leaf: Any) -> Any:
    """Return a leaf as a pytree of arrays."""
    if _is_array(leaf) or isinstance(leaf, bool | int | float | complex):
        return leaf
    if isinstance(leaf, functools.partial):
        leaves, structure = jax.tree.flatten((leaf.args, leaf.keywords))
        arrays = [value if _is_array(value) else None for value in leaves]
        rest = [None if _is_array(value) else value for value in leaves]
        return Partial(_call, _node(leaf.func), _Rest(structure, rest), arrays)
    if inspect.ismethod(leaf) and not jax.tree_util.all_leaves([leaf.__self__]):
        return Partial(leaf.__func__, leaf.__self__)
    if callable(leaf):
        return Function(leaf)
    raise TypeError(
        f"classifier has a leaf of type {type(leaf).__name__}, expected arrays and functions: make"
        " it a static field, or bind it with functools.partial"
    )


def _call(function: Any, rest: _Rest, arrays: list, *images: Any) -> Any:
    pairs = zip(rest.leaves, arrays, strict=True)
    leaves = [value if array is None else array for value, array in pairs]
    arguments, options = jax.tree.unflatten(rest.structure, leaves)
    return function(*arguments, *images, **options)


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def _is_function(node: Any) -> bool:
    return isinstance(node, Function)


def check_callable(classifier: Any) -> None:
    """Raise TypeError for what is not callable, and for modules that need an adapter."""
    kind = type(classifier)
    if not callable(classifier):
        shown = repr(classifier) if isinstance(classifier, str) else f"a {kind.__name__}"
        advice = "such as jax.tree_util.Partial(apply, params)"
        if isinstance(classifier, str):
            advice = "such as fidojax.networks.load(NAME).classifier"
        elif hasattr(classifier, "classifier"):  # what fidojax.networks.load returns
            advice = "its attribute classifier"
        raise TypeError(
            f"classifier is {shown}, expected a callable, images (n, h, w, c) -> logits (n, k),"
            f" {advice}"
        )
    for base in kind.__mro__:
        for package, adapter in ADAPTERS.items():
            inside = f"{base.__module__}.".startswith(f"{package}.")
            if inside and base.__name__ in ("Module", "Model", "Layer"):
                raise TypeError(
                    f"classifier is a {package} module, {kind.__name__}: pass"
                    f" fidojax.networks.{adapter}, which evaluates it as at test time"
                )
