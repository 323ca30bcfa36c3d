"""Options, environment variables and what is wrong with them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hippo_core.errors import InvalidStudy, NotAllowed
from hippo_worker import main
from hippo_worker.runner.settings import RunnerSettings
from hippo_worker.settings import (
    ComingServer,
    Endpoint,
    WorkerSettings,
    default_data_folder,
    default_name,
    parse_labels,
    parse_seconds,
    read_token,
)


def make(**changes: Any) -> WorkerSettings:
    values: dict[str, Any] = {
        "endpoint": Endpoint(server="127.0.0.1:7440", token="hippo_secret"),
        "name": "w",
        "slots": None,
        "labels": {},
        "data_folder": Path("/x"),
        "cache_bytes": 0,
    }
    return WorkerSettings(**{**values, **changes})


def test_labels() -> None:
    assert parse_labels("") == {}
    assert parse_labels("rack=7, owner=ml=team,") == {"rack": "7", "owner": "ml=team"}
    with pytest.raises(InvalidStudy, match="labels: 'rack'"):
        parse_labels("rack")


@pytest.mark.parametrize("name", ["", "a b", "-x", "x/y", "_x", "x" * 129])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(InvalidStudy, match=r"^name:"):
        make(name=name)


def test_the_hosts_name_is_a_workers_name() -> None:
    assert make(name=default_name()).name


@pytest.mark.parametrize("slots", [0, -1])
def test_too_few_slots(slots: int) -> None:
    with pytest.raises(InvalidStudy, match=r"^slots:"):
        make(slots=slots)


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.5, float("nan")])
def test_no_parts_of_a_gpus_memory(fraction: float) -> None:
    with pytest.raises(InvalidStudy, match=r"^gpu-memory-fraction: .* Give a number above 0, at most 1"):
        make(gpu_memory_fraction=fraction)


@pytest.mark.parametrize(
    ("slots_per_gpu", "given", "found"), [(1, None, None), (1, 0.5, 0.5), (2, None, 0.475), (4, 0.25, 0.25)]
)
def test_slots_that_share_a_gpu_have_equal_parts_of_its_memory(
    slots_per_gpu: int, given: float | None, found: float | None
) -> None:
    assert make(slots_per_gpu=slots_per_gpu, gpu_memory_fraction=given).memory_fraction == found


def test_more_than_a_gpus_memory_is_refused() -> None:
    with pytest.raises(InvalidStudy, match=r"2 slots on a GPU with 0\.6 of its memory each .* at most 0\.5"):
        make(slots_per_gpu=2, gpu_memory_fraction=0.6)


@pytest.mark.parametrize("count", [0, -1, 49])
def test_numbers_of_slots_that_do_not_share_a_gpu(count: int) -> None:
    with pytest.raises(InvalidStudy, match=r"^slots-per-gpu: .* Give 1 to 48"):
        make(slots_per_gpu=count)


def test_a_part_of_a_gpus_memory_reaches_the_runner(tmp_path: Path) -> None:
    told = RunnerSettings(slot=0, device="cuda", threads=1, folder=tmp_path, gpu_memory_fraction=0.5)
    assert RunnerSettings.from_plain(json.loads(json.dumps(told.to_plain()))) == told


def test_a_token_is_read_from_a_file_or_a_variable_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("hippo_from-file\n")
    assert read_token(file, {"HIPPO_TOKEN": "other"}) == "hippo_from-file"
    assert read_token(None, {"HIPPO_TOKEN": "hippo_variable"}) == "hippo_variable"
    assert "hippo_secret" not in repr(make())


def test_without_a_token_the_remedies_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotAllowed, match="--token-file"):
        read_token(None, {})
    with pytest.raises(NotAllowed, match="cannot be read"):
        read_token(tmp_path / "lacking", {})


def test_the_data_folder_lies_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIPPO_HOME", "/somewhere")
    assert default_data_folder() == Path("/somewhere/worker")


def test_a_server_that_is_being_started_is_waited_for(tmp_path: Path) -> None:
    file, token_file = tmp_path / "server.json", tmp_path / "worker.token"

    async def start() -> Endpoint:
        waiting = asyncio.create_task(ComingServer(file=file, token_file=token_file).ready())
        await asyncio.sleep(0)  # it has looked, and found nothing
        assert not waiting.done()
        token_file.write_text("hippo_late\n")  # made by the server, like its address
        (tmp_path / "draft").write_text(json.dumps({"grpc": "127.0.0.1:1234", "http": "", "pid": 1}))
        (tmp_path / "draft").replace(file)
        return await waiting

    assert asyncio.run(start()) == Endpoint(server="127.0.0.1:1234", token="hippo_late")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (
            ["--server", "foo"],
            2,
            "error[INVALID]: server: 'foo' is not host:port. Write e.g. 127.0.0.1:7440.",
        ),
        (["--server", "host.example:7440"], 2, "the token would travel in clear text"),
        (["--slots", "0"], 2, "error[INVALID]: slots: 0 is too few. Give at least 1."),
        (
            ["--slots", "99999"],
            2,
            "error[INVALID]: slots: 99999 is too many: each is a process of its own. Give at",
        ),
        (["--name", "../x"], 2, "error[INVALID]: name: must match [A-Za-z0-9]"),
        (["--cache", "much"], 2, "error[INVALID]: cache: 'much' is no number of bytes"),
        (["--labels", "rack"], 2, "error[INVALID]: labels: 'rack'"),
        (
            ["--token-file", "/nowhere/token"],
            4,
            "error[NOT_ALLOWED]: the token file /nowhere/token cannot be read",
        ),
    ],
)
def test_a_worker_that_cannot_begin_says_so_before_anything_is_started(
    arguments: list[str], code: int, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(main, "_work", lambda settings: pytest.fail("it began"))
    data = tmp_path / "data"
    done = CliRunner(env={"HIPPO_TOKEN": "hippo_x", "HIPPO_SERVER": "127.0.0.1:7440"}).invoke(
        main.cli, [*arguments, "--data-dir", str(data)]
    )
    assert (done.exit_code, data.exists()) == (code, False)
    assert words in done.stderr


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90.0), ("5m", 300.0), ("1.5h", 5400.0), (" 2h ", 7200.0)]
)
def test_times(text: str, seconds: float) -> None:
    assert parse_seconds(text, "exit-when-idle") == seconds


@pytest.mark.parametrize("text", ["", "5", "0m", "-5m", "5 m", "5d", "m"])
def test_what_is_no_time_is_said_with_what_to_write(text: str) -> None:
    with pytest.raises(InvalidStudy, match=r"exit-when-idle.*Write 90s, 5m or 2h"):
        parse_seconds(text, "exit-when-idle")
