"""BibTeX of what you used: `cite("fido", "blur")`, or `fidojax cite fido blur`."""

import re
from importlib.resources import files

from fidojax.core import check_name, current_name
from fidojax.methods import METHOD_ROWS, RENAMED_METHODS
from fidojax.metrics import METRIC_ROWS

BIBTEX = {
    name: entry.strip()
    for name, _, entry in (
        part.partition("\n")
        for part in (files("fidojax") / "papers.bib").read_text("utf-8").split("\n% ")[1:]
    )
}
"""The papers behind the library, by short names."""

_OTHERS = {
    "vdsm": ("vdsm", "concrete"),
    "bbmp_mnist": ("bbmp", "vdsm"),
    "bbmp_localisation": ("bbmp",),
    "tiny_imagenet40": ("resnet", "imagenet"),
    "mnist": ("deeplift", "mnist"),
    "efficientnet_lite0": ("efficientnet", "imagenet"),
    "efficientnet_lite1": ("efficientnet", "imagenet"),
    "efficientnet_lite2": ("efficientnet", "imagenet"),
}
"""The papers of presets and classifiers."""


def uses() -> dict[str, tuple[str, ...]]:
    """The keys of `BIBTEX` to cite for each method, metric, infiller, preset and classifier."""
    # Infillers are built on this package; only here and on the command line it knows of them.
    from infillers import INFILLER_ROWS

    tables = (METHOD_ROWS, METRIC_ROWS, INFILLER_ROWS)
    return {name: row.papers for table in tables for name, row in table.items()} | _OTHERS


def papers(name: str) -> tuple[str, ...]:
    """The keys of `BIBTEX` to cite for a name of `uses()`, or for a paper's own short name.

    Raises:
        ValueError: the name is unknown.
    """
    known = uses()
    if name not in known and name not in BIBTEX:
        name = current_name("cite", name, RENAMED_METHODS)
    check_name("cite", name, sorted({*known, *BIBTEX}))
    return known.get(name, (name,))


def reference(key: str) -> str:
    """A paper in a few words: "Chang et al. 2019, arXiv 1807.08024".

    Args:
        key: of `BIBTEX`.
    """
    field = dict(re.findall(r"(\w+)\s*=\s*\{(.+?)\}(?:,\n|\n\})", BIBTEX[key], re.S))
    names = [author.partition(",")[0].strip() for author in field["author"].split(" and ")]
    who = f"{names[0]} et al." if len(names) > 2 else " & ".join(names)
    where = f", arXiv {field['eprint']}" if "eprint" in field else ""
    return f"{who} {field['year']}{where}"


def cite(*names: str) -> str:
    """The BibTeX entries of methods, infillers, metrics, presets, classifiers or papers, each once.

    Without names, all of them.

    Raises:
        ValueError: a name is unknown; the message names the nearest ones.
    """
    keys = [key for name in names for key in papers(name)] if names else list(BIBTEX)
    return "\n\n".join(BIBTEX[key] for key in dict.fromkeys(keys))
