"""Servers that stand by, as they say themselves now and then. For people: no decision looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

SHOWN = "1 minute"
KEPT = "1 day"


@dataclass(frozen=True, slots=True, kw_only=True)
class StandbyServer:
    """A server that stands by.

    Attributes:
        holder: Which one.
        address: Where callers find it.
        version: Its version.
    """

    holder: str
    address: str
    version: str


def stand_by(cursor: Cursor, server: StandbyServer) -> None:
    """Says that a server stands by, and forgets those that have not said so for a day."""
    cursor.execute(
        """
        INSERT INTO standbys (holder, address, version, seen_at) VALUES (%s, %s, %s, now())
        ON CONFLICT (holder) DO UPDATE
        SET address = excluded.address, version = excluded.version, seen_at = excluded.seen_at
        """,
        (server.holder, server.address, server.version),
    )
    cursor.execute(f"DELETE FROM standbys WHERE seen_at < now() - interval '{KEPT}'")


def stand_by_no_more(cursor: Cursor, holder: str) -> None:
    """Says that a server does not stand by: it leads, or has ended."""
    cursor.execute("DELETE FROM standbys WHERE holder = %s", (holder,))


def find_standbys(cursor: Cursor) -> list[StandbyServer]:
    """Those that have said so within the last minute."""
    cursor.execute(
        f"SELECT holder, address, version FROM standbys WHERE seen_at > now() - interval '{SHOWN}' ORDER BY holder"
    )
    return [
        StandbyServer(holder=holder, address=address, version=version)
        for holder, address, version in cursor.fetchall()
    ]
