"""The pickles inside PyTorch's files, carried out by an interpreter that knows only them.

A pickle is a program that may call anything. This one reads its operations (`pickletools`) and
carries out those that state dicts consist of. It imports nothing and calls nothing but the
functions of `GLOBALS`, and refuses everything else by its name.
"""

import io
import math
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np


class Storage(NamedTuple):
    """A storage that is yet to be read, by its key in the file.

    Attributes:
        key: its name in the file.
        dtype: the type of its elements.
        start, count: the part of it that is meant, in elements.
    """

    key: str
    dtype: np.dtype
    start: int
    count: int


class Tensor(NamedTuple):
    """A tensor whose storage is yet to be read; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    """`torch._utils._rebuild_tensor_v2`: what follows the strides concerns training."""
    if type(storage) is not Storage or type(shape) is not tuple or type(strides) is not tuple:
        raise ValueError("a tensor has no storage or no shape")
    if not all(type(n) is int and n >= 0 for n in (offset, *shape, *strides)):
        raise ValueError("a tensor has a size, an offset or a stride that is no natural number")
    if len(shape) != len(strides) or len(shape) > 32 or math.prod(shape) >= 2**48:
        raise ValueError(f"a tensor of shape {shape[:32]} has {len(strides)} strides")
    return Tensor(storage, offset, shape, strides)


def _parameter(data: Any, *_: Any) -> Any:
    """`torch._utils._rebuild_parameter`."""
    return data


def _dictionary() -> dict:
    """`collections.OrderedDict`; a dict keeps its order, too."""
    return {}


class Global(NamedTuple):
    """What a name in a pickle stands for: a function, or the type of a storage's elements."""

    function: Callable | None = None
    dtype: np.dtype | None = None


_TYPES: dict[str, Any] = {
    "Float": np.float32, "Double": np.float64, "Half": np.float16, "BFloat16": jnp.bfloat16,
    "Long": np.int64, "Int": np.int32, "Short": np.int16, "Char": np.int8, "Byte": np.uint8,
    "Bool": np.bool_,
}  # fmt: skip

GLOBALS = {f"torch {name}Storage": Global(dtype=np.dtype(t)) for name, t in _TYPES.items()} | {
    "collections OrderedDict": Global(_dictionary),
    "torch._utils _rebuild_tensor": Global(_tensor),
    "torch._utils _rebuild_tensor_v2": Global(_tensor),
    "torch._utils _rebuild_parameter": Global(_parameter),
}
"""Every name that a pickle may use."""

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def evaluate(stream: io.BytesIO) -> Any:
    """Return what the pickle that begins here makes; the stream is then behind it.

    Raises:
        ValueError: it is damaged or uses an operation or a name that no state dict needs.
        LookupError, TypeError: the same, noticed by Python.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    def pop(count: int) -> tuple[Any, ...]:
        if len(stack) - (marks[-1] if marks else 0) < count:
            raise ValueError("its pickle takes more than it has")
        items = tuple(stack[len(stack) - count :])
        del stack[len(stack) - count :]
        return items

    for opcode, argument, _ in pickletools.genops(stream):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case name if name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            case name if name in _LITERALS:
                stack.append(argument)
            case name if name in _TUPLES:
                stack.append(pop(_TUPLES[name]))
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "MARK":
                marks.append(len(stack))
            case "APPEND":
                (item,) = pop(1)
                _a(list, stack[-1]).append(item)
            case "APPENDS":
                items = since_mark()
                _a(list, stack[-1]).extend(items)
            case "SETITEM":
                _fill(pop(2), stack[-1])
            case "SETITEMS":
                _fill(since_mark(), stack[-1])
            case "BINPUT" | "LONG_BINPUT":
                memo[_a(int, argument)] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[_a(int, argument)])
            case "GLOBAL":
                stack.append(_named(_a(str, argument)))
            case "STACK_GLOBAL":
                module, name = pop(2)
                stack.append(_named(f"{_a(str, module)} {_a(str, name)}"))
            case "REDUCE":
                function, arguments = pop(2)
                stack.append(_call(function, arguments))
            case "BINPERSID":
                stack.append(_storage(*pop(1)))
            case "BUILD":  # the attributes of an OrderedDict, which tell the modules' versions
                pop(1)
                _a(dict, stack[-1])
            case name:
                raise ValueError(f"its pickle has the operation {name}, which no state dict needs")
    raise ValueError("its pickle has no end")


def _a(kind: type, item: Any) -> Any:
    """Return the item if it is exactly of this type."""
    if type(item) is not kind:
        raise ValueError(f"its pickle has a {type(item).__name__} in place of a {kind.__name__}")
    return item


def _named(name: str) -> Global:
    if name not in GLOBALS:
        raise ValueError(f"its pickle names {'.'.join(name.split(' '))!r}, which is refused")
    return GLOBALS[name]


def _call(function: Any, arguments: Any) -> Any:
    if type(function) is not Global or function.function is None:
        raise ValueError(f"its pickle calls a {type(function).__name__}")
    return function.function(*_a(tuple, arguments))


def _fill(items: Any, dictionary: Any) -> None:
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(key) not in (str, int):  # hashing nothing else, which might nest without end
            raise ValueError(f"its pickle has a {type(key).__name__} for a key")
        _a(dict, dictionary)[key] = value


def _storage(persistent: Any) -> Storage:
    """Return the storage of a persistent id.

    That is ("storage", type, key, device, count), in the older format with a sixth part: None, or
    (key, start, count) where a part of the storage is meant.
    """
    kind, of, key, _, count, *view = _a(tuple, persistent)
    if kind != "storage" or type(of) is not Global or of.dtype is None:
        raise ValueError("its pickle refers to something else than a storage")
    start = 0
    if view and view[0] is not None:
        _, start, count = _a(tuple, view[0])
    if _a(int, start) < 0 or _a(int, count) < 0:
        raise ValueError("a storage has a negative size")
    return Storage(_a(str, key), of.dtype, start, count)
