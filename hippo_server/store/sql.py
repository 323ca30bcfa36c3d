"""Rows in bulk: COPY for many, one statement of many VALUES for few, and no ORM.

Measured per row of metrics: COPY 1.3 us, execute_values 7.5 us, SQLAlchemy 16.5 us; below some fifty rows the extra
round trip of COPY costs more than it saves.

Floats travel as text in their shortest form, which PostgreSQL reads back to the same double, the sign of -0.0
included; a numeric literal would lose it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg2.extras
from sqlalchemy import JSON, Boolean, Column, DateTime, Double, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects import postgresql

from hippo_core.errors import InvariantViolated

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

Row = Mapping[str, Any]
Encoder = Callable[[Any], Any]

COPY_FROM_ROWS = 50
PAGE_ROWS = 500

#: So that no statement comes near its time-out, however many rows a study of many trials brings at once.
COPY_ROWS = 5000

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


def dump(value: object) -> str:
    """A value as JSON, exactly; it holds no number that JSON lacks."""
    return _JSON.encode(value)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be kept as JSON")


_JSON = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain)


def clean(value: str) -> str:
    """What PostgreSQL can hold of a text: no zero characters, no halves of surrogate pairs."""
    if value.isascii() and "\x00" not in value:
        return value
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _itself(value: Any) -> Any:
    return value


def _encoder(column: Column[Any]) -> Encoder:
    """How the column's values, None apart, are sent in a statement."""
    match column.type:
        case JSON():
            return dump
        case Double():
            return repr
        case Text():
            return lambda value: clean(str(value))
        case _:
            return _itself


def _copier(column: Column[Any]) -> Encoder:
    """How the column's values, None apart, are written in COPY's text format."""
    match column.type:
        case JSON():
            return lambda value: dump(value).translate(_ESCAPES)
        case Double():
            return repr
        case Text():
            return lambda value: clean(str(value)).translate(_ESCAPES)
        case Boolean():
            return lambda value: "t" if value else "f"
        case DateTime():
            return datetime.isoformat
        case LargeBinary():
            return lambda value: "\\\\x" + value.hex()
        case Integer():
            return str
        case _:
            raise TypeError(f"values of {column} cannot be copied")


def _encoded(columns: Sequence[Column[Any]], rows: Sequence[Row]) -> list[list[object]]:
    encoders = [(column.name, _encoder(column)) for column in columns]
    return [
        [None if (value := row[name]) is None else encode(value) for name, encode in encoders] for row in rows
    ]


def _copied(columns: Sequence[Column[Any]], rows: Sequence[Row]) -> str:
    copiers = [(column.name, _copier(column)) for column in columns]
    return "\n".join(
        "\t".join("\\N" if (value := row[name]) is None else copy(value) for name, copy in copiers)
        for row in rows
    )


def insert(cursor: Cursor, table: Table, rows: Sequence[Row], conflict: str = "") -> None:
    """Inserts rows that all have a value for the same columns of the table.

    Args:
        cursor: In the transaction.
        table: The table.
        rows: Column name to value.
        conflict: What follows VALUES, e.g. ``ON CONFLICT DO NOTHING``.
    """
    columns = [table.c[name] for name in rows[0]]
    names = ", ".join(column.name for column in columns)
    if len(rows) >= COPY_FROM_ROWS and not conflict:
        for start in range(0, len(rows), COPY_ROWS):
            page = io.StringIO(_copied(columns, rows[start : start + COPY_ROWS]))
            cursor.copy_expert(f"COPY {table.name} ({names}) FROM STDIN", page)
        return
    values = _encoded(columns, rows)
    psycopg2.extras.execute_values(
        cursor, f"INSERT INTO {table.name} ({names}) VALUES %s {conflict}", values, page_size=PAGE_ROWS
    )


#: How a column takes its new value: from the old one and the given one.
TAKE: Mapping[str, Callable[[str], str]] = {
    "set": lambda name: f"v.{name}",
    "add": lambda name: f"t.{name} + v.{name}",
    "raise": lambda name: f"GREATEST(t.{name}, v.{name})",
}


def update(
    cursor: Cursor, table: Table, keys: Sequence[str], takes: Iterable[tuple[str, str]], rows: Sequence[Row]
) -> None:
    """Updates existing rows, each found by its key, in as few statements as pages.

    Args:
        cursor: In the transaction.
        table: The table.
        keys: The names of the key's columns.
        takes: Column and how it takes its value (``TAKE``); the same for all rows.
        rows: Column name to value, the key's among them.

    Raises:
        InvariantViolated: A row is not there.
    """
    takes = list(takes)
    columns = [table.c[name] for name in (*keys, *(name for name, _ in takes))]
    assignments = ", ".join(f"{name} = {TAKE[how](name)}" for name, how in takes)
    found = " AND ".join(f"t.{name} = v.{name}" for name in keys)
    names = ", ".join(column.name for column in columns)
    statement = f"UPDATE {table.name} t SET {assignments} FROM (VALUES %s) AS v ({names}) WHERE {found}"
    template = "(" + ", ".join(f"%s::{column.type.compile(_DIALECT)}" for column in columns) + ")"
    for start in range(0, len(rows), PAGE_ROWS):
        page = rows[start : start + PAGE_ROWS]
        values = _encoded(columns, page)
        psycopg2.extras.execute_values(cursor, statement, values, template=template, page_size=PAGE_ROWS)
        if cursor.rowcount < len(page):
            raise InvariantViolated(
                f"{len(page) - cursor.rowcount} of {len(page)} rows to change are not in {table.name}.",
                tuple(dump({name: row[name] for name in keys}) for row in page[:8]),
            )
