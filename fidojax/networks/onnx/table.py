"""The table of ONNX's operations, opsets 9 to 21."""

from collections.abc import Callable

from fidojax.networks.onnx import elementwise, indexing, layers, shapes

RULES: dict[str, Callable] = {
    **elementwise.RULES,
    **layers.RULES,
    **shapes.RULES,
    **indexing.RULES,
}
"""The operation's name -> a function of its operands and options.

Options are the operation's attributes and those operands that have to be known to compile it, by
the names of ONNX's specification (`STATIC`).
"""

STATIC: dict[str, tuple[str, ...]] = {
    "Clip": ("min", "max"),
    "CumSum": ("axis",),
    "Dropout": ("ratio", "training_mode"),
    "Expand": ("shape",),
    "Pad": ("pads", "value", "axes"),
    "ReduceL1": ("axes",),
    "ReduceL2": ("axes",),
    "ReduceLogSumExp": ("axes",),
    "ReduceMax": ("axes",),
    "ReduceMean": ("axes",),
    "ReduceMin": ("axes",),
    "ReduceProd": ("axes",),
    "ReduceSum": ("axes",),
    "ReduceSumSquare": ("axes",),
    "Reshape": ("shape",),
    "Resize": ("roi", "scales", "sizes"),
    "Slice": ("starts", "ends", "axes", "steps"),
    "Split": ("split",),
    "Squeeze": ("axes",),
    "Tile": ("repeats",),
    "Trilu": ("k",),
    "Unsqueeze": ("axes",),
    "Upsample": ("scales",),
}
"""The operation -> the names of its operands after the first, which are options of its rule."""
