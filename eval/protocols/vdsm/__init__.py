"""VDSM's experiments on MNIST."""
