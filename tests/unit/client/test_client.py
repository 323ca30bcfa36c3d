"""Which server a client talks to, and finding studies on it."""

import gc
import json
import os
import socket
import weakref
from types import SimpleNamespace

import pytest

import hippo_client as hippo
from hippo_client.endpoint import find_attached, find_endpoint
from hippo_client.errors import InvalidStudy, NotAllowed, NotFound, Unavailable
from hippo_client.local import Home
from tests.unit.client import messages
from tests.unit.client.service import TOKEN


@pytest.fixture
def home(server):
    """A home whose server is the one of the test."""
    place = Home.at()
    place.server_file.parent.mkdir(parents=True)
    place.admin_token_file.write_text(f"{TOKEN}\n")
    place.server_file.write_text(
        json.dumps({"grpc": server.address, "http": "127.0.0.1:1", "pid": os.getpid()})
    )
    return place


@pytest.fixture
def closed_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_without_a_name_it_is_this_machine_s_server(home, server):
    with hippo.Client() as client:
        assert client.server == server.address
        assert client.studies() == []


def test_environment_variables_name_server_and_token(monkeypatch, server):
    monkeypatch.setenv("HIPPO_SERVER", server.address)
    monkeypatch.setenv("HIPPO_TOKEN", TOKEN)
    with hippo.Client() as client:
        assert client.studies() == []


def test_the_token_may_lie_in_a_file(monkeypatch, server, tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("HIPPO_SERVER", server.address)
    monkeypatch.setenv("HIPPO_TOKEN_FILE", str(tmp_path / "token"))
    with hippo.Client() as client:
        assert client.studies() == []


def test_arguments_come_before_the_environment(monkeypatch, server):
    monkeypatch.setenv("HIPPO_SERVER", "127.0.0.1:1")
    monkeypatch.setenv("HIPPO_TOKEN", "another")
    with hippo.Client(server.address, TOKEN) as client:
        assert client.studies() == []


def test_the_home_s_token_is_for_the_home_s_server_only(home):
    assert find_endpoint(home.server_address().grpc).token == TOKEN
    with pytest.raises(
        NotAllowed, match=r"no token for 127.0.0.1:9. Log in with `hippo login`, or set HIPPO_TOKEN"
    ):
        find_endpoint("127.0.0.1:9")


def test_an_address_that_makes_no_sense_is_told_before_a_token_is_asked_for():
    with pytest.raises(InvalidStudy, match="server: 'nonsense' is not host:port"):
        find_endpoint("nonsense")


def test_a_token_is_in_no_text_of_an_endpoint(home):
    assert TOKEN not in repr(find_endpoint())


def test_no_server_at_all_is_unavailable():
    with pytest.raises(Unavailable, match=r"none runs on this machine\. Start one with `hippo up`"):
        hippo.Client()


def test_a_server_that_went_without_a_word_is_unavailable(home, closed_port):
    home.server_file.write_text(json.dumps({"grpc": f"127.0.0.1:{closed_port}", "http": "", "pid": 1}))
    with pytest.raises(Unavailable, match="none runs on this machine"):
        hippo.Client()


def test_a_token_file_that_cannot_be_read_is_named(monkeypatch, server):
    monkeypatch.setenv("HIPPO_SERVER", server.address)
    monkeypatch.setenv("HIPPO_TOKEN_FILE", "/no/such/file")
    with pytest.raises(NotAllowed, match="/no/such/file cannot be read: No such file"):
        hippo.Client()


def test_a_wrong_token_is_not_allowed(server):
    with (
        hippo.Client(server.address, "wrong") as client,
        pytest.raises(NotAllowed, match="token is not known"),
    ):
        client.studies()


def test_a_server_that_cannot_be_reached_is_named(closed_port):
    address = f"127.0.0.1:{closed_port}"
    with hippo.Client(address, TOKEN) as client, pytest.raises(Unavailable, match="cannot reach") as caught:
        client.studies()
    assert address in str(caught.value)
    assert "refused" in str(caught.value)
    assert "Is hippo-server running" in str(caught.value)


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1", "127.0.0.1:x"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(InvalidStudy, match="not host:port"):
        hippo.Client(address, TOKEN)


def test_studies_are_listed_page_after_page(client, service):
    for name in ("a", "b", "c", "d", "e"):
        service.add(messages.study(name))
    assert [each.name for each in client.studies()] == ["e", "d", "c", "b", "a"]


def test_a_study_that_does_not_exist_is_not_found(client):
    with pytest.raises(NotFound, match="no study nothing"):
        client.study("nothing")


def test_a_forgotten_client_closes_its_connection(server):
    client = hippo.Client(server.address, TOKEN)
    channel = weakref.ref(client.connection)
    del client
    gc.collect()
    assert channel() is None


def test_a_handle_keeps_its_client_alive(server, service):
    service.add(messages.study())
    handle = hippo.Client(server.address, TOKEN).study("digits")
    gc.collect()
    assert handle.state == "running"


def test_the_text_of_a_client_names_the_server(client, server):
    assert repr(client) == f"<Client of {server.address}>"


def test_whoever_names_a_token_acts_as_it_at_the_home_s_own_server_too(home, monkeypatch, tmp_path):
    """Wherever it is named, and whether the home's server is found, named, or held up."""
    (tmp_path / "token").write_text("in the file\n")
    address = home.server_address().grpc

    def used():
        return {find_endpoint().token, find_endpoint(address).token, find_attached(address, TOKEN).token}

    assert used() == {TOKEN}
    monkeypatch.setenv("HIPPO_TOKEN_FILE", str(tmp_path / "token"))
    assert used() == {"in the file"}
    monkeypatch.setenv("HIPPO_TOKEN", "viewer")
    assert used() == {"viewer"}
    assert find_endpoint(token="given").token == "given"


def test_a_named_token_needs_no_token_of_the_home(home, monkeypatch):
    home.admin_token_file.unlink()
    monkeypatch.setenv("HIPPO_TOKEN", TOKEN)
    with hippo.Client() as client:
        assert client.studies() == []


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("HIPPO_TOKEN", "Used was the token in HIPPO_TOKEN; without it, this home's own token is used."),
        (
            "HIPPO_TOKEN_FILE",
            "Used was the token in the file of HIPPO_TOKEN_FILE; without it, this home's own token is used.",
        ),
        (None, "Used was this home's own token."),
    ],
)
def test_whoever_is_refused_hears_which_token_was_used(home, monkeypatch, tmp_path, variable, said):
    (tmp_path / "token").write_text("wrong")
    if variable is None:
        home.admin_token_file.write_text("wrong")
    else:
        monkeypatch.setenv(variable, "wrong" if variable == "HIPPO_TOKEN" else str(tmp_path / "token"))
    with hippo.Client() as client, pytest.raises(NotAllowed, match="token is not known") as refused:
        client.studies()
    assert refused.value.hint.startswith(said)
    attached = SimpleNamespace(server=home.server_address().grpc, token="wrong")
    with hippo.Client.attached(attached) as client, pytest.raises(NotAllowed) as refused:
        client.studies()
    assert refused.value.hint.startswith(said)
