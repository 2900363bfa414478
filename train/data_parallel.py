"""Data-parallel training: the weights on every local device, the pictures spread over them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec


class Placement(NamedTuple):
    """The shardings of arrays on the devices.

    Attributes:
        replicated: a copy on each device.
        spread: equal parts of the first axis.
        count: the number of devices.
    """

    replicated: NamedSharding
    spread: NamedSharding
    count: int

    def copied(self, tree: Any) -> Any:
        """Copy the arrays to each device; a step may donate the copies."""
        return jax.device_put(jax.tree.map(jnp.array, tree), self.replicated)


def placement(devices: int, batch: int) -> Placement:
    """Return the shardings on a mesh of the local devices.

    To split the CPU, call this before anything starts JAX's backend.

    Args:
        devices: the number of devices to split the CPU into; 0 takes the local devices as they are.
        batch: pictures per step.

    Raises:
        ValueError: the batch is no multiple of the number of devices.
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
