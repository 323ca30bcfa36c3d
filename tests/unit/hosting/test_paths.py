"""What a host tells of a path: steps, metrics, saves, offers, stops and failures."""

from __future__ import annotations

import gc
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hippo_core.engine.states import FailureClass
from hippo_storage.errors import StorageFull
from hippo_storage.state import read
from hippo_worker.hosting import host as host_module
from hippo_worker.hosting import loop, metrics, read_ahead, saving
from hippo_worker.hosting.compiler_caches import compiler_caches
from hippo_worker.hosting.failures import explain
from hippo_worker.hosting.host import PathHost
from hippo_worker.hosting.hosted import TrainerFailed
from hippo_worker.hosting.link import Failed, OfferSavePoint, Released, StopPath, Trained
from hippo_worker.hosting.order import PathOrder, StartFrom
from tests.unit.hosting.fresh_process import run_in_fresh_process
from tests.unit.hosting.memory_link import MemoryLink
from tests.unit.hosting.orders import Values, make_order, setup_of

CONSTANT: Values = [{"lr": 0.5}] * 12


@pytest.fixture
def host() -> Iterator[PathHost]:
    made = PathHost("cpu", 1)
    yield made
    made.close()


def order(spool: Path, trainer: str = "Plain", values: Values = CONSTANT, **changes: Any) -> PathOrder:
    stages = changes.pop("stages", [(1, 0, 3), (2, 3, 6)])
    return make_order(spool, f"scripted_trainers:{trainer}", values, stages, **changes)


def fail(host: PathHost, order: PathOrder, link: MemoryLink | None = None) -> Failed:
    result = host.run(order, link or MemoryLink())
    assert isinstance(result, Failed)
    return result


def test_steps_are_told_without_gaps_and_after_their_metrics(host: PathHost, tmp_path: Path) -> None:
    link = MemoryLink()
    assert host.run(order(tmp_path, evaluate_every=2), link) == Trained()
    host.finish_saves()
    assert link.evaluations() == {2: {"total": 3.0}, 4: {"total": 6.0}, 6: {"total": 9.0}}
    told = 0
    for entry in link.told:
        if entry[0] == "metrics":
            assert entry[2] > told
        elif entry[0] == "steps":
            assert entry[2] == told
            told = entry[3]
    assert told == 6
    kinds = [entry[0] for entry in link.told]
    assert kinds.index("written") > kinds.index("steps")
    assert link.of("stage") == [(1,), (2,)]
    assert {node for node, *_ in link.of("metrics")} == {1, 2}


def test_the_longer_a_path_takes_the_less_often_its_progress_is_told(
    host: PathHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on by 10 ms whenever it is read: once a step."""
    ticks = count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: next(ticks) / 100))
    link = MemoryLink()
    long = order(tmp_path, stages=[(1, 0, 1500)], evaluate_every=1500)
    assert host.run(long, link) == Trained()
    told = [stop - start for _, start, stop in link.of("steps")]
    assert 45 <= told[0] <= 50
    assert 90 <= max(told) <= 100
    assert told[:6] == sorted(told[:6])


@pytest.mark.parametrize("watched", [True, False])
def test_evaluations_that_nothing_is_decided_by_are_told_with_the_progress(
    watched: bool, host: PathHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on by 10 ms whenever it is read: several times a step."""
    ticks = count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: next(ticks) / 100))
    link = MemoryLink()
    made = order(tmp_path, stages=[(1, 0, 300)], evaluate_every=1)
    assert host.run(replace(made, watched=watched), link) == Trained()
    assert list(link.evaluations()) == list(range(1, 301))
    told = [stop - start for _, start, stop in link.of("steps")]
    if watched:
        assert max(told) <= 2
    else:
        assert told[0] >= 4
        assert max(told) >= 15


def test_many_evaluations_are_told_whatever_the_time(
    host: PathHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: 0.0))
    monkeypatch.setattr(metrics, "MOST_RECORDS", 100)
    link = MemoryLink()
    monkeypatch.setattr(loop, "FLUSH_SECONDS", 0.0)
    short = replace(order(tmp_path, stages=[(1, 0, 250)], evaluate_every=1), watched=False)
    assert host.run(short, link) == Trained()
    assert [stop for _, _, stop in link.of("steps")] == [100, 200, 250]


