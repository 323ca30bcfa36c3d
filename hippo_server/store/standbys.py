"""Servers that stand by, as they say themselves now and then. For people: no decision looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812


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


def stand_by(cursor: Cursor, server: StandbyServer, valid_seconds: float) -> None:
    """Says that a server stands by, and forgets those that have not said so in time.

    Args:
        cursor: Of the database.
        server: Which one.
        valid_seconds: For how long that is believed, unless it says so again.
    """
    cursor.execute("DELETE FROM standbys WHERE valid_until <= now()")
    cursor.execute(
        """
        INSERT INTO standbys (holder, address, version, valid_until)
        VALUES (%s, %s, %s, now() + make_interval(secs => %s))
        ON CONFLICT (holder) DO UPDATE
        SET address = excluded.address, version = excluded.version, valid_until = excluded.valid_until
        """,
        (server.holder, server.address, server.version, valid_seconds),
    )


def stand_by_no_more(cursor: Cursor, holder: str) -> None:
    """Says that a server does not stand by: it leads, or has ended."""
    cursor.execute("DELETE FROM standbys WHERE holder = %s", (holder,))


def find_standbys(cursor: Cursor) -> list[StandbyServer]:
    """Those whose word still counts."""
    cursor.execute("SELECT holder, address, version FROM standbys WHERE valid_until > now() ORDER BY holder")
    return [
        StandbyServer(holder=holder, address=address, version=version)
        for holder, address, version in cursor.fetchall()
    ]
