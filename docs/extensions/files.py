"""Links to files of the repository that are no pages: to the page of their source, or as text."""

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes  # type: ignore[import-not-found]

ROOT = Path(__file__).resolve().parents[2]


def _sources(app: Any, tree: nodes.document, page: str) -> None:
    """Lead links to modules to the pages that viewcode writes; other code is text."""
    shown = getattr(app.env, "_viewcode_modules", {})
    for link in list(tree.findall(addnodes.download_reference)):
        path = (ROOT / page).parent / link["reftarget"]
        path = path.resolve().relative_to(ROOT)
        if path.suffix != ".py":
            continue
        module = ".".join(path.with_suffix("").parts)
        where = f"_modules/{module.replace('.', '/')}"
        if shown.get(module) and app.builder.format == "html":
            uri = app.builder.get_relative_uri(page, where)
            link.replace_self(nodes.reference("", "", *link.children, internal=True, refuri=uri))
        else:
            link.replace_self(nodes.inline("", "", *link.children))


def _folders(app: Any, tree: nodes.document) -> None:
    """Make text of links to folders, which a forge can follow and a site cannot."""
    here = (ROOT / app.env.docname).parent
    for link in list(tree.findall(addnodes.pending_xref)):
        target = str(link.get("reftarget", ""))
        if target.startswith(".") and (here / target).is_dir():
            link.replace_self(nodes.inline("", "", *link.children))


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("doctree-resolved", _sources)
    app.connect("doctree-read", _folders)
    return {"parallel_read_safe": True}
