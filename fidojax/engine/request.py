"""The request: how pictures are explained, one object from the command line to the programs."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fidojax.core import Loop, checked_options, known_options
from fidojax.engine.admission import admitted
from fidojax.engine.devices import Spread, check_divisible, concurrent_calls, divided
from fidojax.engine.early_stopping import Stop
from fidojax.engine.options import is_iterative, loop_of, method_by_name, prepared
from fidojax.types import Classifier, Device, Method


@dataclasses.dataclass(frozen=True)
class ExplainRequest:
    """How pictures are explained. It decides their maps, together with each picture's sample.

    Attributes:
        method: a name in `fidojax.METHODS`, or any function of the method signature.
        classifier: as `fidojax.explain_batch` takes it.
        options: the method's keyword options that all pictures share.
        seed, batch_size, devices, precision, stop, rewrite, strict: as `fidojax.explain_batch`
            takes them.
    """

    method: str | Method
    classifier: Classifier
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seed: int = 0
    batch_size: int | None = None
    devices: Sequence[Device] | None = None
    precision: str | None = None
    stop: Stop | None = None
    rewrite: bool = True
    strict: bool = False

    @property
    def function(self) -> Method:
        """The method as a function; ValueError where there is none of that name."""
        return method_by_name(self.method)

    @property
    def method_name(self) -> str:
        """The method's name, for messages."""
        return getattr(self.function, "__name__", "this method")

    @property
    def chosen_devices(self) -> Sequence[Device]:
        """The devices, with all local ones where the request names none."""
        return self.devices or jax.local_devices()

    @property
    def pictures_at_once(self) -> int:
        """The number of pictures in all concurrent calls together.

        Raises:
            ValueError: the request leaves the batch size open.
        """
        if self.batch_size is None:
            raise ValueError("batch_size is None, expected a number of pictures")
        return self.batch_size * concurrent_calls(self.chosen_devices)

    def loop(self, each: Mapping[str, Any] | None = None) -> Loop | None:
        """The method's loop; None for a method that does not iterate.

        Args:
            each: one picture's own options.
        """
        function = self.function
        if not is_iterative(function):
            return None
        own = jax.tree.map(jnp.asarray, dict(each or {}))
        return loop_of(function, **{**self.options, **own})

    def check(
        self, each: Mapping[str, Any] | None = None, *, stop: str = "stop", devices: str = "devices"
    ) -> None:
        """Check that the method can end early and be divided, where the request asks for that.

        Args:
            each: one picture's own options.
            stop, devices: the names of the two options in messages.

        Raises:
            ValueError: the method cannot.
        """
        if self.stop is None and not isinstance(self.devices, Spread):
            return
        loop = self.loop(each)
        if self.stop is not None:
            self.stop.checked()
            if loop is None or loop.mask is None:
                raise ValueError(
                    f"{stop}: {self.method_name} has no mask that converges, so it cannot end early"
                )
        if isinstance(self.devices, Spread):
            check_divisible(devices, self.method_name, loop)

    def admit(self, image: np.ndarray) -> "tuple[ExplainRequest, int]":
        """Return the request with its classifier as a pytree, and the number of classes.

        Args:
            image: "h w c", the first picture.

        Raises:
            TypeError, ValueError: as `fidojax.engine.admission.admitted`.
        """
        given = (self.function, self.options, self.strict)
        classifier, classes = admitted(self.classifier, image, *given)
        return dataclasses.replace(self, classifier=classifier), classes

    def opened(self, each: Collection[str] = ()) -> "ExplainRequest":
        """Return the request with a function for the method's name, and infillers for theirs.

        Args:
            each: names of the options that differ from picture to picture.

        Raises:
            TypeError, ValueError: as `fidojax.core.checked_options`.
        """
        function = self.function
        options = checked_options(known_options(function), self.options, each)
        return dataclasses.replace(self, method=function, options=options)

    def ready(self) -> "ExplainRequest":
        """Return the request as the engine carries it out.

        The method is a function, the devices are chosen, and the classifier is in the precision
        and the form that these devices evaluate.
        """
        devices = self.chosen_devices
        rewrite = self.rewrite and devices[0].platform == "cpu"
        return dataclasses.replace(
            self,
            method=self.function,
            classifier=divided(prepared(self.classifier, self.precision, rewrite), devices),
            devices=devices,
            rewrite=rewrite,
        )