def test_many_metrics_of_steps_are_told_whatever_the_time(
    host: PathHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: 0.0))
    link = MemoryLink()
    short = order(tmp_path, "Telling", stages=[(1, 0, 2500)], evaluate_every=2500)
    assert host.run(short, link) == Trained()
    assert [stop for _, _, stop in link.of("steps")] == [1000, 2000, 2500]
    assert [step for _, step, *_ in link.of("metrics")] == list(range(1, 2501))


def test_a_state_belongs_to_the_node_that_trained_the_step_before(host: PathHost, tmp_path: Path) -> None:
    link = MemoryLink()
    host.run(order(tmp_path, save_points=[(1, 3), (2, 4)]), link)
    host.finish_saves()
    assert [entry[:2] for entry in link.of("written")] == [(1, 3), (2, 4), (2, 6)]
    assert host.holds() is not None
    assert host.holds()[:2] == (2, 6)
    state = read(link.folder(1, 3))
    assert torch.equal(state["trainer"]["values"]["total"][2], torch.full((3,), 1.5))


def test_checkpoint_every_saves_its_multiples_and_the_end(host: PathHost, tmp_path: Path) -> None:
    link = MemoryLink()
    host.run(order(tmp_path, stages=[(1, 0, 8)], checkpoint_every=3), link)
    host.finish_saves()
    assert [step for _, step, _ in link.of("written")] == [3, 6, 8]


def test_by_default_saves_come_as_often_as_their_cost_allows() -> None:
    saver = saving.Saver()
    cadence = saving.Cadence(None, counts_writing=True, now=100.0)
    assert not cadence.is_due(1, 109.9, saver)
    assert cadence.is_due(1, 110.0, saver)
    saver.write_seconds = 0.5
    cadence.saved(110.0, 0.25, saver)
    assert not cadence.is_due(2, 184.9, saver)
    assert cadence.is_due(2, 185.0, saver)
    saver.write_seconds = 100.0
    cadence.saved(200.0, 1.0, saver)
    assert not cadence.is_due(3, 799.9, saver)
    assert cadence.is_due(3, 800.0, saver)
    saver.write_seconds = 0.0
    cadence.saved(800.0, 0.0, saver)
    assert not cadence.is_due(4, 804.9, saver)
    assert cadence.is_due(4, 805.0, saver)


def test_writing_does_not_count_where_training_uses_another_device() -> None:
    saver = saving.Saver()
    saver.write_seconds = 5.0
    cadence = saving.Cadence(None, counts_writing=False, now=0.0)
    cadence.saved(0.0, 0.1, saver)
    assert cadence.is_due(1, 10.0, saver)


def test_an_offer_ahead_will_be_saved_and_one_behind_was_passed(host: PathHost, tmp_path: Path) -> None:
    link = MemoryLink()
    offers = [(1, 1), (1, 3), (2, 3), (2, 5), (2, 6), (3, 5), (2, 7)]

    def instruct(entry: tuple[Any, ...]) -> None:
        # The first save tells that the trainer is at step 2, at a boundary.
        if entry[0] == "steps" and entry[3] == 2:
            link.instruct(*[OfferSavePoint(node=node, step=step) for node, step in offers])

    link.on_told = instruct
    assert host.run(order(tmp_path, save_points=[(1, 2)]), link) == Trained()
    host.finish_saves()
    answers = {(node, step): will for node, step, will in link.of("answered")}
    assert answers == {
        (1, 1): False, (1, 3): True, (2, 3): False, (2, 5): True, (2, 6): True, (3, 5): False, (2, 7): False,
    }  # fmt: skip
    assert [entry[:2] for entry in link.of("written")] == [(1, 2), (1, 3), (2, 5), (2, 6)]


def test_an_offer_of_the_present_state_is_saved_at_once(host: PathHost, tmp_path: Path) -> None:
    link = MemoryLink()
    link.on_told = lambda entry: (
        link.instruct(OfferSavePoint(node=1, step=2))
        if entry[0] == "metrics" and entry[2] == 2 and not link.of("answered")
        else None
    )
    host.run(order(tmp_path, stages=[(1, 0, 3)], save_points=[(1, 2)]), link)
    host.finish_saves()
    assert link.of("answered") == [(1, 2, True)]
    assert [entry[:2] for entry in link.of("written")] == [(1, 2), (1, 3)]


