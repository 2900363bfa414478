"""Devices: how pictures, or the evaluations of one picture, are shared among them.

Devices share out whole pictures, so that a single picture keeps only one of them busy. With

    explain_batch(..., devices=Spread(jax.local_devices()))

they share out the evaluations of every picture instead. A CPU is one device, whatever the number
of its cores; `split_cpu` makes each core a device.
"""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from fidojax.core import Loop, Transformed
from fidojax.types import Classifier, Device

AXIS = "evaluations"


class Spread(tuple[Device, ...]):
    """Devices that evaluate the classifier together, each on an equal part of its batch.

    A divided program gives other last bits than an undivided one.
    """

    @property
    def mesh(self) -> Mesh:
        """The devices as a mesh of one axis."""
        return Mesh(np.array(self), (AXIS,))


@dataclasses.dataclass(frozen=True)
class Divided:
    """The transform that evaluates a function on all devices of a mesh, each a part of the batch.

    A batch of one picture is evaluated undivided.

    Attributes:
        mesh: has one axis, `AXIS`.
    """

    mesh: Mesh

    def __call__(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return the same function of a batch, evaluated on the devices."""
        return functools.partial(self._divide, function)

    def _divide(self, function, inputs):
        count = len(jax.tree.leaves(inputs)[0])
        if count == 1:
            return function(inputs)
        spare = -count % self.mesh.size
        parts = PartitionSpec(AXIS)
        by_parts = jax.shard_map(
            _call, mesh=self.mesh, in_specs=(PartitionSpec(), parts), out_specs=parts
        )
        padded = jax.tree.map(lambda x: jnp.pad(x, [(0, spare), *[(0, 0)] * (x.ndim - 1)]), inputs)
        return by_parts(function, padded)[:count]


def _call(function, inputs):
    return function(inputs)


def divided(classifier: Classifier, devices: Sequence[Device]) -> Classifier:
    """Return the classifier, divided among the devices of a `Spread`."""
    if not isinstance(devices, Spread):
        return classifier
    return Transformed(classifier, Divided(devices.mesh))


def placements(devices: Sequence[Device]) -> list[Device | Sharding]:
    """The device or sharding of the arrays of each compiled call."""
    if isinstance(devices, Spread):
        return [NamedSharding(devices.mesh, PartitionSpec())]
    return list(devices)


def check_divisible(option: str, method: str, loop: Loop | None) -> None:
    """Check that a step of the method has more than one evaluation to divide.

    Args:
        option: the name of the option, for the message.

    Raises:
        ValueError: it has one.
    """
    if loop is not None and loop.evaluations == 1:
        raise ValueError(
            f"{option}: {method} shows the classifier one picture per step, which cannot be divided"
        )


def split_cpu(count: int) -> None:
    """Make `count` devices of the CPU, unless JAX has started or the user has set their number."""
    chosen = getattr(jax.config, "jax_num_cpu_devices")  # noqa: B009, its type is not declared
    if chosen < 0 and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):  # JAX has started
            jax.config.update("jax_num_cpu_devices", count)


LARGEST = 16
"""The largest number of concurrent calls on a device; each needs the memory of a call."""


def cores() -> int:
    """The number of cores that this process may use, or of all where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def dividing_threads(platform: str) -> int:
    """Return the number of threads among which XLA divides an operation; 1 on accelerators.

    It is the number of cores, or NPROC of the environment, and at least that of the devices. Sums
    over many elements are divided, too, so that another number gives other last bits.
    """
    if platform != "cpu":
        return 1
    told = os.environ.get("NPROC", "")
    return max(int(told) if told.isdecimal() else cores(), 1, jax.local_device_count("cpu"))


def threads_per_device(devices: Sequence[Device]) -> int:
    """The threads per device: its share of the cores; 1 on accelerators and for a `Spread`."""
    if devices[0].platform != "cpu" or isinstance(devices, Spread):
        return 1
    return max(1, min(cores() // len(devices), LARGEST))


def concurrent_calls(devices: Sequence[Device]) -> int:
    """The number of concurrent compiled calls on all devices together."""
    return len(placements(devices)) * threads_per_device(devices)
