"""Browsers that are logged in. Only digests of their cookies are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hippo_server.store.database import Database

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser that is logged in.

    Attributes:
        secret_hash: Digest of its cookie.
        token: Digest of the secret of the token on whose behalf it acts.
        expires_at: From when on it is refused.
    """

    secret_hash: str
    token: str
    expires_at: datetime


def begin_session(cursor: Cursor, session: Session) -> None:
    """Keeps a session, and forgets those that are over."""
    cursor.execute("DELETE FROM sessions WHERE expires_at <= now()")
    cursor.execute(
        "INSERT INTO sessions (secret_hash, token, expires_at) VALUES (%s, %s, %s)",
        (session.secret_hash, session.token, session.expires_at),
    )


def end_session(cursor: Cursor, secret_hash: str) -> None:
    """Forgets a session, if it is there."""
    cursor.execute("DELETE FROM sessions WHERE secret_hash = %s", (secret_hash,))


def find_sessions(database: Database) -> list[Session]:
    """All sessions that are not over."""
    with database.transaction() as cursor:
        cursor.execute("SELECT secret_hash, token, expires_at FROM sessions WHERE expires_at > now()")
        return [Session(secret_hash=secret, token=token, expires_at=at) for secret, token, at in cursor]
