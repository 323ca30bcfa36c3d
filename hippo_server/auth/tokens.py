"""Bearer tokens: made at the first start, kept as hashes, looked up on every call.

Looking a hash up tells nothing by its timing about the secret, since nobody can choose the hash's first bytes without
knowing the rest.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hippo_core.errors import InvalidStudy, NotAllowed
from hippo_core.names import require_name
from hippo_server.auth.roles import Role
from hippo_server.store import Token
from hippo_wire.private_file import write_private
from hippo_wire.secrets import PREFIX, new_secret, secret_hash

SCHEME = "Bearer "
JOINED = "worker/"
"""How the names of tokens begin that workers got by joining; no other token may be called so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who asks.

    Attributes:
        user: The token's name.
        role: What its holder is.
        project: Where it is valid.
        secret_hash: Digest of its secret.
    """

    user: str
    role: Role
    project: str
    secret_hash: str

    def require_worker(self, name: str) -> None:
        """Lets a worker that has joined be no other.

        Raises:
            NotAllowed: The token is another worker's.
        """
        if self.user.startswith(JOINED) and self.user != JOINED + name:
            raise NotAllowed(
                f"this token is for the worker '{self.user.removeprefix(JOINED)}', not for '{name}'.",
                "Give each worker a --data-dir of its own: its token lies there.",
            )


class Unauthenticated(NotAllowed):
    """Nobody knows who asks: no token, or one that is not valid. The message does not tell which."""

    def __init__(self) -> None:
        super().__init__(
            "a valid token is needed.", "Log in with `hippo login`, or set HIPPO_TOKEN or HIPPO_TOKEN_FILE."
        )


def worker_token_name(worker: str) -> str:
    """What the token of a worker is called that has joined.

    Raises:
        InvalidStudy: The worker's name cannot be one.
    """
    require_name(worker, "worker")
    return JOINED + worker


class TokenBook:
    """The tokens that are known.

    Args:
        tokens: As the store keeps them.
    """

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._tokens = {token.secret_hash: token for token in tokens}

    def identify(self, authorization: str | None, now: datetime | None = None) -> Identity:
        """Who asks, by the ``authorization`` header.

        Raises:
            Unauthenticated: There is no valid token in it.
        """
        if authorization is None or not authorization.startswith(SCHEME):
            raise Unauthenticated
        return self.holder(secret_hash(authorization.removeprefix(SCHEME).strip()), now)

    def holder(self, presented: str, now: datetime | None = None) -> Identity:
        """Who holds the token of whose secret this is the digest.

        Raises:
            Unauthenticated: There is no valid token of that digest.
        """
        token = self._tokens.get(presented)
        if token is None or not hmac.compare_digest(token.secret_hash, presented):
            raise Unauthenticated
        moment = now or datetime.now(UTC)
        ends = [each for each in (token.expires_at, token.revoked_at) if each is not None]
        if any(each <= moment for each in ends):
            raise Unauthenticated
        return Identity(
            user=token.name, role=Role(token.role), project=token.project, secret_hash=token.secret_hash
        )


def read_or_make(path: Path) -> str:
    """The token in a file; a new one is written where there is none. Only the file's owner can read it.

    Raises:
        InvalidStudy: The file holds something else.
    """
    try:
        secret = path.read_text().strip()
    except FileNotFoundError:
        secret = new_secret()
        write_private(path, f"{secret}\n".encode())
        return secret
    if not secret.startswith(PREFIX) or len(secret) < 40:
        raise InvalidStudy(str(path), "holds no token", "Remove the file: a new token is made then.")
    return secret
