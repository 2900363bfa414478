"""Write the page's figures as HTML."""

from collections.abc import Mapping
from typing import Any

from eval.report import drawings, pictures
from eval.report.cases import found_box, images, saliency
from eval.report.page_tables import Findings
from eval.report.reading import StoredRun
from eval.report.wording import OTHERS, number, text, titled


def distributions(found: Findings) -> str:
    """Box plots of every number, a line for each row."""
    figures, binary = [], []
    for of in found["numbers"].values():
        if of["binary"]:
            binary.append(text(of["label"]))
            continue
        rows = {row: one for row, one in of["rows"].items() if one["n"]}
        if rows:
            names = "".join(f"<li>{text(found['rows'][row]['label'])}</li>" for row in rows)
            figures.append(
                f'<figure class="plot"><h3>{text(titled(of))}</h3><div class="strips">'
                f"<ul>{names}</ul>{drawings.box_plots(rows, of['best'])}</div></figure>"
            )
    left = f" Yes or no, and not drawn: {', '.join(binary)}." if binary else ""
    return (
        "<p>Line: 5th to 95th percentile. Box: quartiles. Bar: median. Dot: mean. Diamond: "
        f'published mean.{left}</p><div class="plots">{"".join(figures)}</div>'
        if figures
        else ""
    )


def curves(found: Findings) -> str:
    """A panel for each group of rows."""
    figures = []
    for curve in found["curves"].values():
        groups: dict[str, list[str]] = {}
        for row in curve["rows"]:
            groups.setdefault(found["rows"][row]["group"], []).append(row)
        if groups:
            panels = "".join(_panel(found, curve, *group) for group in groups.items())
            figures.append(
                f"<h3>{text(curve['label'])}: {text(curve['ylabel'])} over {text(curve['xlabel'])}"
                f'</h3><div class="panels">{panels}</div>'
            )
    return (
        "<p>Means with 95% intervals; in grey the rows of the other panels. Pictures without a "
        f"value at a point are left out there.</p>{''.join(figures)}"
        if figures
        else ""
    )


def _panel(found: Findings, curve: Mapping[str, Any], group: str, rows: list[str]) -> str:
    labels = {row: found["rows"][row]["label"] for row in curve["rows"]}
    items = []
    for at, row in enumerate(rows):
        least, most = min(curve["rows"][row]["n"]), max(curve["rows"][row]["n"])
        counts = str(most) if least == most else f"{least} to {most}"
        share = f" <small>{counts} of {found['pictures']}</small>"
        items.append(
            f"<li>{drawings.swatch(at)} {text(labels[row])}"
            f"{'' if least == found['pictures'] else share}</li>"
        )
    return (
        f"<figure><h4>{text(group or OTHERS)}</h4>{drawings.curves(curve, rows, labels)}"
        f'<ul class="legend">{"".join(items)}</ul></figure>'
    )


def own(run: StoredRun) -> str:
    """The study's own figures."""
    return "".join(
        f'<figure class="own"><img alt="{text(path.stem)}" src="{pictures.embedded(path)}"/>'
        f"<figcaption>{text(path.stem)}</figcaption></figure>"
        for path in run.figures
    )


def gallery(run: StoredRun, found: Findings) -> str:
    """Pictures and maps of each row's best, median and worst case."""
    shown = found["gallery"]["rows"]
    if not shown:
        return ""
    of = found["numbers"][found["gallery"]["number"]]
    blocks = [
        f"<h3>{text(found['rows'][row]['label'])}</h3>"
        f'<div class="cases">{"".join(_case(run, row, case, of["digits"]) for case in cases)}</div>'
        for row, cases in shown.items()
    ]
    return (
        f"<p>By {text(titled(of))}: each row's own extremes and its median. Left the picture with "
        "its labelled box, right the map between its own 1st and 99th percentile, dashed the box "
        "that was found in it; maps with two signs are red for and blue against the class.</p>"
        f"{''.join(blocks)}"
    )


def _case(run: StoredRun, row: str, case: Mapping[str, Any], digits: int) -> str:
    image, boxes = images(run, case["picture"])
    drawn = pictures.picture(image, {"truth": boxes}, f"picture {case['id']}")
    values = saliency(run, row, case["picture"])
    if values is None:
        drawn += '<div class="picture none">no map is stored</div>'
    else:
        frames = {"truth": boxes, "found": found_box(run, row, case["picture"])}
        drawn += pictures.picture(pictures.coloured(values), frames, f"map of {case['id']}")
    classes = [
        f"{name} {text(case[kind])}"
        for kind, name in (("label", "label"), ("prediction", "predicted"), ("target", "explained"))
        if case[kind] is not None
    ]
    return (
        f'<figure class="case"><div class="pair">{drawn}</div><figcaption><b>{case["case"]}</b> '
        f'<span class="value">{number(case["value"], digits)}</span><br>'
        f"<code>{text(case['id'])}</code><br>{' · '.join(classes)}</figcaption></figure>"
    )
