"""The protocols by name: one file, one published experiment, one function."""

from collections.abc import Callable

from eval.protocols.all_methods import all_methods
from eval.protocols.fido_photos import fido_photos
from eval.protocols.vdsm_background import vdsm_background

PROTOCOLS: dict[str, Callable[..., None]] = {
    "vdsm-background": vdsm_background,
    "fido-photos": fido_photos,
    "all-methods": all_methods,
}
