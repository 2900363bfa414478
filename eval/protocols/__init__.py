"""The protocols by name: one file, one published experiment, one function."""

from collections.abc import Callable

from eval.protocols.all_methods import all_methods
from eval.protocols.fido_infills import fido_infills
from eval.protocols.fido_photos import fido_photos
from eval.protocols.fido_table1 import fido_table1
from eval.protocols.infill_recovery import infill_recovery
from eval.protocols.localisation import localisation
from eval.protocols.varsal_erasing import varsal_erasing
from eval.protocols.varsal_sanity import varsal_sanity
from eval.protocols.varsal_uncertainty import varsal_uncertainty
from eval.protocols.vdsm_background import vdsm_background
from eval.protocols.vdsm_vae import vdsm_vae

PROTOCOLS: dict[str, Callable[..., None]] = {
    "vdsm-background": vdsm_background,
    "vdsm-vae": vdsm_vae,
    "fido-photos": fido_photos,
    "fido-infills": fido_infills,
    "fido-table1": fido_table1,
    "infill-recovery": infill_recovery,
    "all-methods": all_methods,
    "localisation": localisation,
    "varsal-erasing": varsal_erasing,
    "varsal-uncertainty": varsal_uncertainty,
    "varsal-sanity": varsal_sanity,
}
