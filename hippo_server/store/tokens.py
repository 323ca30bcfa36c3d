"""Tokens: who may do what, and where. Only digests of the secrets are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hippo_core.errors import Conflict, InvalidStudy, NotFound
from hippo_server.store.database import Database
from hippo_server.store.tables import ROLES


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token, without its secret.

    Attributes:
        name: Who or what holds it; unique.
        role: viewer, editor, admin or worker.
        project: Where it is valid.
        secret_hash: Digest of the secret.
        created_at: When it was made.
        expires_at: From when on it is refused; None: never.
        revoked_at: When it was revoked; None: it was not.
    """

    name: str
    role: str
    project: str
    secret_hash: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


_COLUMNS = "name, role, project, secret_hash, created_at, expires_at, revoked_at"


def create_token(
    database: Database,
    *,
    name: str,
    role: str,
    project: str,
    secret_hash: str,
    expires_at: datetime | None,
    replace: bool,
) -> Token:
    """Makes a token; see ``Store.create_token``."""
    if role not in ROLES:
        raise InvalidStudy("role", f"'{role}' is not a role", f"Choose one of {', '.join(ROLES)}.")
    with database.transaction() as cursor:
        cursor.execute("INSERT INTO projects (name) VALUES (%s) ON CONFLICT DO NOTHING", (project,))
        if replace:
            cursor.execute("DELETE FROM tokens WHERE name = %s", (name,))
        cursor.execute(
            f"""
            INSERT INTO tokens (name, role, project, secret_hash, expires_at) VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
            """,
            (name, role, project, secret_hash, expires_at),
        )
        made = cursor.fetchone()
    if made is None:
        raise Conflict(f"a token named '{name}' exists.", "Give it another name, or revoke the earlier one.")
    return _token(made)


def find_tokens(database: Database) -> list[Token]:
    """All tokens, oldest first, also those that no longer are valid."""
    with database.transaction() as cursor:
        cursor.execute(f"SELECT {_COLUMNS} FROM tokens ORDER BY id")
        return [_token(row) for row in cursor]


def revoke_token(database: Database, name: str) -> None:
    """Revokes a token; see ``Store.revoke_token``."""
    with database.transaction() as cursor:
        cursor.execute("UPDATE tokens SET revoked_at = coalesce(revoked_at, now()) WHERE name = %s", (name,))
        if not cursor.rowcount:
            raise NotFound(f"there is no token '{name}'.")


def _token(row: tuple[object, ...]) -> Token:
    name, role, project, secret_hash, created_at, expires_at, revoked_at = row
    assert isinstance(created_at, datetime)
    assert expires_at is None or isinstance(expires_at, datetime)
    assert revoked_at is None or isinstance(revoked_at, datetime)
    return Token(
        name=str(name),
        role=str(role),
        project=str(project),
        secret_hash=str(secret_hash),
        created_at=created_at,
        expires_at=expires_at,
        revoked_at=revoked_at,
    )
