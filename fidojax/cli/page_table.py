"""The table of pictures in index.html: a column for each number that any of its pictures has."""

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fidojax.cli.numbers import percent
from fidojax.methods import METHOD_ROWS

Record = Mapping[str, Any]
NUMBERS: dict[str, tuple[str, Callable[[float], str]]] = {
    "smallest_share": ("smallest share", percent),
    "deletion": ("deletion", "{:.3f}".format),
}
"""The common numbers in words, see `fidojax.cli.common_numbers`; lower is better for each."""


class _Column(NamedTuple):
    """A column of numbers.

    Attributes:
        name: its head.
        value: takes a record; None where it has no such number.
        form: writes the number.
        always: the column is there even if no picture has such a number.
        own: the number is the method's own, and says nothing beside those of others.
    """

    name: str
    value: Callable[[Record], float | None]
    form: Callable[[float], str] = percent
    always: bool = True
    own: bool = False


def table(records: Sequence[Record], heads: Mapping[str, str] | None = None) -> str:
    """Return the HTML of the table.

    Args:
        records: the records of explained pictures, of any version.
        heads: what tells each setting from the others, by digest; None where there is one setting.
    """
    columns = [
        column
        for column in _COLUMNS
        if (column.always or any(column.value(record) is not None for record in records))
        and not (heads and column.own)
    ]
    names = [("picture", "text"), *([("setting", "text")] if heads else [])]
    names += [("prediction", "text"), ("explained class", "text")]
    names += [(column.name, "number") for column in columns]
    head = "".join(f'<th class="{kind}">{name}</th>' for name, kind in names)
    rows = "".join(_row(record, columns, heads) for record in records)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def anchor(record: Record) -> str:
    """The name of a picture's card on the page."""
    return text(record["name"])


def text(value: Any) -> str:
    """A value as text that cannot leave its place in the HTML."""
    return html.escape(str(value))


def _row(record: Record, columns: Sequence[_Column], heads: Mapping[str, str] | None) -> str:
    method = METHOD_ROWS.get(record["settings"]["method"])  # None: an old or a foreign record
    general = method is not None and method.all_classes
    cells = [
        f'<td><a href="#{anchor(record)}">{text(record["id"])}</a></td>',
        *([f'<td class="setting">{text(heads[record["settings_digest"]])}</td>'] if heads else []),
        f"<td>{text(record['prediction']['name'])}</td>",
        f"<td>{'all classes' if general else text(record['target']['name'])}</td>",
    ]
    for column in columns:
        value = column.value(record)
        shown = "&mdash;" if value is None else text(column.form(value))
        cells.append(
            f'<td class="number" data-value="{"" if value is None else value}">{shown}</td>'
        )
    return f"<tr>{''.join(cells)}</tr>"


def _of_prediction(record: Record) -> float | None:
    """Its probability, where another class is explained."""
    seen = record["prediction"]
    return None if seen["name"] == record["target"]["name"] else seen["probability"]


def _common(name: str) -> Callable[[Record], Any]:
    return lambda record: (record.get("numbers") or {}).get(name)


def _of_region(name: str, choose: Callable[[list[float]], float]) -> Callable[[Record], Any]:
    """Take the least or the largest probability of a region that holds."""

    def value(record: Record) -> float | None:
        region = record.get("region")
        if not region or region["area"] is None:
            return None
        numbers = [number for row in region[name] for number in row if number is not None]
        return choose(numbers) if numbers else None

    return value


_COLUMNS = (
    _Column("p(prediction)", _of_prediction, always=False),
    _Column("p(class) on the image", lambda record: record["probability"]["image"]),
    *(_Column(name, _common(key), form, always=False) for key, (name, form) in NUMBERS.items()),
    _Column("region", lambda record: (record.get("region") or {}).get("area"), always=False),
    _Column("least p(class) on the region", _of_region("probability", min), always=False),
    _Column("most p(class) without it", _of_region("without", max), always=False),
    _Column(
        "p(class) on the mixture",
        lambda record: record["probability"]["mixture"],
        always=False,
        own=True,
    ),
    _Column("kept area", lambda record: record["kept_area"], always=False, own=True),
    _Column(
        "objective",
        lambda record: record["objective"] and record["objective"]["end"],
        "{:.2f}".format,
        always=False,
        own=True,
    ),
    _Column("seconds", lambda record: record["seconds"], "{:.1f}".format),
    _Column(
        "mean standard deviation",
        lambda record: record.get("mean_standard_deviation"),
        "{:.3f}".format,
        always=False,
    ),
)
