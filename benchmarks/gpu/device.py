"""The device: its name, its memory, and the speed of its matrix products."""

import jax

from benchmarks.gpu.parts import Found
from fidojax.bench import interleaved, matrix_product
from fidojax.transforms import PRECISIONS


def describe() -> Found:
    """Return the device, and the TFLOP/s of a large product by precision."""
    device = jax.local_devices()[0]
    stats = device.memory_stats() or {}
    products = [matrix_product(name) for name in PRECISIONS]
    seconds = interleaved([product.call for product in products], 5, 2)
    return {
        "platform": device.platform,
        "kind": device.device_kind,
        "devices": jax.local_device_count(),
        "client": device.client.platform_version,
        "memory_gb": stats.get("bytes_limit", 0) / 1e9 or None,
        "tflops": {
            name: product.operations / taken / 1e12
            for name, product, taken in zip(PRECISIONS, products, seconds, strict=True)
        },
    }
