"""``hippo project``, ``hippo user`` and ``hippo usage``, against a server that answers as it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from hippo_client.cli import account as account_commands
from hippo_client.cli import usage as usage_command
from hippo_client.cli.main import call
from tests.unit.cli.answers import Server


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> Server:
    fake = Server()

    @contextmanager
    def connect(**_: object) -> Iterator[Any]:
        yield SimpleNamespace(connection=SimpleNamespace(accounts=fake))

    for module in (account_commands, usage_command):
        monkeypatch.setattr(module, "connect", connect)
    return fake


def test_users_are_listed_with_what_they_have_and_may_have(
    accounts: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["user", "ls", "--project", "vision"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["USER", "WEIGHT", "SLOTS"]
    assert row.split()[:5] == ["ada", "2", "3", "of", "4"]
    assert "1 of 2" in row
    assert row.endswith("waits for its turn")
    assert accounts.requests[0].project == "vision"


def test_only_what_is_named_is_changed_and_none_takes_a_limit_away(
    accounts: Server, result: Callable[..., Any]
) -> None:
    arguments = ("--weight", "2", "--max-slots", "none", "--max-slot-hours", "1.5", "--max-studies", "3")
    assert result("user", "edit", "ada", *arguments)["max_slot_hours"] == 2.0
    (request,) = accounts.requests
    assert (request.user, request.project) == ("ada", "")
    assert json.loads(request.changes_json) == {
        "weight": 2.0,
        "max_slots": None,
        "max_slot_seconds": 5400.0,
        "max_studies": 3,
    }
    result("project", "edit", "vision", "--max-checkpoint-bytes", "1000")
    assert json.loads(accounts.requests[1].changes_json) == {"max_checkpoint_bytes": 1000}
    assert accounts.requests[1].project == "vision"


@pytest.mark.parametrize(
    "arguments",
    [
        ["user", "edit", "ada"],
        ["user", "edit", "ada", "--max-slots", "many"],
        ["user", "edit", "ada", "--max-checkpoint-bytes", "10"],
        ["project", "edit", "vision", "--max-slot-hours", "long"],
        ["usage", "--since", "yesterday"],
        ["usage", "--by", "nobody"],
    ],
)
def test_what_makes_no_sense_is_a_usage_error(accounts: Server, arguments: list[str]) -> None:
    assert call(arguments) == 2
    assert not accounts.requests


def test_projects_are_made_and_deleted(accounts: Server, result: Callable[..., Any]) -> None:
    assert result("project", "create", "vision")["weight"] == 2.0
    assert result("project", "delete", "vision") == {"deleted": "vision"}
    assert [each.project for each in accounts.requests] == ["vision", "vision"]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("project", [("audio", 0.25), ("vision", 13.75)]),
        ("user", [("ada", 0.25), ("ada", 11.5), ("bo", 2.25)]),
        ("study", [("first", 10.5), ("second (deleted)", 2.25), ("third", 1.0), ("first", 0.25)]),
    ],
)
def test_usage_is_summed_up_and_adds_up(
    accounts: Server, result: Callable[..., Any], by: str, expected: list[tuple[str, float]]
) -> None:
    found = result("usage", "--by", by)
    assert [(each[by], each["slot_seconds"]) for each in found["usage"]] == expected
    assert found["together"] == {"slot_seconds": 14.0, "gpu_seconds": 21.0, "seconds_saved": 5.0}
    assert sum(each["slot_seconds"] for each in found["usage"]) == 14.0


def test_usage_since_a_day_shows_a_table_without_what_was_saved(
    accounts: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["usage", "--since", "2026-01-31"]) == 0
    assert "SAVED" not in capsys.readouterr().out
    assert accounts.requests[0].since_time.ToJsonString() == "2026-01-31T00:00:00Z"
