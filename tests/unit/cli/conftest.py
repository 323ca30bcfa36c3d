"""The commands over a server whose answers are made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from hippo_client.cli import checkpoint as checkpoint_commands
from hippo_client.cli import edit as edit_command
from hippo_client.cli import export as export_command
from hippo_client.cli import failures, terminal
from hippo_client.cli import open as open_command
from hippo_client.cli import plot as plot_command
from hippo_client.cli import points as point_commands
from hippo_client.cli import steering as steering_commands
from hippo_client.cli import study as study_commands
from hippo_client.cli import study_import as import_command
from hippo_client.cli import trial as trial_commands
from hippo_client.cli import usage as usage_command
from hippo_client.cli import worker as worker_commands
from hippo_client.cli.main import call
from hippo_client.cli.output_schema import ERROR
from tests.unit.cli.answers import Server
from tests.unit.cli.every_command import Around, arrange, client_of
from tests.unit.cli.schemas import validator


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """Its answers; what else there is to call is left as it is."""
    fake = Server()

    @contextmanager
    def connect(**_: object) -> Iterator[Any]:
        yield client_of(fake)

    for module in (
        study_commands,
        steering_commands,
        point_commands,
        import_command,
        edit_command,
        export_command,
        plot_command,
        trial_commands,
        worker_commands,
        open_command,
        checkpoint_commands,
        usage_command,
    ):
        monkeypatch.setattr(module, "connect", connect)
    return fake


@pytest.fixture
def result(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """What a command prints with --json."""

    def run(*arguments: str) -> Any:
        assert call([*arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def text(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command prints for a person."""

    def run(*arguments: str) -> str:
        assert call(list(arguments)) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Around:
    """All that is around the commands, made by hand."""
    return arrange(monkeypatch, tmp_path, capsys)


@pytest.fixture(autouse=True)
def what_is_printed_as_json_is_as_its_schema_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test calls: no field more or less."""

    def dumps(value: Any, **options: Any) -> str:
        written = json.dumps(value, **options)
        command = click.get_current_context().command_path.partition(" ")[2]
        if command != "schema":
            validator(command).validate(json.loads(written))
        return written

    def dumps_error(error: Any) -> str:
        validator(ERROR).validate(error)
        return json.dumps(error)

    monkeypatch.setattr(terminal, "json", SimpleNamespace(dumps=dumps))
    monkeypatch.setattr(failures, "json", SimpleNamespace(dumps=dumps_error))
