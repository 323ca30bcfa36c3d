"""Browsers that are logged in: by a link that is good once, and from then on by a cookie.

Who has a token asks for a link and names its digest; the link is kept in memory for a few minutes, and whoever opens it
first gets a cookie. What a browser may do is what its token may: the role and the project are the token's, and with the
token, revoked or expired, the session ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hippo_server.store import Session
from hippo_wire.secrets import secret_hash

LINK_LASTS = timedelta(minutes=2)
SESSION_LASTS = timedelta(days=7)
MOST_LINKS = 1000
"""So many links are kept; the oldest goes."""


@dataclass(frozen=True, slots=True)
class _Link:
    token: str
    expires_at: datetime


class Sessions:
    """Who is logged in, and the links that have not been opened. To be used in one event loop."""

    def __init__(self) -> None:
        self._links: dict[str, _Link] = {}
        self._sessions: dict[str, Session] = {}
        self.known = False  #: whether what the store keeps was taken over

    def adopt(self, sessions: Iterable[Session]) -> None:
        """Takes over what the store keeps."""
        self._sessions = {session.secret_hash: session for session in sessions}
        self.known = True

    def offer(self, link_hash: str, token: str, now: datetime | None = None) -> datetime:
        """Makes a link known.

        Args:
            link_hash: Digest of its secret.
            token: Digest of the secret of the token on whose behalf it logs in.
            now: The moment.

        Returns:
            Until when it is good.
        """
        expires_at = (now or datetime.now(UTC)) + LINK_LASTS
        self._links[link_hash] = _Link(token, expires_at)
        if len(self._links) > MOST_LINKS:
            del self._links[next(iter(self._links))]
        return expires_at

    def redeem(self, secret: str, now: datetime | None = None) -> str | None:
        """The token for which a link is good, which it is no more; None: it was opened before, or is too old."""
        found = self._links.pop(secret_hash(secret), None)
        return None if found is None or found.expires_at <= (now or datetime.now(UTC)) else found.token

    def begin(self, session: Session) -> None:
        """A browser is logged in."""
        self._sessions[session.secret_hash] = session

    def end(self, secret: str) -> None:
        """A browser is logged out."""
        self._sessions.pop(secret_hash(secret), None)

    def token(self, secret: str, now: datetime | None = None) -> str | None:
        """The token on whose behalf a cookie acts; None: on nobody's."""
        found = self._sessions.get(secret_hash(secret))
        return None if found is None or found.expires_at <= (now or datetime.now(UTC)) else found.token