@pytest.mark.parametrize("save", [True, False])
def test_a_stop_releases_the_path_at_the_next_step(save: bool, host: PathHost, tmp_path: Path) -> None:
    link = MemoryLink()
    link.on_told = lambda entry: (
        link.instruct(StopPath(save=save, reason="drained")) if entry[:1] == ("steps",) else None
    )
    result = host.run(order(tmp_path, save_points=[(1, 2)]), link)
    assert result == Released(reason="drained")
    host.finish_saves()
    assert [entry[:2] for entry in link.of("written")] == [(1, 2)]
    assert link.of("steps")[-1] == (1, 0, 2)
    held = host.holds()
    assert held is not None
    assert held[:2] == (1, 2)
    link.on_told = lambda entry: None
    rest = order(tmp_path, stages=[(1, 2, 3), (2, 3, 6)], start=StartFrom(node=1, step=2, fence=1))
    assert host.run(rest, link) == Trained()
    assert link.evaluations()[6] == {"total": 9.0}


def test_a_stop_that_saves_saves_where_nothing_was_to_be_saved(host: PathHost, tmp_path: Path) -> None:
    link = MemoryLink()
    values: Values = [{"lr": 0.5}] * 400
    link.on_told = lambda entry: (
        link.instruct(StopPath(save=True, reason="drained")) if entry[:1] == ("steps",) else None
    )
    result = host.run(order(tmp_path, values=values, stages=[(1, 0, 400)], options={"sleep": 0.01}), link)
    assert result == Released(reason="drained")
    host.finish_saves()
    ((_, step, _),) = link.of("written")
    assert link.of("steps")[-1][2] == step
    assert 0 < step < 400


def test_a_stop_before_the_first_step_trains_nothing(host: PathHost, tmp_path: Path) -> None:
    link = MemoryLink()
    link.instruct(StopPath(save=True, reason="drained"))
    assert host.run(order(tmp_path), link) == Released(reason="drained")
    assert link.of("steps") == link.of("written") == []


def test_the_state_lost_from_memory_is_no_fault_of_the_trainer(host: PathHost, tmp_path: Path) -> None:
    start = StartFrom(node=1, step=3, fence=1)
    found = fail(host, order(tmp_path, stages=[(2, 3, 6)], start=start))
    assert found.failure is FailureClass.INFRASTRUCTURE
    assert "no longer in memory" in found.message


def test_a_checkpoint_that_cannot_be_read_is_no_fault_of_the_trainer(host: PathHost, tmp_path: Path) -> None:
    (tmp_path / "state.msgpack").write_bytes(b"rubbish")
    start = StartFrom(node=1, step=3, fence=1, folder=tmp_path)
    found = fail(host, order(tmp_path, stages=[(2, 3, 6)], start=start))
    assert found.failure is FailureClass.INFRASTRUCTURE
    assert "cannot be read" in found.message


