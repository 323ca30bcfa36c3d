"""An optimiser outside drives a study on a real server: asks, tells and results, over restarts and beside others."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import hippo_client as hippo
from hippo_client import policies, samplers, space
from hippo_client.errors import Conflict, InvalidStudy, NotAllowed, NotFound, Unavailable
from hippo_client.handles.study import StudyHandle
from hippo_wire.json_text import dump
from hippo_wire.v1 import study_pb2
from tests.integration.server.conftest import BUNDLE, RunningServer, upload
from tests.integration.server.worker import Worker, working
from tests.studies import study
from tests.waiting import until

SEARCHED = {"lr": space.loguniform(1e-4, 1.0), "momentum": space.uniform(0, 1)}
Start = Callable[..., RunningServer]


def submit(client: hippo.Client, **changes: Any) -> StudyHandle:
    made = {"sampler": samplers.outside(), "max_trials": 6, "max_steps": 2, "bundle": BUNDLE, **changes}
    upload(client.connection)
    client.connection.studies.SubmitStudy(
        study_pb2.SubmitStudyRequest(request_id="submit", spec_json=dump(study(SEARCHED, **made).to_json()))
    )
    return client.study("study")


def point(number: int) -> dict[str, Any]:
    return {"lr": 0.1, "momentum": number / 100}


@pytest.fixture
def train(server: RunningServer) -> Iterator[Callable[[int], None]]:
    """Starts a worker of so many slots, which trains whatever comes until the test ends."""
    ended, threads = threading.Event(), []

    def start(slots: int) -> None:
        worker = Worker(server.connect(server.token("worker")), slots=slots)

        def work() -> None:
            with working(worker) as stream:
                streams.append(stream)
                try:
                    worker.work(ended.is_set, stream)
                except Unavailable:  # cancelled
                    assert ended.is_set()

        threads.append(threading.Thread(target=work))
        threads[-1].start()

    streams: list[Any] = []
    yield start
    ended.set()
    for stream in streams:
        stream.cancel()
    for thread in threads:
        thread.join()


def test_asking_telling_and_learning_lead_to_the_end(
    client: hippo.Client, train: Callable[[int], None]
) -> None:
    """1. The loop of the documentation. 2. Each trial was learnt of once it had ended, and no more points are asked."""
    run = submit(client)
    train(2)
    mark, made, learnt = 0, 0, dict[int, float | None]()
    while asked := run.ask(2):
        assert len(asked) <= 2
        trials, mark = run.results(since=mark)
        learnt.update({trial.number: trial.metrics["accuracy"] for trial in trials})
        for ask in asked:
            trial = run.tell(ask, point(made))
            assert (trial.number, trial.hyperparameters) == (made, point(made))
            made += 1
    run.wait(progress=False, timeout=60)
    trials, last = run.results(since=mark, timeout=None)
    learnt.update({trial.number: trial.metrics["accuracy"] for trial in trials})
    assert learnt == dict.fromkeys(range(6), 0.2)
    assert run.results(since=last, timeout=None) == ([], last)
    assert [trial.state for trial in run.trials()] == ["completed"] * 6
    assert run.ask() == []
    with pytest.raises(Conflict, match="has all its 6 trials"):
        run.enqueue(point(9))


def test_parallel_askers_get_different_asks_and_no_more_than_slots(
    client: hippo.Client, train: Callable[[int], None]
) -> None:
    """1. Three idle slots. 2. Of five askers three get an ask. 3. Those told are trained, and the others get theirs."""
    run = submit(client)
    train(3)
    until(lambda: run.refresh().slots_total == 3, "the worker")
    with ThreadPoolExecutor(5) as pool:
        asked = [ask for asks in pool.map(lambda _: run.ask(timeout=0), range(5)) for ask in asks]
        assert len(asked) == len(set(asked)) == 3
        waiting = [pool.submit(run.ask) for _ in range(2)]
        for number, ask in enumerate(asked):
            run.tell(ask, point(number))
        asked += [ask for each in waiting for ask in each.result(timeout=60)]
    assert len(set(asked)) == 5


def test_an_ask_is_good_over_a_restart_and_answered_once(start_server: Start) -> None:
    """1. Asked of one server, told to the next. 2. Told twice: one trial; with another point: refused."""
    server = start_server()
    with hippo.Client(server.address, server.token("admin")) as client:
        run = submit(client)
        (ask,) = run.ask()
        assert run.ask(timeout=0) == []
        reason = run.reason
        assert reason.startswith("waits for a point from outside: run.ask() and run.tell(), or hippo study")
        assert " (since 20" in reason
    server.stop()
    server = start_server()
    with hippo.Client(server.address, server.token("admin")) as client:
        run = client.study("study")
        assert run.reason == reason
        with pytest.raises(InvalidStudy, match=r"point\['momentum'\]: 7 is not within 0\.0 and 1\.0"):
            run.tell(ask, {"lr": 0.1, "momentum": 7})
        assert run.trials() == []
        first = run.tell(ask, point(1))
        assert run.tell(ask, point(1)).number == first.number == 0
        with pytest.raises(Conflict, match="was answered with another point"):
            run.tell(ask, point(2))
        assert len(run.trials()) == 1
        assert run.reason == "no worker is there"


def test_who_waits_hears_of_the_end(client: hippo.Client) -> None:
    """1. Nothing is wanted any more of a study without a worker. 2. Those who wait for asks and results go home."""
    run = submit(client)
    run.tell(run.ask()[0], point(0))
    with ThreadPoolExecutor(2) as pool:
        asking, following = pool.submit(run.ask), pool.submit(run.results, 0, None)
        run.stop()
        assert asking.result(timeout=60) == []
        trials, _ = following.result(timeout=60)
        assert [(trial.number, trial.state) for trial in trials] == [(0, "stopped")]


def test_users_may_decide_how_far_each_trial_goes(client: hippo.Client, train: Callable[[int], None]) -> None:
    """1. Each trial is told, rests at its first step, and is extended or stopped. 2. Then the study is complete."""
    run = submit(client, policy=policies.manual(), max_trials=3)
    train(1)
    mark, decided = 0, set[int]()
    while run.state == "running":
        for ask in run.ask(3, timeout=0):
            run.tell(ask, point(len(run.trials())))
        trials, mark = run.results(since=mark, timeout=0.2)
        for trial in trials:
            if trial.state == "paused" and trial.number not in decided:
                assert trial.step == 1
                decided.add(trial.number)
                trial.stop() if trial.number == 1 else trial.extend(to=2)
    assert run.state == "completed"
    ends = [(trial.state, trial.step) for trial in run.trials()]
    assert ends == [("completed", 2), ("stopped", 1), ("completed", 2)]


def test_calls_that_make_no_sense_are_refused(server: RunningServer, client: hippo.Client) -> None:
    run = submit(client)
    for n in (0, 1001, True, 1.5):
        with pytest.raises(InvalidStudy, match="n: "):
            run.ask(n)  # type: ignore[arg-type]
    for timeout in (-1.0, math.nan, True):
        with pytest.raises(InvalidStudy, match="timeout: "):
            run.ask(timeout=timeout)
        with pytest.raises(InvalidStudy, match="timeout: "):
            run.results(timeout=timeout)
    with pytest.raises(InvalidStudy, match="since: "):
        run.results(since=-1)
    with pytest.raises(InvalidStudy, match="ask: "):
        run.tell("", point(0))
    studies = client.connection.studies
    for fields in ({"count": 0}, {"count": 1, "wait_seconds": 61.0}, {"count": 1, "wait_seconds": math.nan}):
        with pytest.raises(InvalidStudy):
            studies.AskPoints(study_pb2.AskPointsRequest(request_id="a", name="study", **fields))
    with pytest.raises(InvalidStudy, match="request_id"):
        studies.AskPoints(study_pb2.AskPointsRequest(name="study", count=1))
    with pytest.raises(NotFound):
        studies.AskPoints(study_pb2.AskPointsRequest(request_id="a", name="other", count=1))
    with hippo.Client(server.address, server.token("viewer")) as viewer:
        assert viewer.study("study").results() == ([], 0)
        with pytest.raises(NotAllowed):
            viewer.study("study").ask()


def test_a_study_with_a_sampler_asks_nobody(client: hippo.Client) -> None:
    run = submit(client, sampler=samplers.random())
    with pytest.raises(Conflict, match="are made by its sampler") as refused:
        run.ask()
    assert "run.enqueue" in refused.value.hint
