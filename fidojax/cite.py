"""BibTeX of what you used: `cite("fido", "blur")`, or `fidojax cite fido blur`."""

from importlib.resources import files

from fidojax.core import check_name

BIBTEX = {
    name: entry.strip()
    for name, _, entry in (
        part.partition("\n")
        for part in (files("fidojax") / "papers.bib").read_text("utf-8").split("\n% ")[1:]
    )
}
"""The papers behind the library, by short names."""

USES = {
    "fido": ("fido", "concrete"),
    "vdsm": ("vdsm", "concrete"),
    "bbmp": ("bbmp", "fido"),
    "bbmp_mnist": ("bbmp", "vdsm"),
    "bbmp_localisation": ("bbmp",),
    "meaningful_perturbation": ("bbmp",),
    "max": ("fido",),
    "center": ("fido",),
    "box": ("fido",),
    "mean": ("fido",),
    "blur": ("fido", "bbmp"),
    "random": ("fido", "realtime"),
    "local": ("fido",),
    "road": ("road",),
    "vae": ("fido", "vdsm", "vae"),
    "ca": ("fido", "ca_gan"),
    "occlusion": ("occlusion",),
    "pda": ("pda", "vdsm"),
    "prediction_difference": ("pda",),
    "rise": ("rise",),
    "extremal_perturbation": ("extremal_perturbation",),
    "nonlinear": ("nonlinear",),
    "linear": ("nonlinear",),
    "deeplift": ("deeplift",),
    "integrated_gradients": ("integrated_gradients",),
    "expected_gradients": ("expected_gradients",),
    "gradient": ("gradient",),
    "input_x_gradient": ("input_x_gradient",),
    "smoothgrad": ("smoothgrad",),
    "smoothgrad_squared": ("smoothgrad_squared", "smoothgrad"),
    "vargrad": ("vargrad", "smoothgrad"),
    "deconvnet": ("occlusion",),
    "guided_backprop": ("guided_backprop",),
    "grad_cam": ("grad_cam",),
    "guided_grad_cam": ("grad_cam", "guided_backprop"),
    "varsal": ("varsal", "soft_topk"),
    "realtime": ("realtime",),
    "tiny_imagenet40": ("resnet", "imagenet"),
    "mnist": ("deeplift", "mnist"),
}
"""What to cite for a method, an infiller, a preset or a classifier."""


def papers(name: str) -> tuple[str, ...]:
    """The keys of `BIBTEX` to cite for a name of `USES`, or for a paper's own short name.

    Raises:
        ValueError: the name is unknown.
    """
    check_name("cite", name, sorted({*USES, *BIBTEX}))
    return USES.get(name, (name,))


def cite(*names: str) -> str:
    """The BibTeX entries of methods, infillers, presets, classifiers or papers, each once.

    Without names, all of them.

    Raises:
        ValueError: a name is unknown; the message names the nearest ones.
    """
    keys = [key for name in names for key in papers(name)] if names else list(BIBTEX)
    return "\n\n".join(BIBTEX[key] for key in dict.fromkeys(keys))
