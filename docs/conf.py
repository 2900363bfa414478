"""The settings of the documentation site.

    pip install -e '.[docs]'
    python -m sphinx -W -q -c docs . docs/_build/html

The source folder is the repository's root, so that README.md, CHANGELOG.md, the notebooks and the
cards of weights are pages as they are, and one relative link works on the site and on a forge.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "extensions")]

project = "fidojax"
copyright = "the fidojax authors"
html_title = "fidojax"
html_theme = "furo"
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**.md",
    "notebooks/*.ipynb",
    "benchmarks/*.md",
    "fidojax/weights/*.md",
    "infillers/weights/*.md",
]
exclude_patterns = [".*", "docs/_build", "docs/images", "tests", "runs", "results", "explanations"]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "faces", "commands", "files"]
nb_execution_mode = "off"  # notebooks appear with the outputs that they are stored with
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
default_role = "code"
add_module_names = False
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
html_extra_path = ["root"]  # index.html, which leads to docs/index.html
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
