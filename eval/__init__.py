"""The evaluation pipeline: one protocol per published experiment (`python -m eval.run --help`).

Programs of the checkout, not part of the installed package.
"""
