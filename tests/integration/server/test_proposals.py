"""Studies whose samplers learn, on a server: proposals after their commit, over restarts, and what goes wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hippo_core import samplers, space
from hippo_core.engine import events as ev
from hippo_core.errors import InvalidStudy
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
SEARCHED = {"lr": space.loguniform(1e-4, 1.0), "momentum": space.uniform(0, 1)}


def spec(sampler: samplers.Sampler, name: str = "study", **changes: Any) -> StudySpec:
    made = {"name": name, "sampler": sampler, "max_trials": 6, "max_steps": 2, "bundle": BUNDLE, **changes}
    return make_study(SEARCHED, **made)


def submit(client: Connection, study_spec: StudySpec) -> study_pb2.SubmitStudyResponse:
    request = study_pb2.SubmitStudyRequest(request_id=study_spec.name, spec_json=dump(study_spec.to_json()))
    return client.studies.SubmitStudy(request)


def study(client: Connection, name: str = "study") -> study_pb2.Study:
    return client.studies.GetStudy(study_pb2.GetStudyRequest(name=name)).study


def completed(client: Connection, name: str = "study") -> Callable[[], bool]:
    return lambda: study(client, name).state == study_pb2.STUDY_STATE_COMPLETED


def points(client: Connection, name: str = "study") -> list[dict[str, Any]]:
    found = client.studies.ListTrials(study_pb2.ListTrialsRequest(name=name)).trials
    return [json.loads(trial.hyperparameters_json) for trial in found]


@pytest.fixture
def start_bad(start_server: Start, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts a server that has samplers which nobody wants."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def proposers(settings: Settings) -> Proposers:
        return Proposers(settings.proposal_seconds, settings.proposal_memory_bytes, BAD_CHILD)

    return lambda **options: start_server(make_proposers=proposers, **options)


def connected(server: RunningServer) -> Connection:
    client = server.connect()
    upload(client)
    return client


@pytest.mark.parametrize("sampler", [samplers.tpe(startup_trials=2), samplers.cma_es(population=3)], ids=str)
def test_a_study_whose_sampler_learns_is_trained_to_its_end(
    server: RunningServer, client: Connection, sampler: samplers.Sampler
) -> None:
    submit(client, spec(sampler))
    worker = Worker(server.connect(server.token("worker")), slots=2)
    with working(worker) as stream:
        worker.work(completed(client), stream)
    assert len({json.dumps(point) for point in points(client)}) == 6
    journal = [entry.event for entry in server.store.journal()]
    wanted = [event for event in journal if isinstance(event, ev.ProposalWanted)]
    assert [event.trial for event in wanted] == list(range(6))
    assert any(event.pending for event in wanted)


def test_a_restart_at_any_trial_gives_the_same_proposals(start_server: Start, database_url: str) -> None:
    """1. A search on one server. 2. The same under another name, the server stopped after each trial. 3. The same."""
    server = start_server()
    client = connected(server)
    submit(client, spec(samplers.tpe(startup_trials=2), "whole"))
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        worker.work(completed(client, "whole"), stream)
    expected = points(client, "whole")
    # Another program, so that it is trained and not found: each trial ends when its worker has trained it.
    changed = spec(samplers.tpe(startup_trials=2), "cut", program_changes={"data_version": "other"})
    submit(client, changed)
    for number in range(6):
        server.stop()
        server = start_server()
        client = server.connect()
        until(lambda client=client, number=number: len(points(client, "cut")) > number, "a trial")  # type: ignore[misc]
        worker = Worker(server.connect(server.token("worker")))
        with working(worker) as stream:
            worker.work(
                lambda client=client, number=number: (
                    dict(study(client, "cut").trial_counts).get("completed", 0) > number
                ),  # type: ignore[misc]
                stream,
            )
    assert points(client, "cut") == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SleepingSampler", "took longer than 1 s"),
        ("RaisingSampler", "ValueError: no point comes to mind"),
        ("DyingSampler", "its process died: SIGKILL"),
        ("OutsideSampler", "cannot be drawn"),
    ],
)
def test_a_sampler_that_fails_pauses_its_study_and_no_other(start_bad: Start, name: str, words: str) -> None:
    """1. Two studies. 2. The sampler of one fails. 3. It pauses, with the reason and the remedy; the other is done."""
    server = start_bad()
    client = connected(server)
    submit(client, spec(samplers.tpe(), "warm"))  # its process starts before time counts
    until(lambda: points(client, "warm"), "a proposal")
    if name == "SleepingSampler":
        server.server.driver.proposers.seconds = 1.0
    submit(client, spec(samplers.optuna(name), "bad"))
    submit(client, spec(samplers.tpe(), "good", program_changes={"data_version": "other"}))
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        worker.work(completed(client, "good"), stream)
    until(lambda: study(client, "bad").state == study_pb2.STUDY_STATE_PAUSED, "the pause")
    reason = study(client, "bad").reason
    assert reason.startswith("the sampler optuna has failed 3 times to propose trial 0: ")
    assert words in reason
    assert reason.endswith("the study shares what was trained; hippo study resume bad tries again")
    assert study(client, "bad").given_up


def test_a_study_says_that_it_waits_for_its_sampler(start_bad: Start) -> None:
    server = start_bad()
    client = connected(server)
    submit(client, spec(samplers.optuna("SleepingSampler")))
    assert study(client).reason == "the sampler optuna is proposing trial 0"
    client.studies.StopStudy(study_pb2.StopStudyRequest(name="study", request_id="stop"))
    proposers = server.server.driver.proposers
    until(lambda: not proposers._all, "the end of its process")


def test_a_sampler_that_the_server_does_not_have_is_refused(client: Connection) -> None:
    with pytest.raises(InvalidStudy, match="there is no NoSampler where the server runs"):
        submit(client, spec(samplers.optuna("NoSampler")))
    assert not client.studies.ListStudies(study_pb2.ListStudiesRequest()).studies


def test_the_first_trials_are_the_given_points(server: RunningServer, client: Connection) -> None:
    initial = ({"lr": 0.5, "momentum": 0.25},)
    submit(client, spec(samplers.tpe(), initial=initial))
    assert points(client)[0] == initial[0]
