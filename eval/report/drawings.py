"""Draw the page's figures as SVG, in the page's colours so that they follow light and dark.

Box plots stand in per cent of their width and in pixels of height, so that text keeps its size on
any screen. Rows of curves differ in colour (Okabe & Ito's, safe for the colour-blind) and in dash.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.ticker import MaxNLocator

from eval.report.wording import text

ROW = 24
"""Height of a row of box plots; the page's labels are as high."""
AXIS = 22
DASHES = ("", "7 3", "2 3", "9 3 2 3")
COLOURS = 7
"""Classes c0, c1, ... of page.html."""
WIDTH, HEIGHT, LEFT, BOTTOM = 360, 230, 46, 40


def box_plots(rows: Mapping[str, Mapping[str, Any]], best: str | None) -> str:
    """Draw 5% to 95%, quartiles, median, mean and the published number of each row."""
    ends = [of[name] for of in rows.values() for name in ("q05", "q95", "mean", "published")]
    low, high, ticks = _axis([end for end in ends if end is not None])

    def x(value: float) -> str:
        return f"{2 + 96 * (value - low) / (high - low):.2f}%"

    height = ROW * len(rows)
    parts = [
        f'<line class="grid" x1="{x(tick)}" x2="{x(tick)}" y1="0" y2="{height}"/>'
        f'<text x="{x(tick)}" y="{height + 15}" text-anchor="middle">{tick:g}</text>'
        for tick in ticks
    ]
    for at, (row, of) in enumerate(rows.items()):
        y = ROW * at + ROW // 2
        if of["n"]:
            ours = ' class="best"' if row == best else ""
            ends = f'x1="{x(of["q05"])}" x2="{x(of["q95"])}" y1="{y}" y2="{y}"'
            width = f"{96 * (of['q75'] - of['q25']) / (high - low):.2f}%"
            middle = f'x1="{x(of["q50"])}" x2="{x(of["q50"])}" y1="{y - 6}" y2="{y + 6}"'
            parts.append(
                f'<g{ours}><line class="ink" {ends}/>'
                f'<rect class="box" x="{x(of["q25"])}" width="{width}" y="{y - 6}" height="12"/>'
                f'<line class="median" {middle}/>'
                f'<circle class="mean" cx="{x(of["mean"])}" cy="{y}" r="3"/></g>'
            )
        if of["published"] is not None:
            parts.append(
                f'<svg x="{x(of["published"])}" y="{y}" overflow="visible">'
                '<path class="published" d="M0-5L5 0L0 5L-5 0z"/></svg>'
            )
    return f'<svg class="boxes" height="{height + AXIS}" aria-hidden="true">{"".join(parts)}</svg>'


def curves(curve: Mapping[str, Any], shown: Sequence[str], labels: Mapping[str, str]) -> str:
    """Draw the means of some rows with bands of their intervals, all other rows in grey behind."""
    rows = curve["rows"]
    ends = [end for of in rows.values() for name in ("mean", "low", "high") for end in of[name]]
    low, high, ticks = _axis([end for end in ends if end is not None])
    left, right, across = _axis(curve["x"], margin=0)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - 10) * (value - left) / (right - left)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 8) * (value - low) / (high - low)

    def line(values: Sequence[float | None], backwards: bool = False) -> list[str]:
        points = [
            f"{x(at):.1f},{y(value):.1f}"
            for at, value in zip(curve["x"], values, strict=True)
            if value is not None
        ]
        return points[::-1] if backwards else points

    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 10}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y(t) + 4:.1f}" text-anchor="end">{t:g}</text>'
        for t in ticks
    ]
    parts += [
        f'<text x="{x(t):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{t:g}</text>'
        for t in across
    ]
    middle = (LEFT + WIDTH - 10) // 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 5}" text-anchor="middle">{text(curve["xlabel"])}</text>'
    )
    others = [row for row in rows if row not in shown]
    parts += [
        f'<polyline class="other" points="{" ".join(line(rows[r]["mean"]))}"/>' for r in others
    ]
    for at, row in enumerate(shown):
        of = rows[row]
        band = " ".join([*line(of["low"]), *line(of["high"], backwards=True)])
        style = f'class="c{at % COLOURS}" stroke-dasharray="{DASHES[at % len(DASHES)]}"'
        parts.append(
            f'<polygon class="band c{at % COLOURS}" points="{band}"/>'
            f'<polyline {style} points="{" ".join(line(of["mean"]))}">'
            f"<title>{text(labels[row])}</title></polyline>"
        )
    return (
        f'<svg class="curves" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{text(curve["label"])}: {text(", ".join(labels[r] for r in shown))}">'
        f"{''.join(parts)}</svg>"
    )


def swatch(at: int) -> str:
    """The line of the legend for the row in this place."""
    return (
        f'<svg width="26" height="10" aria-hidden="true"><line class="c{at % COLOURS}" '
        f'stroke-dasharray="{DASHES[at % len(DASHES)]}" x1="0" x2="26" y1="5" y2="5"/></svg>'
    )


def _axis(values: Iterable[float], margin: float = 0.03) -> tuple[float, float, list[float]]:
    """The ends and the ticks of an axis."""
    values = [*values] or [0.0, 1.0]
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    space = margin * (high - low)
    low, high = low - space, high + space
    ticks = MaxNLocator(5).tick_values(low, high)
    return low, high, [float(tick) for tick in ticks if low <= tick <= high]