def test_a_full_disk_fails_the_save_and_not_the_training(
    host: PathHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. The first save finds the disk full and leaves nothing. 2. Training goes on. 3. The next save succeeds."""
    write = saving.write
    full = iter([True])

    def failing(captured: Any, folder: Path) -> int:
        if next(full, False):
            folder.mkdir(parents=True)
            (folder / "half").write_bytes(b"x")
            raise StorageFull("No space left on device")
        return write(captured, folder)

    monkeypatch.setattr(saving, "write", failing)
    link = MemoryLink()
    assert host.run(order(tmp_path, save_points=[(1, 2)]), link) == Trained()
    host.finish_saves()
    ((node, step, reason, full),) = link.of("save_failed")
    assert (node, step, full) == (1, 2, True)
    assert "No space left" in reason
    assert [entry[:2] for entry in link.of("written")] == [(2, 6)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [link.folder(2, 6).name]


def test_what_the_link_raises_in_the_writer_is_raised_where_one_waits(host: PathHost, tmp_path: Path) -> None:
    link = MemoryLink()

    def refuse(entry: tuple[Any, ...]) -> None:
        if entry[0] == "written":
            raise BrokenPipeError("the daemon has gone")

    link.on_told = refuse
    host.run(order(tmp_path), link)
    with pytest.raises(BrokenPipeError, match="the daemon has gone"):
        host.finish_saves()


def test_a_trainer_is_not_used_again_after_the_link_raised(host: PathHost, tmp_path: Path) -> None:
    """Nobody knows which state it is in: a path that goes on in memory would train some steps twice."""
    link = MemoryLink()

    def refuse(entry: tuple[Any, ...]) -> None:
        if entry[0] == "steps":
            raise BrokenPipeError("the daemon has gone")

    host.run(order(tmp_path, stages=[(1, 0, 3)]), MemoryLink())
    link.on_told = refuse
    start = StartFrom(node=1, step=3, fence=1)
    with pytest.raises(BrokenPipeError):
        host.run(order(tmp_path, stages=[(2, 3, 6)], start=start), link)
    assert host.holds() is None


def test_threads_that_training_sets_are_refused(host: PathHost, tmp_path: Path) -> None:
    found = fail(host, order(tmp_path, "SettingThreads"))
    assert found.failure is FailureClass.INVALID
    assert "Resources(cpus=2)" in found.message


def test_a_host_serves_one_program(host: PathHost, tmp_path: Path) -> None:
    host.run(order(tmp_path), MemoryLink())
    with pytest.raises(ValueError, match="never mixes"):
        host.run(order(tmp_path, options={"other": 1}), MemoryLink())


FAILURES = {
    "value": (FailureClass.USER, "ValueError: the batch is empty in scripted_trainers.py:"),
    "memory": (FailureClass.MEMORY, "lower the batch size"),
    "exit": (FailureClass.USER, "the trainer called sys.exit(3)"),
    "import": (
        FailureClass.INVALID,
        "ModuleNotFoundError: a_module_that_nobody_has in scripted_trainers.py:",
    ),
    "deterministic": (FailureClass.INVALID, "Study(deterministic=False)"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_an_error_is_told_with_its_class_place_and_step(kind: str, host: PathHost, tmp_path: Path) -> None:
    link = MemoryLink()
    found = fail(host, order(tmp_path, "Raising", options={"at": 4, "kind": kind}), link)
    failure, words = FAILURES[kind]
    assert (found.failure, found.node, found.step) == (failure, 2, 4)
    assert words in found.message
    assert "\n" not in found.message
    assert link.evaluations().keys() == {1, 2, 3, 4}
    assert link.of("steps")[-1] == (2, 3, 4)
    assert host.holds() is None


def test_what_fails_on_the_device_after_the_step_is_the_trainers(host: PathHost, tmp_path: Path) -> None:
    found = fail(host, order(tmp_path, "LateFailing", stages=[(1, 0, 3)]))
    assert (found.failure, found.node, found.step) == (FailureClass.USER, 1, 2)
    assert "meta tensors" in found.message
    assert host.usable


def test_no_path_is_trained_where_the_device_has_failed(
    host: PathHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "is_broken", lambda device: True)
    fail(host, order(tmp_path, "Raising", options={"at": 4, "kind": "value"}))
    assert not host.usable


def test_a_trainer_that_failed_is_gone_when_memory_is_given_back(
    host: PathHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What still held it when garbage is collected would keep its tensors on a device."""
    alive: list[int] = []

    def collect() -> int:
        found = gc_collect()
        alive.append(sum(type(each).__name__ == "Raising" for each in gc.get_objects()))
        return found

    gc_collect = gc.collect
    monkeypatch.setattr(gc, "collect", collect)
    fail(host, order(tmp_path, "Raising", options={"at": 4, "kind": "memory"}))
    assert alive[-1] == 0


def test_a_state_that_finds_no_room_on_the_device_is_as_a_trainer_too_large(
    host: PathHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = MemoryLink()
    host.run(order(tmp_path, stages=[(1, 0, 3)]), link)
    host.finish_saves()

    def full(folder: Path, device: str, memory: object) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(read_ahead, "read", full)
    fresh = PathHost("cpu", 1)
    start = StartFrom(node=1, step=3, fence=1, folder=link.folder(1, 3))
    found = fail(fresh, order(tmp_path, stages=[(2, 3, 6)], start=start))
    fresh.close()
    assert (found.failure, found.step) == (FailureClass.MEMORY, 3)
    assert "lower the batch size" in found.message


def test_a_worker_that_allows_a_part_of_the_gpu_is_named_where_more_is_asked_for(tmp_path: Path) -> None:
    said = "CUDA out of memory. Tried to allocate 20 GiB. GPU 0 has a total capacity of 79 GiB. "
    capped = explain(
        torch.OutOfMemoryError(said + "19 GiB allowed; Of the allocated memory 1 GiB is used"), tmp_path
    )
    full = explain(torch.OutOfMemoryError(said + "Of the allocated memory 1 GiB is used"), tmp_path)
    assert capped.failure is full.failure is FailureClass.MEMORY
    assert capped.message.endswith("by the worker's --slots-per-gpu or --gpu-memory-fraction")
    assert full.message.endswith("or give the worker fewer slots")


def test_a_trace_has_the_users_frames_first_and_its_cause(host: PathHost, tmp_path: Path) -> None:
    found = fail(host, order(tmp_path, "Raising", options={"at": 0, "kind": "value"}))
    lines = found.traceback.splitlines()
    assert lines[0] == "ValueError: the batch is empty."
    assert lines[1].startswith("  scripted_trainers.py:")
    assert lines[1].endswith("in train")
    caused = lines.index("caused by")
    assert lines[caused + 1] == "KeyError: 'label'"
    assert lines[caused + 2].endswith("in deeper")


@pytest.mark.parametrize("where", ["evaluate", "save"])
@pytest.mark.parametrize(
    ("stages", "node"),
    [([(1, 0, 3), (2, 3, 6)], 1), ([(1, 0, 2), (2, 2, 6)], 2)],
    ids=["stage-end", "inside"],
)
def test_a_state_that_fails_is_told_by_the_step_that_led_to_it(
    where: str, stages: list[tuple[int, int, int]], node: int, host: PathHost, tmp_path: Path
) -> None:
    options = {"where": where}
    made = order(tmp_path, "FailingAfterwards", stages=stages, save_points=[(node, 3)], options=options)
    found = fail(host, made)
    assert (found.failure, found.node, found.step) == (FailureClass.USER, node, 2)


def test_between_two_stages_the_state_is_still_that_of_the_first(host: PathHost, tmp_path: Path) -> None:
    link = MemoryLink()
    link.on_told = lambda entry: (
        link.instruct(StopPath(save=True, reason="drained")) if entry == ("stage", 2) else None
    )
    assert host.run(order(tmp_path), link) == Released(reason="drained")
    host.finish_saves()
    assert [entry[:2] for entry in link.of("written")] == [(1, 3)]
    held = host.holds()
    assert held is not None
    assert held[:2] == (1, 3)


def test_a_failed_trainer_is_not_used_again(host: PathHost, tmp_path: Path) -> None:
    options = {"at": 4, "kind": "value"}
    fail(host, order(tmp_path, "Raising", options=options))
    link = MemoryLink()
    assert host.run(order(tmp_path, "Raising", options=options, stages=[(1, 0, 4)]), link) == Trained()
    assert link.evaluations()[4] == {"total": 6.0}


INVALID = {
    "Missing": "scripted_trainers has no Missing. Trainers in it:",
    "not_a_class": "is a function, not a class",
    "NoTrainer": "class NoTrainer(hippo.Trainer)",
    "LacksEvaluate": "lacks the method evaluate",
    "WrongSignature": "def train(self, step)",
    "NeedsArguments": "Move what __init__ needs to setup",
}


@pytest.mark.parametrize("name", INVALID)
def test_a_class_that_is_no_trainer_is_refused_before_training(
    name: str, host: PathHost, tmp_path: Path
) -> None:
    found = fail(host, order(tmp_path, name))
    assert found.failure is FailureClass.PROGRAM
    assert INVALID[name] in found.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import timm\n", "ModuleNotFoundError: timm in import_{n}.py:1. Install it on the workers"),
        ("def broken(:\n", "SyntaxError: invalid syntax in import_{n}.py:1"),
        ("from torch import nothing_of_the_kind\n", "ImportError: cannot import name"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_with_file_and_line(
    text: str, words: str, host: PathHost, tmp_path: Path
) -> None:
    number = len(text)
    (tmp_path / f"import_{number}.py").write_text(text)
    made = make_order(tmp_path, f"import_{number}:Trainer", CONSTANT, [(1, 0, 1)], code=tmp_path)
    found = fail(host, made)
    assert found.failure is FailureClass.PROGRAM
    assert words.format(n=number) in found.message


def test_a_trainer_outside_the_bundle_is_refused(host: PathHost, tmp_path: Path) -> None:
    found = fail(host, make_order(tmp_path, "statistics:Trainer", CONSTANT, [(1, 0, 1)]))
    assert found.failure is FailureClass.PROGRAM
    assert "not a file of the study's folder" in found.message


def test_modules_from_elsewhere_are_refused_with_file_and_remedy(host: PathHost, tmp_path: Path) -> None:
    (tmp_path / "elsewhere_module.py").write_text("VALUE = 1\n")
    options = {"folder": str(tmp_path), "module": "elsewhere_module"}
    found = fail(host, order(tmp_path, "ForeignImport", options=options))
    assert found.failure is FailureClass.INVALID
    assert str(tmp_path / "elsewhere_module.py") in found.message
    assert f'Study(code=["{tmp_path}"])' in found.message


def test_modules_of_a_distribution_on_the_path_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``pip install --target`` leaves them."""
    site = tmp_path / "site"
    about = site / "elsewhere-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (about / "INSTALLER").write_text("pip\n")
    (site / "elsewhere_module.py").write_text("VALUE = 1\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    options = {"folder": str(site), "module": "elsewhere_module"}
    (told,) = run_in_fresh_process([order(tmp_path, "ForeignImport", options=options)])
    assert told[-1][1] == "Trained", told[-1]


@pytest.mark.parametrize("variable", ["TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TRITON_HOME"])
def test_what_a_compiler_made_is_known_by_what_it_was_made_of(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inductor and Triton import modules that they have just written into their caches."""
    name = f"made_for_{variable.lower()}"
    folder = tmp_path / ".triton" / "cache" / "hash"
    folder.mkdir(parents=True)
    (folder / f"{name}.py").write_text("VALUE = 1\n")
    options = {"folder": str(folder), "module": name}
    monkeypatch.setenv(variable, str(tmp_path))
    (told,) = run_in_fresh_process([order(tmp_path, "ForeignImport", options=options)])
    assert told[-1][1] == "Trained", told[-1]


def test_an_account_without_a_home_has_no_compiler_s_cache_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for variable in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TRITON_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert compiler_caches() == ()


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("c++") is None, reason="Inductor needs a C++ compiler")
def test_a_network_that_inductor_compiles_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    rates: Values = [{"lr": 0.1}, {"lr": 0.1}]
    options = {"backend": "inductor"}
    made = make_order(tmp_path, "captured_trainers:Addressed", rates, [(1, 0, 2)], options=options)
    (told,) = run_in_fresh_process([made], timeout_seconds=600)
    assert told[-1][1] == "Trained", told[-1]
    assert [*tmp_path.glob("inductor/**/*.so")]


def test_an_error_in_setup_is_the_users(host: PathHost, tmp_path: Path) -> None:
    found = fail(host, order(tmp_path, "FailingSetup"))
    assert (found.failure, found.node, found.step) == (FailureClass.USER, 1, 0)
    assert "RuntimeError: no data here in scripted_trainers.py:" in found.message


RETURNED = {
    ("text", False): "evaluate() returned a str for the metric 'score'",
    ("vector", False): "evaluate() returned a Tensor of shape (4,) for the metric 'score'",
    ("none", False): "evaluate() returned nothing for the metric 'score'",
    ("number", True): "evaluate() returned a float. Return a dict of metrics",
    ("none", True): "evaluate() returned nothing. Return a dict of metrics",
}


@pytest.mark.parametrize(("value", "bare"), RETURNED)
def test_what_is_no_metric_is_refused_where_it_is_returned(
    value: str, bare: bool, host: PathHost, tmp_path: Path
) -> None:
    found = fail(host, order(tmp_path, "Returning", options={"value": value, "bare": bare}))
    assert (found.failure, found.step) == (FailureClass.INVALID, 0)
    assert RETURNED[value, bare] in found.message


def test_a_number_that_train_returns_is_no_metric(host: PathHost, tmp_path: Path) -> None:
    found = fail(host, order(tmp_path, "TrainReturning"))
    assert "train() returned a float. Return a dict of metrics, name to number, or nothing." in found.message


def test_state_that_cannot_be_saved_fails_the_path_and_names_it(host: PathHost, tmp_path: Path) -> None:
    found = fail(host, order(tmp_path, "Unsavable"))
    assert found.failure is FailureClass.INVALID
    assert "callback: A function was put here" in found.message


def test_a_change_that_apply_never_reads_is_refused_at_the_change(host: PathHost, tmp_path: Path) -> None:
    values: Values = [*[{"lr": 0.5}] * 3, *[{"lr": 0.1}] * 3]
    link = MemoryLink()
    found = fail(host, order(tmp_path, "UnreadChange", values), link)
    assert (found.failure, found.node, found.step) == (FailureClass.INVALID, 2, 3)
    assert "lr changes by step 3, but apply() never reads it" in found.message
    assert "Read hp['lr'] in apply(), or keep lr constant." in found.message


def test_a_trainer_is_warm_only_where_setup_would_have_seen_the_same(host: PathHost, tmp_path: Path) -> None:
    """1. Set up with width 4. 2. A start from a checkpoint of another lr: warm. 3. Of another width: set up anew.
    4. Of the same value of another type: set up anew."""
    base: Values = [{"lr": 0.5, "width": 4}] * 12
    link = MemoryLink()
    host.run(order(tmp_path, "Counting", base, stages=[(1, 0, 3)]), link)
    host.finish_saves()
    import scripted_trainers

    before = scripted_trainers.Counting.setups
    start = StartFrom(node=1, step=3, fence=1, folder=link.folder(1, 3))
    for changes, setups in (({"lr": 0.1}, 0), ({"width": 8}, 1), ({"width": 8.0}, 2)):
        values = [{**each, **changes} for each in base]
        assert (
            host.run(order(tmp_path, "Counting", values, stages=[(2, 3, 6)], start=start), link) == Trained()
        )
        assert scripted_trainers.Counting.setups - before == setups


def test_a_trainer_made_before_serves_where_setup_would_have_seen_the_same(tmp_path: Path) -> None:
    """1. One is made with width 4. 2. A path of another width has its own. 3. In another host one is made, and serves a
    path of another value that nobody ever reads: it does not count as a change."""
    import scripted_trainers

    values: Values = [{"lr": 0.5, "width": 4, "tag": 1}] * 12
    wide, tagged = ([{**each, **changes} for each in values] for changes in ({"width": 8}, {"tag": 2}))
    before = scripted_trainers.Counting.setups
    for path, setups in ((wide, 2), (tagged, 3)):
        host = PathHost("cpu", 1)
        host.make_ready(setup_of(order(tmp_path, "Counting", values)))
        assert host.run(order(tmp_path, "Counting", path), MemoryLink()) == Trained()
        host.close()
        assert scripted_trainers.Counting.setups - before == setups


def test_a_trainer_that_cannot_be_made_before_is_as_if_nobody_had_tried(
    host: PathHost, tmp_path: Path
) -> None:
    failing = order(tmp_path, "FailingSetup")
    with pytest.raises(TrainerFailed, match="no data here"):
        host.make_ready(setup_of(failing))
    assert host.holds() is None
    assert "no data here" in fail(host, failing).message


def test_metrics_that_are_not_finite_are_told_as_they_are(host: PathHost, tmp_path: Path) -> None:
    values: Values = [{"lr": math.inf}] * 12
    link = MemoryLink()
    assert host.run(order(tmp_path, values=values, stages=[(1, 0, 1)]), link) == Trained()
    assert link.evaluations() == {1: {"total": math.inf}}


def test_orders_survive_the_wire(tmp_path: Path) -> None:
    start = StartFrom(node=1, step=3, fence=9, folder=tmp_path)
    made = order(tmp_path, stages=[(2, 3, 6)], start=start, save_points=[(2, 5)], checkpoint_every=4)
    assert PathOrder.from_plain(made.to_plain()) == made


@pytest.mark.parametrize("stages", [[], [(1, 0, 0)], [(1, 1, 2)], [(1, 0, 2), (2, 3, 4)]])
def test_stages_with_gaps_are_no_path(stages: list[tuple[int, int, int]], tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        order(tmp_path, stages=stages)
