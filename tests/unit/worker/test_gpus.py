"""Which slot trains on which GPU, or on which part of one; and whether processes that share one do so at once."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hippo_worker.environment import Gpu, find_gpus, shared_out
from hippo_worker.slots import mps

TWO = [Gpu("3", "H100"), Gpu("5", "H100")]


@pytest.mark.parametrize(
    ("gpus", "slots", "per", "names", "cpus"),
    [
        (TWO, None, 1, ["3", "5"], 4),
        (TWO, None, 2, ["3", "5", "3", "5"], 2),
        (TWO, 3, 2, ["3", "5", "3"], 2),
        (TWO, 1, 2, ["3"], 8),
        (TWO, 3, 1, ["3", "5", ""], 2),
        ([], None, 2, [""] * 8, 1),
        ([], 2, 1, ["", ""], 4),
    ],
)
def test_each_gpu_gets_a_slot_before_any_gets_a_second(
    gpus: list[Gpu], slots: int | None, per: int, names: list[str], cpus: int
) -> None:
    specs, found = shared_out(gpus, slots, per, cores=8)
    assert list(found) == names
    assert [spec.device for spec in specs] == ["cuda" if name else "cpu" for name in names]
    assert [spec.gpus for spec in specs] == [int(bool(name)) for name in names]
    assert {spec.model for spec in specs if spec.gpus} <= {"H100"}
    assert {spec.cpus for spec in specs} == {cpus}


class Host:
    """A forkserver's answers: what CUDA sees, by what it is told to."""

    def __init__(self, models: dict[str | None, list[str]]) -> None:
        self.models = models

    async def devices(self, names: Sequence[str | None]) -> list[list[str]]:
        return [self.models[name] for name in names]


async def test_instances_of_a_divided_gpu_are_looked_at_one_by_one() -> None:
    """CUDA sees the first alone when it is told of all three, and nothing by the name of one that is not there."""
    host: Any = Host({"MIG-a": ["H100 MIG 1g.10gb"], "MIG-b": ["H100 MIG 2g.20gb"], "MIG-gone": []})
    found = await find_gpus(host, {"CUDA_VISIBLE_DEVICES": "MIG-a, MIG-gone,MIG-b"})
    assert found == [Gpu("MIG-a", "H100 MIG 1g.10gb"), Gpu("MIG-b", "H100 MIG 2g.20gb")]


async def test_a_gpu_of_which_a_process_gets_a_part_is_another_model(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "control")
    host: Any = Host({None: ["H100"]})
    variables = {mps.FOLDER: str(tmp_path), mps.THREADS: "50"}
    assert await find_gpus(host, variables) == [Gpu("0", "H100")], "without its daemon nothing is limited"
    with (tmp_path / "control").open("r+b", buffering=0):
        assert await find_gpus(host, variables) == [Gpu("0", "H100, 50 % of its threads")]
        assert await find_gpus(host, {**variables, mps.THREADS: "100"}) == [Gpu("0", "H100")]


def test_a_daemon_answers_where_its_pipe_is_read(tmp_path: Path) -> None:
    assert not mps.answers(tmp_path)
    os.mkfifo(tmp_path / "control")
    assert not mps.answers(tmp_path), "one that has died has left its pipe"
    with (tmp_path / "control").open("r+b", buffering=0):
        assert mps.answers(tmp_path)


def test_a_daemon_answers_where_its_socket_is_listened_to(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(str(tmp_path / "control"))
        assert not mps.answers(tmp_path)
        control.listen()
        assert mps.answers(tmp_path)


def test_its_folder_is_the_one_that_cuda_looks_in() -> None:
    assert mps.folder({}) == Path("/tmp/nvidia-mps")
    assert mps.folder({mps.FOLDER: "/run/mps"}) == Path("/run/mps")
