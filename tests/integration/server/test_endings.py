"""Endings on a server: totals over restarts, terminators in their processes, and what goes wrong with them."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hippo_core import endings, samplers, space
from hippo_core.engine import events as ev
from hippo_core.study import StudySpec
from hippo_server.proposals.processes import Proposers
from hippo_server.settings import Settings
from hippo_wire.connection import Connection
from hippo_wire.json_text import dump
from hippo_wire.v1 import study_pb2
from tests.integration.server.conftest import BUNDLE, RunningServer, upload
from tests.integration.server.worker import Worker, working
from tests.studies import study as make_study
from tests.waiting import until

BAD_CHILD = (sys.executable, str(Path(__file__).parents[1] / "proposals" / "bad_child.py"))
ROOT = Path(__file__).parents[3]
Start = Callable[..., RunningServer]


def spec(*given: endings.Ending, **changes: Any) -> StudySpec:
    searched = {"lr": space.loguniform(1e-4, 1.0)}
    made = {
        "sampler": samplers.random(),
        "max_trials": 12,
        "max_steps": 3,
        "bundle": BUNDLE,
        "endings": given,
    }
    return make_study(searched, **{**made, **changes})


def submit(
    client: Connection, study_spec: StudySpec, request_id: str = "one"
) -> study_pb2.SubmitStudyResponse:
    request = study_pb2.SubmitStudyRequest(request_id=request_id, spec_json=dump(study_spec.to_json()))
    return client.studies.SubmitStudy(request)


def study(client: Connection) -> study_pb2.Study:
    return client.studies.GetStudy(study_pb2.GetStudyRequest(name="study")).study


def ended(client: Connection) -> Callable[[], bool]:
    return lambda: study(client).state == study_pb2.STUDY_STATE_COMPLETED


def ran(server: RunningServer) -> float:
    """How long the study has run, as far as it is written."""
    journal = [entry.event for entry in server.store.journal()]
    return sum(event.seconds for event in journal if isinstance(event, ev.StudyRan))


def test_a_timeout_counts_over_a_restart_of_the_server(start_server: Start) -> None:
    """1. A study runs for a while. 2. The server is stopped and started. 3. It ends when it has run for so long."""
    limit = 8.0
    server = start_server()
    client = server.connect()
    upload(client)
    submitted = time.monotonic()
    submit(client, spec(endings.timeout(seconds=limit)))
    began = study(client)
    until(lambda: server.server.driver.current().engine.next_timeout() is not None, "the timeout")
    first = server.store
    server.stop()
    server = start_server()
    client = server.connect()
    before = ran(server)
    assert 0.0 < before < limit
    assert study(client).state == began.state == study_pb2.STUDY_STATE_RUNNING
    until(lambda: study(client).state == study_pb2.STUDY_STATE_FAILED, "the timeout")
    assert first is not server.store
    assert study(client).ending == "timeout"
    # The tick may come late.
    told = re.fullmatch(
        r"timeout: ran (\d+(\.\d+)?) s of 8 s, and no trial has a value", study(client).reason
    )
    assert told is not None
    assert float(told[1]) >= limit
    assert limit <= ran(server) <= time.monotonic() - submitted


def test_a_target_ends_a_study_and_a_raised_one_takes_it_up(
    server: RunningServer, client: Connection
) -> None:
    """A scripted worker reports an accuracy of a tenth of the step."""
    submit(client, spec(endings.target(0.2)))
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        worker.work(ended(client), stream)
        found = study(client)
        assert found.reason == "target 0.2 reached: trial 0 has accuracy 0.2 at step 2"
        assert (found.best_trial.number, found.best_trial.step) == (0, 2)
        assert dict(found.trial_counts) == {"completed": 1, "stopped": 11}
        before = ran(server)
        again = submit(client, spec(endings.target(0.9)), "two")
        assert again.outcome == study_pb2.SUBMIT_OUTCOME_EXTENDED
        assert list(again.study.endings) == ["target: accuracy 0.9"]
        worker.work(ended(client), stream)
    assert dict(study(client).trial_counts) == {"completed": 12}
    assert study(client).ending == ""
    assert ran(server) > before


def test_a_terminator_ends_a_study(server: RunningServer, client: Connection) -> None:
    """All trials come to the same value: after a patience of two more that is not better the study ends.

    It is judged while others train on, so that it may be some more.
    """
    terminator = endings.terminator("best_value_stagnation", min_trials=2, patience=2)
    submit(client, spec(terminator, max_trials=300))
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        worker.work(ended(client), stream)
    found = study(client)
    assert found.ending == "terminator"
    words = r"terminator best_value_stagnation: no improvement in (\d+) completed trials, patience 2"
    told = re.fullmatch(words, found.reason)
    assert told is not None, found.reason
    assert int(told[1]) >= 3
    assert found.trial_counts["completed"] >= 4


def test_a_terminator_that_hangs_holds_up_nothing_and_is_told(
    start_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def proposers(settings: Settings) -> Proposers:
        return Proposers(settings.proposal_seconds, settings.proposal_memory_bytes, BAD_CHILD)

    server = start_server(make_proposers=proposers)
    client = server.connect()
    upload(client)
    submit(client, spec(endings.terminator(min_trials=2), max_trials=300))
    server.server.driver.proposers.seconds = 0.2
    worker = Worker(server.connect(server.token("worker")))
    often = ["failed once", "failed 2 times", "failed 3 times"]
    with working(worker) as stream:
        # Asked again when further trials have completed; they complete while it hangs.
        for failures in range(3):
            enough, told = study(client).trial_counts["completed"] + 4, often[failures:]
            worker.work(lambda enough=enough: study(client).trial_counts["completed"] >= enough, stream)
            until(lambda told=told: any(each in study(client).endings[0] for each in told), told[0])
        words = study(client).endings[0]
        assert words.startswith(
            "terminator regret_bound has failed 3 times: took longer than 0.2 s. It is asked no more"
        )
        counted = study(client).trial_counts["completed"]
        worker.work(lambda: study(client).trial_counts["completed"] > counted, stream)
    assert study(client).state == study_pb2.STUDY_STATE_RUNNING
