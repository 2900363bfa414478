"""The protocols by name: one function for each published experiment."""

from collections.abc import Callable

from eval.protocols.all_methods import all_methods
from eval.protocols.fido_ablations import (
    fido_batch,
    fido_lambda,
    fido_networks,
    fido_objectives,
    fido_seeds,
    fido_table2,
    fido_tv,
    fido_upsampling,
)
from eval.protocols.fido_infills import fido_infills
from eval.protocols.fido_photos import fido_photos
from eval.protocols.fido_table1 import fido_table1
from eval.protocols.holding import holding
from eval.protocols.infill_recovery.protocol import infill_recovery
from eval.protocols.nonlinear_figures import nonlinear_figures
from eval.protocols.own_maps import own_maps
from eval.protocols.pictures import write_pictures
from eval.protocols.sanity_cascade.protocol import sanity_cascade
from eval.protocols.varsal.erasing import varsal_erasing
from eval.protocols.varsal.sanity import varsal_sanity
from eval.protocols.varsal.uncertainty import varsal_uncertainty
from eval.protocols.vdsm.background import vdsm_background
from eval.protocols.vdsm.vae import vdsm_vae

PROTOCOLS: dict[str, Callable[..., None]] = {
    "vdsm-background": vdsm_background,
    "vdsm-vae": vdsm_vae,
    "fido-photos": fido_photos,
    "holding": holding,
    "fido-infills": fido_infills,
    "fido-table1": fido_table1,
    "fido-table2": fido_table2,
    "fido-objectives": fido_objectives,
    "fido-networks": fido_networks,
    "fido-lambda": fido_lambda,
    "fido-upsampling": fido_upsampling,
    "fido-seeds": fido_seeds,
    "fido-tv": fido_tv,
    "fido-batch": fido_batch,
    "infill-recovery": infill_recovery,
    "all-methods": all_methods,
    "nonlinear-figures": nonlinear_figures,
    "own-maps": own_maps,
    "pictures": write_pictures,
    "sanity-cascade": sanity_cascade,
    "varsal-erasing": varsal_erasing,
    "varsal-uncertainty": varsal_uncertainty,
    "varsal-sanity": varsal_sanity,
}
