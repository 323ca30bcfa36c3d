"""Trials of one's own: forks, points, and those of an optimiser outside."""

import numpy as np
import pytest

from hippo_client import asking, schedules
from hippo_client.asking import HELD_SECONDS
from hippo_client.errors import InvalidStudy
from hippo_wire.v1 import study_pb2


def test_a_fork_is_made_once_and_sends_schedules_as_json(run, service):
    service.lose = 1
    fork = run.fork(trial=1, at=12, hyperparameters={"lr": schedules.linear(0.1, 0.0, 4), "momentum": 0.8})
    assert (fork.number, fork.parent, fork.forked_at) == (3, 1, 12)
    assert fork.hyperparameters == {
        "lr": {"schedule": "linear", "initial": 0.1, "final": 0.0, "period": 4},
        "momentum": 0.8,
    }
    assert len(service.changes) == 1
    assert (run.trial(0).parent, run.trial(0).forked_at) == (None, None)


@pytest.mark.parametrize(("trial", "at"), [(-1, 0), (0, -1), (True, 0), (0, 1.5)])
def test_forking_at_what_is_no_step_is_refused(run, trial, at):
    with pytest.raises(InvalidStudy, match="must be an int of at least 0"):
        run.fork(trial=trial, at=at, hyperparameters={"lr": 0.1})


def test_a_point_is_enqueued_once_and_sends_what_numpy_holds_and_schedules_as_json(run, service):
    service.lose = 1
    point = {"lr": schedules.linear(0.1, 0.0, 4), "width": np.int64(32), "opt": {"betas": (0.9, 0.99)}}
    trial = run.enqueue(point)
    assert trial.number == 3
    assert trial.hyperparameters == {
        "lr": {"schedule": "linear", "initial": 0.1, "final": 0.0, "period": 4},
        "width": 32,
        "opt": {"betas": [0.9, 0.99]},
    }
    assert len(service.changes) == 1


@pytest.mark.parametrize("point", [None, [("lr", 0.1)], {"lr": object()}, {"lr": float("nan")}])
def test_enqueueing_what_is_no_point_is_refused(run, service, point):
    with pytest.raises(InvalidStudy, match="point"):
        run.enqueue(point)
    assert service.changes == []


def test_asking_goes_on_until_points_are_wanted_or_never_will_be(run, service):
    nothing, some, over = {}, {"asks": ["a", "b"]}, {"over": True}
    service.asks = [
        study_pb2.AskPointsResponse(**fields) for fields in (nothing, nothing, some, nothing, over)
    ]
    assert run.ask(3) == ["a", "b"]
    assert run.ask() == []
    assert [request.count for request in service.asked] == [3, 3, 3, 1, 1]
    assert len({request.request_id for request in service.asked}) == 5
    assert all(request.wait_seconds == HELD_SECONDS for request in service.asked)


def test_asking_without_waiting_is_one_call(run, service):
    service.asks = [study_pb2.AskPointsResponse()]
    assert run.ask(timeout=0) == []
    assert [request.wait_seconds for request in service.asked] == [0.0]


def test_telling_sends_the_ask_with_the_point(run, service):
    service.lose = 1
    assert run.tell("a", {"lr": 0.1}).number == 3
    assert [(change.ask, change.point_json) for change in service.changes] == [("a", '{"lr": 0.1}')]


def test_results_come_whole_however_many_there_are(run, service, monkeypatch):
    """1. Pages follow each other without waiting. 2. With the mark nothing comes twice."""
    monkeypatch.setattr(asking, "PAGE_SIZE", 2)
    trials, mark = run.results(timeout=30)
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert [request.wait_seconds for request in service.asked] == [pytest.approx(20.0), 0.0]
    assert run.results(since=mark) == ([], mark)
    service.studies["digits"].state = study_pb2.STUDY_STATE_COMPLETED
    assert run.results(since=mark, timeout=None) == ([], mark)
