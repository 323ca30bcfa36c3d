"""The statements of a transaction: no ORM, as few round trips as there can be.

Statements are gathered and sent together: a batch, however many its rows and tables, is one round trip for each four
MiB. In a busy process a round trip costs more than what it carries, since each return from one waits for the
interpreter's lock; so COPY, which is a trip of its own for each table, gains less than it costs.

To understand and plan an update takes PostgreSQL 150 us, to carry it out 30. So a session of our own keeps statements
prepared; behind a pooler, where a transaction may meet any session, they are sent in full. The values of a column are
one literal, an array's: 3.5 us a row of metrics, where each value is an expression to parse 5.3; and 5 to 7 us a row of
ten columns, for 9 to 11. Those of JSON, whose quotation marks would all be escaped twice, are one text that PostgreSQL
parts.

Values are written by their column's type: what is not of that is refused, and text stays text. Floats travel as text in
their shortest form, which PostgreSQL reads back to the same double, the sign of -0.0 included; a numeric literal would
lose it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, Boolean, Column, DateTime, Double, Integer, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects import postgresql

from hippo_core.sequence import Laws

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

Row = Mapping[str, Any]
Writer = Callable[[Any], str]

#: So that no statement comes near its time-out, however many rows a study of many trials brings at once.
PAGE_ROWS = 500

#: Statements that a session keeps prepared; each takes PostgreSQL some 50 KB. The usual ones are fifty.
MOST_PREPARED = 200

#: So that what is sent at once stays a small part of the memory.
LONGEST_SCRIPT = 4 << 20

#: Around what is long, so that nothing in it is to be escaped, nor looked through by PostgreSQL for what is.
_QUOTE = "$h$"
#: Between the values of a column of JSON, which holds no such character: nothing in them is to be escaped.
_BETWEEN = "\x01"
#: What stands for None in an array; texts that say the same stand in quotation marks, and JSON says null.
_NOTHING = "NULL"

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


class Script:
    """Statements of one transaction, in order, sent together.

    Args:
        cursor: In the transaction.
        prepared: The names of statements that the session keeps, by their text; None: it is nobody's own, and is to
            keep none.
    """

    def __init__(self, cursor: Cursor, prepared: dict[str, str] | None = None) -> None:
        self.cursor = cursor
        self._prepared = prepared
        self._statements: list[str] = []
        self._length = 0

    def add(self, statement: str) -> None:
        """Appends a statement, whose result nobody looks at unless it is the last."""
        self._statements.append(statement)
        self._length += len(statement)
        if self._length > LONGEST_SCRIPT:
            self.send()

    def run(self, statement: str, types: Sequence[str], values: Sequence[str]) -> None:
        """Appends a statement that is often sent, with other values.

        Args:
            statement: With ``{0}``, ``{1}``, ... for the values.
            types: Of the values.
            values: Each written as PostgreSQL reads it.
        """
        given = [f"{value}::{kind}" for value, kind in zip(values, types, strict=True)]
        if self._prepared is None:
            self.add(statement.format(*given))
            return
        name = self._prepared.get(statement) or self._prepare(self._prepared, statement, types)
        self.add(f"EXECUTE {name} ({', '.join(given)})")

    def _prepare(self, prepared: dict[str, str], statement: str, types: Sequence[str]) -> str:
        """Has the session keep a statement. That is sent by itself: PostgreSQL keeps with it all of the text that it
        came in, and copies that each time that it is carried out.
        """
        if len(prepared) == MOST_PREPARED:
            self.send().execute("DEALLOCATE ALL")
            prepared.clear()
        name = prepared[statement] = f"hippo_{len(prepared)}"
        numbered = statement.format(*(f"${place}" for place in range(1, len(types) + 1)))
        self.cursor.execute(f"PREPARE {name} ({', '.join(types)}) AS {numbered}")
        return name

    def send(self) -> Cursor:
        """Sends what was gathered; gives the cursor, with the last statement's result."""
        if self._statements:
            self.cursor.execute(";".join(self._statements))
            self._statements.clear()
            self._length = 0
        return self.cursor


