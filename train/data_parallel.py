"""One program over the local devices: weights on each of them, pictures spread over them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec


class Placement(NamedTuple):
    """Where arrays lie.

    Attributes:
        replicated: whole, on each device.
        spread: the first axis, in equal parts.
        count: of the devices.
    """

    replicated: NamedSharding
    spread: NamedSharding
    count: int

    def copied(self, tree: Any) -> Any:
        """Copies of the arrays on each device, which a step may then take for its own results."""
        return jax.device_put(jax.tree.map(jnp.array, tree), self.replicated)


def placement(devices: int, batch: int) -> Placement:
    """The local devices as a mesh.

    Must be called before anything starts JAX's backend if the CPU is to be split.

    Args:
        devices: to split the CPU into; 0 takes the local devices as they are.
        batch: pictures per step.

    Raises:
        ValueError: the devices cannot have equal parts of the batch.
    """
    if devices:
        jax.config.update("jax_num_cpu_devices", devices)
    count = jax.local_device_count()
    if batch % count:
        raise ValueError(f"--batch {batch} must be a multiple of the {count} devices")
    mesh = jax.make_mesh((count,), ("data",), (jax.sharding.AxisType.Auto,))
    return Placement(
        NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data")), count
    )
