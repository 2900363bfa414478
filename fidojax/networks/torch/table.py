"""The table of ATen's operations: by their names, or by name and overload where these differ."""

from collections.abc import Callable

from fidojax.networks.torch import elementwise, layers, resizing, shapes

RULES: dict[str, Callable] = {
    **elementwise.RULES,
    **layers.RULES,
    **shapes.RULES,
    **resizing.RULES,
}
"""The operation's name -> a function of its operands and options as ATen's schema has them."""


def name_of(operation: str) -> str:
    """Return the name in the table of "aten.NAME.OVERLOAD", whether it is there or not."""
    name = operation.removeprefix("aten.")
    short = name.partition(".")[0]
    return name if name in RULES else short