class Written(str):
    """A value that is JSON already."""

    __slots__ = ()


def dump(value: object) -> str:
    """A value as JSON, exactly; it holds no number that JSON lacks."""
    return value if isinstance(value, Written) else _JSON.encode(value)


def dump_metrics(metrics: Mapping[str, float | None]) -> str:
    """Metrics as JSON, as ``dump`` writes them; none is NaN or infinite."""
    values = (*metrics.values(),)
    return dump(metrics) if None in values else _form(tuple(metrics)) % values


@lru_cache(maxsize=1000)
def _form(names: tuple[str, ...]) -> str:
    """What stands around the values of metrics with these names: a program has one or two such."""
    return "{" + ",".join(f"{dump(name)}:".replace("%", "%%") + "%r" for name in names) + "}"


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Laws):
        return value.to_json()
    raise TypeError(f"{type(value).__name__} cannot be kept as JSON")


_JSON = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain)


def clean(value: str) -> str:
    """What PostgreSQL can hold of a text: no zero characters, no halves of surrogate pairs."""
    if value.isascii() and "\x00" not in value:
        return value
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def quoted(text: str) -> str:
    """A text as a literal, whatever PostgreSQL's ``standard_conforming_strings`` says."""
    doubled = text.replace("'", "''")
    if "\\" not in doubled:
        return f"'{doubled}'"
    escaped = doubled.replace("\\", "\\\\")
    return f" E'{escaped}'"


def _long(text: str) -> str:
    """As ``quoted``, of what may be long."""
    closed = text + _QUOTE
    return f"{_QUOTE}{closed}" if closed.index(_QUOTE) == len(text) else quoted(text)


@lru_cache(maxsize=8)
def _moment(value: datetime) -> str:
    """A time in words; most rows of a batch have the same."""
    return value.isoformat()


