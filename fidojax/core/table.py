"""Tables of things by name: one column of a table as a mapping, with old names for one release."""

from collections.abc import Iterator, Mapping
from typing import Any

from fidojax.core.deprecation import current_name


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
