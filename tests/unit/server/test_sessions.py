"""Links that log in once, and sessions that end with time or with their token."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hippo_server.auth.sessions import LINK_LASTS, MOST_LINKS, Sessions
from hippo_server.store import Session
from hippo_wire.secrets import secret_hash

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)


def session(secret: str) -> Session:
    return Session(secret_hash=secret_hash(secret), token="token", expires_at=NOW)


def test_a_link_is_good_once() -> None:
    sessions = Sessions()
    assert sessions.offer(secret_hash("link"), "token", NOW) == NOW + LINK_LASTS
    assert sessions.redeem("other", NOW) is None
    assert sessions.redeem(secret_hash("link"), NOW) is None, "the digest is not the secret"
    assert sessions.redeem("link", NOW + LINK_LASTS - MOMENT) == "token"
    assert sessions.redeem("link", NOW) is None


def test_a_link_is_good_for_a_while() -> None:
    sessions = Sessions()
    sessions.offer(secret_hash("link"), "token", NOW)
    assert sessions.redeem("link", NOW + LINK_LASTS) is None


def test_of_too_many_links_the_oldest_goes() -> None:
    sessions = Sessions()
    for number in range(MOST_LINKS + 1):
        sessions.offer(secret_hash(str(number)), "token", NOW)
    assert sessions.redeem("0", NOW) is None
    assert sessions.redeem("1", NOW) == "token"


def test_a_session_lasts_until_it_expires_or_ends() -> None:
    sessions = Sessions()
    sessions.adopt([session("kept")])
    sessions.begin(session("begun"))
    for secret in ("kept", "begun"):
        assert sessions.token(secret, NOW - MOMENT) == "token"
        assert sessions.token(secret, NOW) is None
        assert sessions.token(secret_hash(secret), NOW - MOMENT) is None, "the digest is not the secret"
    sessions.end("kept")
    assert sessions.token("kept", NOW - MOMENT) is None
    sessions.end("never there")
