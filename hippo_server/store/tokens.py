"""Tokens: who may do what, and where. Only digests of the secrets are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hippo_core.errors import Conflict, InvalidStudy, NotAllowed, NotFound
from hippo_server.store.tables import ROLES

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token, without its secret.

    Attributes:
        name: Who or what holds it; unique.
        role: viewer, editor, admin, worker or join.
        project: Where it is valid.
        secret_hash: Digest of the secret.
        created_at: When it was made.
        expires_at: From when on it is refused; None: never.
        revoked_at: When it was revoked; None: it was not.
        uses_left: Of a join token, how many workers may still join with it; None: of others.
    """

    name: str
    role: str
    project: str
    secret_hash: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    uses_left: int | None


_COLUMNS = "name, role, project, secret_hash, created_at, expires_at, revoked_at, uses_left"


def create_token(
    cursor: Cursor,
    *,
    name: str,
    role: str,
    project: str,
    secret_hash: str,
    expires_at: datetime | None,
    uses: int | None,
    replace: bool,
) -> Token:
    """Makes a token; see ``Store.create_token``."""
    if role not in ROLES:
        raise InvalidStudy("role", f"'{role}' is not a role", f"Choose one of {', '.join(ROLES)}.")
    cursor.execute("INSERT INTO projects (name) VALUES (%s) ON CONFLICT DO NOTHING", (project,))
    return _insert(cursor, name, role, project, secret_hash, expires_at, uses, replace=replace)


def join_pool(cursor: Cursor, *, join_hash: str, name: str, secret_hash: str) -> Token:
    """Makes a worker's token for one who has a join token; see ``Store.join_pool``."""
    cursor.execute(f"SELECT {_COLUMNS} FROM tokens WHERE secret_hash = %s", (secret_hash,))
    known = cursor.fetchone()
    if known is not None and known[:2] == (name, "worker"):
        return _token(known)  # the answer to an earlier try was lost
    cursor.execute(
        "UPDATE tokens SET uses_left = uses_left - 1"
        " WHERE secret_hash = %s AND role = 'join' AND uses_left > 0 RETURNING project",
        (join_hash,),
    )
    found = cursor.fetchone()
    if found is None:
        raise NotAllowed(
            "no more workers may join with this token.", "Make one: hippo token create NAME --role join."
        )
    return _insert(cursor, name, "worker", found[0], secret_hash, None, None, replace=True)


def _insert(
    cursor: Cursor,
    name: str,
    role: str,
    project: str,
    secret_hash: str,
    expires_at: datetime | None,
    uses: int | None,
    *,
    replace: bool,
) -> Token:
    """Makes a token, or finds the same one, made before.

    Raises:
        Conflict: There is another of that name, or of that secret.
    """
    if replace:
        cursor.execute("DELETE FROM tokens WHERE name = %s", (name,))
    else:
        # One that counts no more does not keep its name from others.
        cursor.execute(
            "DELETE FROM tokens WHERE name = %s AND least(expires_at, revoked_at) <= now()", (name,)
        )
    cursor.execute(
        f"""
        INSERT INTO tokens (name, role, project, secret_hash, expires_at, uses_left)
        VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
        """,
        (name, role, project, secret_hash, expires_at, uses),
    )
    made = cursor.fetchone()
    if made is None:
        cursor.execute(f"SELECT {_COLUMNS} FROM tokens WHERE name = %s", (name,))
        made = cursor.fetchone()
        if made is None or made[1:4] != (role, project, secret_hash):
            raise Conflict(
                f"a token named '{name}' exists.", "Give it another name, or revoke the earlier one."
            )
    return _token(made)


def find_tokens(cursor: Cursor) -> list[Token]:
    """All tokens, oldest first, also those that no longer are valid."""
    cursor.execute(f"SELECT {_COLUMNS} FROM tokens ORDER BY id")
    return [_token(row) for row in cursor]


def revoke_token(cursor: Cursor, name: str) -> None:
    """Revokes a token; see ``Store.revoke_token``."""
    cursor.execute("UPDATE tokens SET revoked_at = coalesce(revoked_at, now()) WHERE name = %s", (name,))
    if not cursor.rowcount:
        raise NotFound(f"there is no token '{name}'.")


def _token(row: tuple[object, ...]) -> Token:
    name, role, project, secret_hash, created_at, expires_at, revoked_at, uses_left = row
    assert isinstance(created_at, datetime)
    assert expires_at is None or isinstance(expires_at, datetime)
    assert revoked_at is None or isinstance(revoked_at, datetime)
    assert uses_left is None or isinstance(uses_left, int)
    return Token(
        name=str(name),
        role=str(role),
        project=str(project),
        secret_hash=str(secret_hash),
        created_at=created_at,
        expires_at=expires_at,
        revoked_at=revoked_at,
        uses_left=uses_left,
    )
