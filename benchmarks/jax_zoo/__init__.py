"""Networks of Keras, Flax and Equinox, and what each method makes of them.

    python -m benchmarks.jax_zoo trace --out zoo.jsonl            # all networks, a line each
    python -m benchmarks.jax_zoo measure --out zoo.jsonl --names vit_nnx
    python -m benchmarks.jax_zoo report zoo.jsonl                 # the tables of docs/models.md

A run goes on where the file ends. `benchmarks.zoo` does the same for networks of PyTorch.
"""
