"""``hippo program``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from hippo_client.cli import program as commands
from hippo_client.cli.main import call
from hippo_wire.v1 import study_pb2
from tests.unit.cli.answers import FIRST, KNOWN, SECOND


class Programs:
    """What a server made by hand answers, and what it was asked to forget."""

    def __init__(self) -> None:
        self.forgotten: list[Any] = []

    def ListPrograms(self, request: Any) -> Any:  # noqa: N802
        return study_pb2.ListProgramsResponse(programs=KNOWN)

    def ForgetProgram(self, request: Any) -> Any:  # noqa: N802
        self.forgotten.append(request)
        return study_pb2.ForgetProgramResponse(study_count=2)


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    fake = Programs()

    @contextmanager
    def connect(**_: object) -> Iterator[Any]:
        yield SimpleNamespace(connection=SimpleNamespace(studies=fake))

    monkeypatch.setattr(commands, "connect", connect)
    return fake


def test_ls_tells_what_there_is_of_each(
    programs: Programs, text: Callable[..., str], result: Callable[..., Any]
) -> None:
    assert text("program", "ls").splitlines() == [
        "PROGRAM       TRAINER         ENVIRONMENT            STUDIES        NODES  CHECKPOINTS     SIZE",
        "ab12ab12ab12  trainer:Digits  device cpu, torch 2.9  digits, wider     12            3  1.5 MiB",
        "abffabffabff  other:Trainer   not trained yet        new                0            0      0 B",
    ]
    assert result("program", "ls") == [
        {
            "program": FIRST,
            "trainer": "trainer:Digits",
            "environment": {"cuda": None, "device": "cpu", "torch": "2.9"},
            "studies": ["digits", "wider"],
            "open_studies": [],
            "nodes": 12,
            "checkpoints": 3,
            "bytes": 3 << 19,
        },
        {
            "program": SECOND,
            "trainer": "other:Trainer",
            "environment": None,
            "studies": ["new"],
            "open_studies": ["new"],
            "nodes": 0,
            "checkpoints": 0,
            "bytes": 0,
        },
    ]


def test_forget_takes_the_beginning_of_a_key(
    programs: Programs, text: Callable[..., str], result: Callable[..., Any]
) -> None:
    assert text("program", "forget", "ab12", "--yes") == "Forgot ab12ab12ab12 with 2 studies.\n"
    assert result("program", "forget", FIRST, "--yes") == {"program": FIRST, "studies_deleted": 2}
    assert [each.key for each in programs.forgotten] == [FIRST, FIRST]
    assert len({each.request_id for each in programs.forgotten}) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["ab12"], 2, "needs --yes where nobody can be asked"),
        (["ab", "--yes"], 6, "the keys of 2 programs begin with 'ab'"),
        (["ff", "--yes"], 5, "no study is of a program 'ff'"),
        (["", "--yes"], 5, "no study is of a program ''"),
    ],
)
def test_forget_refuses(
    programs: Programs, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    assert call(["program", "forget", *arguments]) == code
    assert words in capsys.readouterr().err
    assert programs.forgotten == []
