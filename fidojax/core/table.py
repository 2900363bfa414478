"""Tables of things by name: one column of a table as a mapping, with old names for one release."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from fidojax.core.deprecation import current_name


def add_row(table: MutableMapping[str, Any], row: Any, what: str) -> None:
    """Add a row to a table under its name.

    Args:
        table: rows by name.
        row: has the attribute `name`.
        what: the kind of the rows, such as "method", for the message.

    Raises:
        ValueError: there is a row of that name.
    """
    if row.name in table:
        raise ValueError(f"{what}: there is a {row.name!r} already")
    table[row.name] = row


def row_of(table: Mapping[str, Any], function: Callable[..., Any]) -> Any:
    """Return the row whose `function` this is; None for a function that the table does not have."""
    row = table.get(getattr(function, "__name__", ""))
    return row if row is not None and row.function is function else None


class Column(Mapping[str, Any]):
    """One column of a table as a mapping by name; rows with None are left out.

    It is a view: a row that is added to the table later is in it, too. A lookup by an old name
    works, with a DeprecationWarning.
    """

    def __init__(
        self,
        table: Mapping[str, Any],
        column: str,
        what: str = "",
        renamed: Mapping[str, str] | None = None,
    ):
        """Show a column of `table`.

        Args:
            table: rows by name.
            column: an attribute of the rows.
            what: the kind of the names, such as "method", for the warning.
            renamed: old names and what they are called now.
        """
        self._table, self._column = table, column
        self._what, self._renamed = what, renamed or {}

    def __getitem__(self, name: str) -> Any:
        """The value in the row of that name; KeyError where there is none."""
        if name not in self._table:
            name = current_name(self._what, name, self._renamed)
        value = getattr(self._table[name], self._column)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        """The names of the rows that have a value in this column."""
        return (name for name, row in self._table.items() if getattr(row, self._column) is not None)

    def __len__(self) -> int:
        """The number of rows that have a value in this column."""
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        """As a dict shows itself."""
        return repr(dict(self))
