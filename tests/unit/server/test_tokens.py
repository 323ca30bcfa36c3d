"""Tokens: their files, their hashes, and when they count."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta

import pytest

from hippo_core.errors import InvalidStudy
from hippo_server.auth.roles import Role, least_words
from hippo_server.auth.tokens import TokenBook, Unauthenticated, read_or_make
from hippo_server.store import Token
from hippo_wire.secrets import new_secret, secret_hash

NOW = datetime(2026, 11, 24, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def token(secret: str, **changes: object) -> Token:
    fields = {
        "name": "ada",
        "role": "editor",
        "project": "vision",
        "secret_hash": secret_hash(secret),
        "created_at": NOW - SECOND,
        "expires_at": None,
        "revoked_at": None,
        "uses_left": None,
    }
    return Token(**(fields | changes))


def test_a_token_says_who_asks():
    secret = new_secret()
    who = TokenBook([token("other"), token(secret)]).identify(f"Bearer {secret}", NOW)
    assert (who.user, who.role, who.project) == ("ada", Role.EDITOR, "vision")


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_at": NOW},
        {"expires_at": NOW - SECOND},
        {"revoked_at": NOW - SECOND},
        {"expires_at": NOW + SECOND, "revoked_at": NOW},
    ],
)
def test_a_token_that_has_ended_is_as_good_as_none(changes):
    secret = new_secret()
    with pytest.raises(Unauthenticated) as ended:
        TokenBook([token(secret, **changes)]).identify(f"Bearer {secret}", NOW)
    with pytest.raises(Unauthenticated) as unknown:
        TokenBook([]).identify(f"Bearer {secret}", NOW)
    assert str(ended.value) == str(unknown.value)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic eDp5", "bearer x", "x", "Bearer \0"]
)
def test_a_header_without_a_token_is_refused(header):
    with pytest.raises(Unauthenticated):
        TokenBook([token("x")]).identify(header, NOW)


def test_secrets_are_long_and_different_and_can_be_scanned_for():
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(secret.startswith("hippo_") and len(secret) == 49 for secret in secrets)


def test_a_file_is_made_once_and_read_by_its_owner_only(tmp_path):
    path = tmp_path / "admin.token"
    secret = read_or_make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_make(path) == secret
    assert [each.name for each in tmp_path.iterdir()] == ["admin.token"]


def test_a_draft_that_a_killed_server_left_is_no_obstacle(tmp_path):
    (tmp_path / ".admin.token.new").write_text("half")
    assert read_or_make(tmp_path / "admin.token").startswith("hippo_")


@pytest.mark.parametrize("content", ["", "secret", "hippo_short"])
def test_a_file_without_a_token_is_named(tmp_path, content):
    path = tmp_path / "admin.token"
    path.write_text(content)
    with pytest.raises(InvalidStudy) as refused:
        read_or_make(path)
    assert str(path) in refused.value.message
    assert path.read_text() == content


def test_the_least_role_is_the_one_to_ask_for():
    assert least_words(frozenset({Role.ADMIN, Role.EDITOR})) == "editor"
    assert least_words(frozenset({Role.WORKER})) == "worker"
    assert least_words(frozenset()) == "none"
