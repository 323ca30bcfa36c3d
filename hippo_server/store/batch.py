"""The rows of one transaction, collected before anything is sent.

What happens to one row is merged: a trial that is created and completed in a batch is one INSERT, a node that ten
reports trained one UPDATE. Updates of rows that are there go first within a table, so that a request can close and the
trial's next one open under the constraint of one open request. Tables go in the order of their foreign keys.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, DateTime, Double, Integer, Table

from hippo_server.store import sql
from hippo_server.store.tables import metadata

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

Key = tuple[Any, ...]

#: Rows that may be there already, and then stay as they are.
KEPT_AS_THEY_ARE = frozenset({"projects", "programs"})

#: Rows that take the place of an earlier one: a worker that comes back, a state that its writer saves again, a proposal
#: that is wanted anew, a further failure of a policy, a state that is pinned again.
REPLACED = frozenset({"workers", "checkpoints", "pins", "proposals", "policy_failures"})

#: Rows that are added to one that is there.
ADDED = frozenset({"bills"})

#: Updates find these rows otherwise than by their primary key.
FOUND_BY: Mapping[str, tuple[str, ...]] = {"save_points": ("fence", "node", "step")}


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """An open request's key, the step that it is for, and whether a user wants it."""

    opened: int
    step: int
    by_user: bool


Open = MutableMapping[tuple[int, int], OpenRequest]


def _key_of(table: Table) -> tuple[str, ...]:
    return FOUND_BY.get(table.name) or tuple(column.name for column in table.primary_key.columns)


def _default(column: Any) -> object:
    """What the column's own default gives, where all rows must name the same columns."""
    if column.server_default is None:
        return None
    if isinstance(column.type, Boolean):
        return False
    if isinstance(column.type, Double):
        return 0.0
    return 0 if isinstance(column.type, Integer) else ""


#: In the order of their foreign keys.
TABLES = tuple(metadata.sorted_tables)
KEYS = {table.name: _key_of(table) for table in metadata.tables.values()}
DEFAULTS = {
    table.name: {column.name: _default(column) for column in table.columns}
    for table in metadata.tables.values()
}
MOMENTS = {
    table.name: [
        column.name
        for column in table.columns
        if isinstance(column.type, DateTime) and column.server_default is not None
    ]
    for table in metadata.tables.values()
}


class Batch:
    """Rows to insert and to change.

    Args:
        now: The time to note in rows, for people.
        open_requests: All open requests by (study, trial); kept current, for the batch that follows.
    """

    def __init__(self, now: datetime, open_requests: Open) -> None:
        self.now = now
        self.open = open_requests
        self._inserts: dict[str, dict[Key, dict[str, Any]]] = defaultdict(dict)
        self._updates: dict[str, dict[Key, dict[str, tuple[str, Any]]]] = defaultdict(dict)
        self._forgiven: dict[int, None] = {}
        self._workers: dict[str, None] = {}

    def insert(self, table: str, **columns: Any) -> None:
        """Adds a row; columns that are left out take their defaults."""
        row = {**DEFAULTS[table], **dict.fromkeys(MOMENTS[table], self.now), **columns}
        self._inserts[table][tuple(row[name] for name in KEYS[table])] = row

    def add(self, table: str, **columns: Any) -> None:
        """Adds a row's numbers to those of the row of its key, if there is one."""
        assert table in ADDED
        row = self._inserts[table].get(tuple(columns[name] for name in KEYS[table]))
        if row is None:
            self.insert(table, **columns)
            return
        for name, value in columns.items():
            if name not in KEYS[table]:
                row[name] += value

    def keep(self, table: str, **columns: Any) -> None:
        """Adds a row unless it is there."""
        assert table in KEPT_AS_THEY_ARE
        self.insert(table, **columns)

    def update(self, table: str, *key: Any, how: str = "set", **columns: Any) -> None:
        """Changes a row: "set", "add" to or "raise" the columns."""
        row = self._inserts[table].get(key)
        if row is None:
            changes = self._updates[table].setdefault(key, {})
            for name, value in columns.items():
                earlier = changes.get(name)
                merged = value if earlier is None else _merge(how, earlier[1], value)
                changes[name] = (how, merged)
            return
        for name, value in columns.items():
            row[name] = _merge(how, row[name], value)

    def register_worker(self, name: str, columns: Mapping[str, Any], slots: list[dict[str, Any]]) -> None:
        """Puts a worker's row and its slots' in place of earlier ones."""
        self.insert("workers", name=name, **columns)
        self._updates["workers"].pop((name,), None)
        self._workers[name] = None
        for key in [key for key in self._inserts["slots"] if key[0] == name]:
            del self._inserts["slots"][key]
        for key in [key for key in self._updates["slots"] if key[0] == name]:
            del self._updates["slots"][key]
        for slot in slots:
            self.insert("slots", worker=name, **slot)

    def forget_failures(self, node: int) -> None:
        """The node's failures no longer count."""
        self._forgiven[node] = None
        for row in self._inserts["failures"].values():
            if row["node"] == node:
                row["forgotten"] = True

    def flush(self, cursor: Cursor) -> None:
        """Sends everything."""
        for table in TABLES:
            if table.name == "failures" and self._forgiven:
                cursor.execute(
                    "UPDATE failures SET forgotten = true WHERE node = ANY(%s) AND NOT forgotten",
                    (list(self._forgiven),),
                )
            if table.name == "slots" and self._workers:
                cursor.execute("DELETE FROM slots WHERE worker = ANY(%s)", (list(self._workers),))
            self._flush_updates(cursor, table)
            self._flush_inserts(cursor, table)

    def _flush_updates(self, cursor: Cursor, table: Table) -> None:
        groups: dict[tuple[tuple[str, str], ...], list[dict[str, Any]]] = defaultdict(list)
        keys = KEYS[table.name]
        for key, changes in self._updates.get(table.name, {}).items():
            takes = tuple((name, how) for name, (how, _) in changes.items())
            values = {name: value for name, (_, value) in changes.items()}
            groups[takes].append({**dict(zip(keys, key, strict=True)), **values})
        for takes, rows in groups.items():
            sql.update(cursor, table, keys, takes, rows)

    def _flush_inserts(self, cursor: Cursor, table: Table) -> None:
        rows = list(self._inserts.get(table.name, {}).values())
        if not rows:
            return
        conflict = ""
        if table.name in KEPT_AS_THEY_ARE:
            conflict = "ON CONFLICT DO NOTHING"
        elif table.name in REPLACED:
            keys = KEYS[table.name]
            changed = ", ".join(f"{name} = excluded.{name}" for name in rows[0] if name not in keys)
            conflict = f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changed}"
        elif table.name in ADDED:
            keys = KEYS[table.name]
            changed = ", ".join(
                f"{name} = {table.name}.{name} + excluded.{name}" for name in rows[0] if name not in keys
            )
            conflict = f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changed}"
        sql.insert(cursor, table, rows, conflict)


def _merge(how: str, earlier: Any, value: Any) -> Any:
    match how:
        case "add":
            return earlier + value
        case "raise":
            return max(earlier, value)
        case _:
            return value
