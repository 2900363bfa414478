"""Write the counts of claims into docs/results/index.md from the pages of docs/results.

python docs/write_results.py

A claim is a line of a table whose last cell is **holds**, **fails** or **undecided**.
"""

import re
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INDEX = ROOT / "docs" / "results" / "index.md"
VERDICTS = ("holds", "fails", "undecided")
BEGIN, END = "<!-- counts: written by docs/write_results.py -->", "<!-- end of counts -->"
SIZES = {
    "64": (
        "fido_table1", "fido_table2", "fido_ablations", "fido_infills", "infill_recovery",
        "varsal_erasing", "varsal_sanity", "varsal_uncertainty", "nonlinear_figures",
    ),
    "224": ("fido_table1_photos", "fido_photos", "photo_infills"),
    "28": ("vdsm_background", "vdsm_vae"),
}  # fmt: skip
"""The pages that put claims of the papers to the test, by the side of their pictures."""


def count(text: str) -> Counter[str]:
    """The number of claims of a page by verdict."""
    return Counter(re.findall(r"\| \*\*(holds|fails|undecided)\*\* \|$", text, re.MULTILINE))


def counts(pages: Path) -> str:
    """The table of counts, by size and page; pages that are not there are left out."""
    lines = [
        "| side of the pictures | page | holds | fails | undecided |",
        "| --- | --- | --- | --- | --- |",
    ]
    for size, names in SIZES.items():
        total = Counter()
        for name in names:
            path = pages / f"{name}.md"
            if path.is_file():
                found = count(path.read_text("utf-8"))
                total += found
                lines.append(_line(size, f"[{name}]({name}.md)", found))
        lines.append(_line(f"**{size}**", "**all**", total))
    return "\n".join(lines)


def page(text: str, pages: Path) -> str:
    """The index with its counts as the pages have them."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{INDEX}: expected the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{counts(pages)}\n\n{END}{after}"


def _line(size: str, name: str, found: Counter[str]) -> str:
    return f"| {size} | {name} | " + " | ".join(str(found[each]) for each in VERDICTS) + " |"


def main() -> int:
    """Write the index."""
    INDEX.write_text(page(INDEX.read_text("utf-8"), INDEX.parent), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