def _element(text: str) -> str:
    """A text as an array's literal holds it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _writer(column: Column[Any]) -> Writer:
    """How the column's values, None apart, are written in an array's literal; or, of JSON, between ``_BETWEEN``."""
    match column.type:
        case JSON():
            return dump
        case Double():
            return lambda value: repr(float(value))
        case Text() | Uuid():
            return lambda value: _element(clean(str(value)))
        case Boolean():
            return lambda value: "t" if value else "f"
        case DateTime():
            return _moment
        case LargeBinary():
            return lambda value: _element(f"\\x{value.hex()}")
        case Integer():
            return int.__repr__  # refuses all else
        case _:
            raise TypeError(f"values of {column} cannot be written")


@cache
def _writers(table: Table) -> Mapping[str, Writer]:
    return {column.name: _writer(column) for column in table.columns}


@cache
def _types(table: Table) -> Mapping[str, str]:
    return {column.name: column.type.compile(_DIALECT) for column in table.columns}


@dataclass(frozen=True, slots=True)
class _Writing:
    """How a column is written.

    Attributes:
        name: The column's.
        write: Writes a value that is not None.
        repeats: Whether most rows of a batch have one of few values.
        parted: Whether an array of it is written as one text, which PostgreSQL parts.
    """

    name: str
    write: Writer
    repeats: bool
    parted: bool


@lru_cache(maxsize=1000)
def _writing(table: Table, names: tuple[str, ...]) -> tuple[_Writing, ...]:
    """How columns are written."""
    writers = _writers(table)
    kinds = {name: table.columns[name].type for name in names}
    return tuple(
        _Writing(name, writers[name], isinstance(kind, Text | DateTime), isinstance(kind, JSON))
        for name, kind in kinds.items()
    )


def insert(script: Script, table: Table, rows: Sequence[Row], conflict: str = "") -> None:
    """Inserts rows that all have a value for the same columns of the table.

    Args:
        script: The transaction's.
        table: The table.
        rows: Column name to value.
        conflict: What follows the rows, e.g. ``ON CONFLICT DO NOTHING``.
    """
    columns = (*rows[0],)
    statement, types = _inserting(table, columns, conflict)
    writing = _writing(table, columns)
    for start in range(0, len(rows), PAGE_ROWS):
        script.run(statement, types, _arrays(writing, rows[start : start + PAGE_ROWS]))


@lru_cache(maxsize=1000)
def _inserting(table: Table, columns: tuple[str, ...], conflict: str) -> tuple[str, tuple[str, ...]]:
    """The statement that inserts rows, given an array for each column; and of which types these are."""
    given = ", ".join(f"{{{place}}}" for place in range(len(columns)))
    statement = f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT * FROM unnest({given}) {conflict}"
    return statement, tuple(f"{_types(table)[name]}[]" for name in columns)


def _arrays(writing: Sequence[_Writing], rows: Sequence[Row]) -> list[str]:
    """The values of rows, those of each column as an array."""
    return [
        f"string_to_array({_long(_BETWEEN.join(written))},'{_BETWEEN}','{_NOTHING}')"
        if column.parted
        else _long(f"{{{','.join(written)}}}")
        for column, written in zip(writing, _columns(writing, rows), strict=True)
    ]


class _Words(dict[Any, str]):
    """Values of a column that has few, each written once.

    Args:
        write: Writes a value.
    """

    def __init__(self, write: Writer) -> None:
        super().__init__({None: _NOTHING})
        self._write = write

    def __missing__(self, value: Any) -> str:
        written = self[value] = self._write(value)
        return written


def _columns(writing: Sequence[_Writing], rows: Sequence[Row]) -> list[list[str]]:
    """The values of rows as they are written, column by column."""
    found = []
    for column in writing:
        name, write = column.name, column.write
        if column.repeats and len(rows) > 1:
            words = _Words(write)
            found.append([words[row[name]] for row in rows])
        else:
            found.append([_NOTHING if (value := row[name]) is None else write(value) for row in rows])
    return found


#: How a column takes its new value: from the old one and the given one.
TAKE: Mapping[str, Callable[[str], str]] = {
    "set": lambda name: f"v.{name}",
    "add": lambda name: f"t.{name} + v.{name}",
    "raise": lambda name: f"GREATEST(t.{name}, v.{name})",
}


def update(
    script: Script, table: Table, keys: Sequence[str], takes: Iterable[tuple[str, str]], rows: Sequence[Row]
) -> None:
    """Updates existing rows, each found by its key, in as few statements as pages.

    A row that is not there is an error, which PostgreSQL itself raises: the results of statements that are sent
    together do not come back. What it fails to read as a number is what it is to say.

    Args:
        script: The transaction's.
        table: The table.
        keys: The names of the key's columns.
        takes: Column and how it takes its value (``TAKE``); the same for all rows.
        rows: Column name to value, the key's among them.
    """
    statement, writing, types = _updating(table, tuple(keys), tuple(sorted(takes)))
    for start in range(0, len(rows), PAGE_ROWS):
        page = rows[start : start + PAGE_ROWS]
        script.run(statement, types, [*_arrays(writing, page), str(len(page))])


@lru_cache(maxsize=1000)
def _updating(
    table: Table, keys: tuple[str, ...], takes: tuple[tuple[str, str], ...]
) -> tuple[str, tuple[_Writing, ...], tuple[str, ...]]:
    """The statement that updates rows, given an array for each column of the key and each that is to change, and how
    many rows there are; how the columns are written; and of which types what is given is.
    """
    columns = (*keys, *(name for name, _ in takes))
    given = ", ".join(f"{{{place}}}" for place in range(len(columns)))
    rows = f"{{{len(columns)}}}"
    assignments = ", ".join(f"{name} = {TAKE[how](name)}" for name, how in takes)
    found = " AND ".join(f"t.{name} = v.{name}" for name in keys)
    statement = (
        f"WITH changed AS (UPDATE {table.name} t SET {assignments}"
        f" FROM unnest({given}) AS v ({', '.join(columns)}) WHERE {found} RETURNING 1)"
        f" SELECT CASE WHEN count(*) < {rows} THEN (({rows} - count(*)) || ' of ' || {rows}"
        f" || ' rows to change are not in {table.name}')::integer END FROM changed"
    )
    types = (*(f"{_types(table)[name]}[]" for name in columns), "integer")
    return statement, _writing(table, columns), types
