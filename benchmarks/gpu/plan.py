"""Which parts are measured, and how large."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
from flax import nnx

from benchmarks.gpu import device, fido, gaps, torch_fido
from benchmarks.gpu.parts import Found, Part
from benchmarks.networks import Network, load
from fidojax import presets
from fidojax.bench import Case, How, measure
from fidojax.cli.bench_plan import plan
from fidojax.cli.options import Bench
from fidojax.methods import METHOD_ROWS
from fidojax.networks import EfficientNetLite, from_nnx
from fidojax.networks.efficientnet_lite import SCALES
from infillers import blur, mean

LITE0 = "efficientnet_lite0"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        networks: the networks of FIDO's rows, the first also of the parts gaps, torch and batch.
        precisions: those of FIDO's rows, the most wanted first.
        schedules: keys of `SCHEDULES`, the first also of gaps and spread, the last of batch.
        images: pictures per compiled call.
        batches: the numbers of pictures of the part batch.
        methods: the methods that are measured on `shipped`.
        shipped: the network of the methods.
        how: how carefully.
        compiled: whether PyTorch's step is compiled, too.
    """

    networks: tuple[str, ...]
    precisions: tuple[str, ...]
    schedules: tuple[str, ...]
    images: int
    batches: tuple[int, ...]
    methods: tuple[str, ...]
    shipped: str
    how: How
    compiled: bool = True

    @property
    def description(self) -> dict[str, Any]:
        """The plan as it is written to the file."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }


BIG = Plan(
    networks=("resnet50", LITE0),
    precisions=("bfloat16", "tf32", "float32"),
    schedules=("paper", "hold"),
    images=16,
    batches=(1, 4, 16, 64),
    methods=("all",),
    shipped="tiny_imagenet40",
    how=How(steps=10, repeats=2, rounds=1, clock="wall"),
)
"""The plan for a large GPU."""
SMALL = Plan(
    networks=("mnist",),
    precisions=("float32",),
    schedules=("short",),
    images=2,
    batches=(1, 2),
    methods=("gradient",),
    shipped="mnist",
    how=How(steps=2, repeats=1, rounds=1, clock="wall"),
)
"""The plan of the rehearsal."""

SCHEDULES: dict[str, Callable[[], dict[str, Any]]] = {
    "paper": lambda: {"infill": mean(), **presets.paper},
    "hold": lambda: {"infill": (mean(), blur()), **presets.hold},
    "short": lambda: {"infill": mean(), "steps": 4, "samples": 2},
}
"""FIDO's options: the published schedule, the default of `fidojax explain`, and the rehearsal's."""


def network(name: str) -> Network:
    """Return a network with random weights, or a shipped one."""
    if name != LITE0:
        return load(name)
    scale = SCALES[name]
    random = from_nnx(EfficientNetLite(scale, rngs=nnx.Rngs(0)))
    return Network(random, (scale.size, scale.size, 3), {})


def planned(sizes: Plan) -> list[Part]:
    """Return the parts, the most wanted first."""
    first, fastest = sizes.networks[0], sizes.precisions[0]
    wanted = sizes.schedules[0]
    of_fido = [
        Part(
            f"fido/{name}/{precision}/{schedule}",
            partial(_fido, sizes, name, precision, schedule),
        )
        for precision, name, schedule in itertools.product(
            sizes.precisions, sizes.networks, sizes.schedules
        )
    ]
    urgent = len(sizes.networks) * len(sizes.schedules)
    return [
        Part("device", device.describe),
        *of_fido[:urgent],
        Part(f"gaps/{first}", partial(_gaps, first, fastest, wanted, sizes.images)),
        *_torch(sizes, first),
        Part(f"batch/{first}", partial(_batches, sizes, first, fastest)),
        Part("spread", partial(_spread, sizes, first, fastest)),
        *of_fido[urgent:],
        *_methods(sizes),
    ]


def _fido(sizes: Plan, name: str, precision: str, schedule: str) -> Found:
    found = network(name)
    options = SCHEDULES[schedule]()
    return fido.row(name, found, precision, schedule, options, sizes.images, sizes.how)


def _gaps(name: str, precision: str, schedule: str, images: int) -> Found:
    return gaps.of_a_run(network(name), precision, SCHEDULES[schedule](), images)


def _torch(sizes: Plan, name: str) -> Iterator[Part]:
    for precision, compiled in itertools.product(sizes.precisions, (False, True)):
        form = "compiled" if compiled else "eager"
        if compiled and not sizes.compiled:
            continue
        yield Part(
            f"torch/{name}/{precision}/{form}",
            partial(torch_fido.step, name, precision, compiled, sizes.images, sizes.how),
        )


def _batches(sizes: Plan, name: str, precision: str) -> Found:
    options = SCHEDULES[sizes.schedules[-1]]()
    return fido.by_batch(network(name), precision, options, sizes.batches, sizes.how)


def _spread(sizes: Plan, name: str, precision: str) -> Found:
    devices = jax.local_devices()
    if len(devices) == 1:
        return {"left_out": "there is one device; a Spread divides evaluations among several"}
    found = network(name)
    return fido.spread(found, precision, SCHEDULES[sizes.schedules[0]](), devices, sizes.how)


def _methods(sizes: Plan) -> Iterator[Part]:
    names = sizes.methods
    if names == ("all",):
        names = tuple(name for name, row in METHOD_ROWS.items() if not row.attention)
    for name in names:
        yield Part(f"method/{sizes.shipped}/{name}", partial(_method, sizes, name))


def _method(sizes: Plan, name: str) -> Found:
    asked = Bench(
        classifier=(sizes.shipped,), method=(name,), batch_sizes=(sizes.images,),
        precision=(sizes.precisions[0],),
    )  # fmt: skip
    (case,) = plan(asked)
    return fido.as_found(measure(case, sizes.how) if isinstance(case, Case) else case)
