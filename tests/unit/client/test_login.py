"""The server that is logged in to: kept for its owner, used where none is named, its token for no other."""

from __future__ import annotations

import stat

import pytest

from hippo_client.endpoint import find_endpoint
from hippo_client.errors import InvalidStudy, NotAllowed
from hippo_client.local import Home
from hippo_client.login import Login, forget_login, login_file, read_login, write_login
from hippo_wire.tls import Trust

TRUST = Trust(authorities=b"authorities", certificate=b"certificate", key=b"key")
KEPT = Login(server="head.example.org:7440", token="hippo_secret", trust=TRUST)


@pytest.fixture
def home():
    place = Home.at()
    write_login(place, KEPT)
    return place


def test_it_is_read_as_it_was_written_and_closed_to_others(home):
    assert read_login(home) == KEPT
    assert stat.S_IMODE(login_file(home).stat().st_mode) == 0o600
    assert "hippo_secret" not in repr(read_login(home))
    write_login(home, Login(server="127.0.0.1:1", token="t", trust=None))
    assert read_login(home) == Login(server="127.0.0.1:1", token="t", trust=None)


def test_it_is_used_where_no_server_is_named(home):
    found = find_endpoint()
    assert (found.server, found.token, found.trust) == (KEPT.server, KEPT.token, TRUST)


def test_its_token_is_for_no_other_server(home, monkeypatch):
    with pytest.raises(NotAllowed, match=r"no token for 127\.0\.0\.1:9"):
        find_endpoint("127.0.0.1:9")
    monkeypatch.setenv("HIPPO_SERVER", "127.0.0.1:9")
    with pytest.raises(NotAllowed, match=r"no token for 127\.0\.0\.1:9"):
        find_endpoint()
    monkeypatch.setenv("HIPPO_TOKEN", "other")
    found = find_endpoint()
    assert (found.server, found.token, found.trust) == ("127.0.0.1:9", "other", None)


def test_a_token_that_is_given_goes_before(home, monkeypatch):
    monkeypatch.setenv("HIPPO_TOKEN", "given")
    assert find_endpoint().token == "given"
    assert find_endpoint().server == KEPT.server


def test_it_is_forgotten(home):
    assert forget_login(home) == KEPT
    assert forget_login(home) is None
    assert read_login(home) is None


@pytest.mark.parametrize(
    "text", ["", "no json", "[]", '{"server": "a:1"}', '{"server": 1, "token": 2, "trust": 3}']
)
def test_a_file_that_holds_something_else_is_named(home, text):
    login_file(home).write_text(text)
    with pytest.raises(InvalidStudy, match="holds no login"):
        read_login(home)
    assert forget_login(home) is None
    assert not login_file(home).exists()


@pytest.mark.parametrize(
    ("files", "field"),
    [
        ({"HIPPO_CERT": "c"}, "cert"),
        ({"HIPPO_CA": "/no/such"}, "ca"),
        ({"HIPPO_CA": "system", "HIPPO_CERT": "c"}, "key"),
        ({"HIPPO_CA": "system", "HIPPO_KEY": "c"}, "cert"),
        ({"HIPPO_CA": __file__}, "ca"),
    ],
)
def test_what_does_not_make_sense_for_tls_is_told(monkeypatch, files, field):
    for name, value in files.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidStudy) as refused:
        find_endpoint("127.0.0.1:9", "token")
    assert refused.value.field == field
