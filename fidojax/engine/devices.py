"""One picture's evaluations divided among devices.

    explain_batch(..., devices=Spread(jax.local_devices()))

Devices are dealt whole pictures otherwise, so that a single one keeps all but one of them waiting.
A CPU is one device, whatever its cores; `split_cpu` makes a device of each.
"""

import contextlib
import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from fidojax.core import Loop
from fidojax.types import Classifier, Device

AXIS = "evaluations"


class Spread(tuple[Device, ...]):
    """Devices that evaluate the classifier together, each an equal part of what it is shown.

    A program that is divided has other last bits than one that is not.
    """

    @property
    def mesh(self) -> Mesh:
        """The devices in a row."""
        return Mesh(np.array(self), (AXIS,))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Divided:
    """A classifier that is evaluated on all devices of a mesh; a callable pytree.

    Attributes:
        classifier: the whole.
        mesh: of one axis, over which the batch is divided; one picture alone is not.
    """

    classifier: Classifier
    mesh: Mesh = dataclasses.field(metadata={"static": True})

    def __call__(self, images: Any) -> Any:
        """The logits."""
        count = len(images)
        if count == 1:
            return self.classifier(images)
        spare = -count % self.mesh.size
        parts = PartitionSpec(AXIS)
        by_parts = jax.shard_map(
            _call, mesh=self.mesh, in_specs=(PartitionSpec(), parts), out_specs=parts
        )
        images = jnp.pad(images, [(0, spare), *[(0, 0)] * (images.ndim - 1)])
        return by_parts(self.classifier, images)[:count]

    def tap(self, images: Any) -> Any:
        """As the classifier's own, undivided."""
        return self.classifier.tap(images)  # type: ignore[attr-defined]


def _call(classifier, images):
    return classifier(images)


def divided(classifier: Classifier, devices: Sequence[Device]) -> Classifier:
    """The classifier as these devices evaluate it."""
    return Divided(classifier, devices.mesh) if isinstance(devices, Spread) else classifier


def placements(devices: Sequence[Device]) -> list[Device | Sharding]:
    """Where the arrays of a compiled call are, for each call that the devices share out."""
    if isinstance(devices, Spread):
        return [NamedSharding(devices.mesh, PartitionSpec())]
    return list(devices)


def check_divisible(option: str, method: str, loop: Loop | None) -> None:
    """ValueError that names the option where a step of the method has nothing to divide."""
    if loop is not None and loop.evaluations == 1:
        raise ValueError(f"{option}: {method} shows the classifier one picture per step")


def split_cpu(count: int) -> None:
    """Make so many devices of the CPU, where JAX has not started yet and nobody chose a number."""
    chosen = getattr(jax.config, "jax_num_cpu_devices")  # noqa: B009, its type is not declared
    if chosen < 0 and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):  # it has started
            jax.config.update("jax_num_cpu_devices", count)


LARGEST = 16
"""Lanes of a device at most; each needs the memory of a call."""


def cores() -> int:
    """Those that this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_per_device(devices: Sequence[Device]) -> int:
    """Lanes of each device: as many as there are cores for it; 1 on accelerators and
    where the devices are spread over."""
    if devices[0].platform != "cpu" or isinstance(devices, Spread):
        return 1
    return max(1, min(cores() // len(devices), LARGEST))


def concurrent_calls(devices: Sequence[Device]) -> int:
    """Compiled calls that are under way at a time, on all devices together."""
    return len(placements(devices)) * threads_per_device(devices)
