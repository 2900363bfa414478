"""Networks as graphs of named operations, and what computes them in JAX.

`graph` holds a network as data, `view` arrays whose axes are stored in another order, the other
files the operations that networks of several formats share. `networks.torch` and `networks.onnx`
make the graphs, and have a table each from the format's operations to functions of these files.
"""
