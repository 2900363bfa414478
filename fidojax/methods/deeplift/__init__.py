"""DeepLIFT: differences from a reference, propagated through a traced program.

Every value that depends on the image is known at the image and at the reference, with the parts of
its difference that count as positive and as negative. Each operation's rule is linear in the parts
that enter it, so JAX's own reverse pass gives DeepLIFT's multipliers, and the contributions add up
to the difference of the result.

Shrikumar, Greenside, Kundaje, "Learning Important Features Through Propagating Activation
Differences", ICML 2017 (arXiv 1704.02685).

| paper          | here                                                                |
|----------------|---------------------------------------------------------------------|
| x, x0          | `image`, `reference`: a value at the picture and at the reference   |
| Δx⁺, Δx⁻       | `parts`; the Rescale rule alone needs their sum only, one part      |
| linear rule    | `linear.py`: convolution, dense layers, and what moves or adds      |
| Rescale rule   | `value.rescaled`                                                    |
| RevealCancel   | `value.revealed`                                                    |
"""

from fidojax.methods.deeplift.deeplift import MORE_PRECISION, deeplift

__all__ = ["MORE_PRECISION", "deeplift"]
