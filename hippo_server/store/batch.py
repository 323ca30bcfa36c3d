"""The rows of one transaction, collected before anything is sent.

What happens to one row is merged: a trial that is created and completed in a batch is one INSERT, a node that ten
reports trained one UPDATE. Updates of rows that are there go first within a table, so that a request can close and the
trial's next one open under the constraint of one open request. Tables go in the order of their foreign keys.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import Boolean, DateTime, Double, Integer, Table

from hippo_server.store import sql
from hippo_server.store.sql import Script, Written, quoted
from hippo_server.store.tables import metadata

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


def _getter(columns: tuple[str, ...]) -> Callable[[Mapping[str, Any]], Key]:
    """Takes a row's key out of it."""
    if len(columns) > 1:
        return itemgetter(*columns)
    (name,) = columns
    return lambda row: (row[name],)


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
_KEY = {name: _getter(columns) for name, columns in KEYS.items()}
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
        self._blanks: dict[str, dict[str, Any]] = {}
        self._inserts: dict[str, dict[Key, dict[str, Any]]] = defaultdict(dict)
        self._appended: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._updates: dict[str, dict[Key, dict[str, tuple[str, Any]]]] = defaultdict(dict)
        self._written: dict[int, Written] = {}  # by identity: whoever makes a batch holds its events
        self._forgiven: dict[int, None] = {}
        self._workers: dict[str, None] = {}

    def insert(self, table: str, **columns: Any) -> None:
        """Adds a row; columns that are left out take their defaults."""
        row = self._blank(table) | columns
        self._inserts[table][_KEY[table](row)] = row

    def append(self, table: str, **columns: Any) -> None:
        """Adds a row that nothing in the batch changes, and whose key is new."""
        blank = self._blank(table)
        self._appended[table].append(columns if len(columns) == len(blank) else blank | columns)

    def written(self, metrics: Mapping[str, float | None]) -> Written:
        """Metrics of an event as JSON, worked out once for all rows that hold them."""
        found = self._written.get(id(metrics))
        if found is None:
            found = self._written[id(metrics)] = Written(sql.dump_metrics(metrics))
        return found

    def _blank(self, table: str) -> dict[str, Any]:
        blank = self._blanks.get(table)
        if blank is None:
            blank = self._blanks[table] = DEFAULTS[table] | dict.fromkeys(MOMENTS[table], self.now)
        return blank

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

    def flush(self, script: Script) -> None:
        """Adds everything to a transaction's statements."""
        for table in TABLES:
            name = table.name
            if name == "failures" and self._forgiven:
                nodes = ", ".join(map(str, self._forgiven))
                script.add(f"UPDATE failures SET forgotten = true WHERE node IN ({nodes}) AND NOT forgotten")
            if name == "slots" and self._workers:
                names = ", ".join(map(quoted, self._workers))
                script.add(f"DELETE FROM slots WHERE worker IN ({names})")
            if changed := self._updates.get(name):
                self._flush_updates(script, table, changed)
            if rows := [*self._inserts.get(name, {}).values(), *self._appended.get(name, ())]:
                self._flush_inserts(script, table, rows)

    def _flush_updates(
        self, script: Script, table: Table, changed: Mapping[Key, Mapping[str, tuple[str, Any]]]
    ) -> None:
        groups: dict[tuple[tuple[str, str], ...], list[dict[str, Any]]] = defaultdict(list)
        keys = KEYS[table.name]
        for key, changes in changed.items():
            takes = tuple((name, how) for name, (how, _) in changes.items())
            values = {name: value for name, (_, value) in changes.items()}
            groups[takes].append({**dict(zip(keys, key, strict=True)), **values})
        for takes, rows in groups.items():
            sql.update(script, table, keys, takes, rows)

    def _flush_inserts(self, script: Script, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
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
        sql.insert(script, table, rows, conflict)


def _merge(how: str, earlier: Any, value: Any) -> Any:
    match how:
        case "add":
            return earlier + value
        case "raise":
            return max(earlier, value)
        case _:
            return value
