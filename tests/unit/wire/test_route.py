"""Which server calls go to: the next where one fails, the leader where one that stands by names it."""

from __future__ import annotations

import pytest

from hippo_core.errors import InvalidStudy, Standby, Unavailable
from hippo_wire.route import Route, check_address, check_addresses

AWAY = Unavailable("no answer")


def route(servers: str, encrypted: bool = True) -> Route[str]:
    return Route(servers, encrypted, lambda address: f"channel to {address}")


def test_servers_that_fail_are_tried_in_turn() -> None:
    found = route("a:1,b:2, c:3")
    seen = []
    for _ in range(5):
        seen.append(found.channel)
        found.leave(found.at, AWAY)
    assert seen == [f"channel to {each}" for each in ("a:1", "b:2", "c:3", "a:1", "b:2")]
    assert sorted(found.channels) == ["channel to a:1", "channel to b:2", "channel to c:3"]


def test_one_server_is_stayed_with() -> None:
    found = route("a:1")
    found.leave("a:1", AWAY)
    assert found.at == "a:1"
    assert not found.has_others()


def test_a_failure_of_a_server_that_was_left_already_changes_nothing() -> None:
    """Two threads' calls fail at once: one of them moves on, and not both."""
    found = route("a:1,b:2,c:3")
    found.leave("a:1", AWAY)
    found.leave("a:1", AWAY)
    assert found.at == "b:2"


def test_who_is_told_of_another_server_goes_there_and_stays_where_it_is_the_same() -> None:
    found = route("a:1,b:2")
    found.leave("a:1", AWAY)
    found.move("a:1, b:2")
    assert found.at == "b:2"
    found.move("c:3")
    assert (found.channel, found.has_others()) == ("channel to c:3", False)
    with pytest.raises(InvalidStudy):
        found.move("nonsense")
    assert found.at == "c:3"


def test_a_standby_is_left_for_the_leader_that_it_names_known_or_not() -> None:
    found = route("a:1,b:2,c:3")
    found.leave("a:1", Standby("three", "c:3"))
    assert found.at == "c:3"
    found.leave("c:3", Standby("four", "d:4"))
    assert found.at == "d:4"
    assert found.has_others()
    found.leave("d:4", AWAY)  # and back to those that were given
    assert found.at == "a:1"


@pytest.mark.parametrize("named", ["", "a:1", "nonsense", "elsewhere:0"])
def test_a_standby_that_names_no_other_is_left_for_the_next(named: str) -> None:
    found = route("a:1,b:2")
    found.leave("a:1", Standby("one", named))
    assert found.at == "b:2"


def test_no_standby_sends_a_token_to_another_machine_in_clear_text() -> None:
    found = route("127.0.0.1:1,127.0.0.1:2", encrypted=False)
    found.leave("127.0.0.1:1", Standby("elsewhere", "10.0.0.1:7440"))
    assert found.at == "127.0.0.1:2"
    found.leave("127.0.0.1:2", Standby("here", "127.0.0.1:3"))
    assert found.at == "127.0.0.1:3"


@pytest.mark.parametrize("text", ["", "a:1,", ",a:1", "a:1;b:2", "a:1,b"])
def test_what_is_no_list_of_servers(text: str) -> None:
    with pytest.raises(InvalidStudy) as refused:
        check_addresses(text, encrypted=True)
    assert refused.value.field == "server"


@pytest.mark.parametrize("address", ["127.0.0.1:7440", "localhost:1", "[::1]:65535", "127.9.9.9:80"])
def test_addresses_of_this_machine(address: str) -> None:
    assert check_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        ":1",
        "localhost",
        "localhost:",
        "localhost:0",
        "localhost:65536",
        "localhost:x",
        "1:2:3",
        "http://localhost:1",
    ],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(InvalidStudy) as refused:
        check_address(address)
    assert refused.value.field == "server"
