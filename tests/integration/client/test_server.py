"""The SDK against the real server, without a worker: nothing is trained."""

import json
import threading

import pytest

import hippo_client as hippo
from hippo_client.errors import Conflict, NotAllowed, NotFound
from hippo_client.study_file import load
from hippo_wire.v1 import study_pb2


@pytest.fixture
def run(client, folder):
    return client.submit(load(folder / "study.py"))


def test_a_study_is_submitted_once(client, run, folder):
    assert (run.outcome, run.state) == ("created", "running")
    again = client.submit(load(folder / "study.py"))
    assert again.outcome == "unchanged"
    assert [each.name for each in client.studies()] == ["lines"]


def test_other_content_is_a_conflict_with_a_difference(client, run, folder):
    file = folder / "study.py"
    file.write_text(file.read_text().replace("0.125", "0.0625"))
    with pytest.raises(Conflict, match=r"0\.0625"):
        client.submit(load(file))


def test_a_larger_limit_extends(client, run, folder):
    file = folder / "study.py"
    file.write_text(file.read_text().replace("max_steps=4", "max_steps=6"))
    assert client.submit(load(file)).outcome == "extended"
    assert {trial.max_steps for trial in run.trials()} == {6}
    assert run.extend(max_steps=8, priority=2) is run
    assert {trial.max_steps for trial in run.trials()} == {8}


def test_trials_are_those_of_the_space(run):
    trials = run.trials()
    assert [(trial.number, trial.state, trial.step) for trial in trials] == [
        (0, "waiting", 0),
        (1, "waiting", 0),
        (2, "waiting", 0),
    ]
    assert [trial.values(step=3)["lr"] for trial in trials] == [0.5, 0.25, 0.125]
    assert trials[1].hyperparameters["lr"]["schedule"] == "piecewise"
    assert trials[0].metrics == {}
    assert run.best_trial is None
    assert run.trial(2).history() == []
    assert run.trial(2).logs() == ""
    with pytest.raises(NotFound, match="no checkpoint"):
        run.trial(2).checkpoint()
    explanation = run.trial(2).explain()
    assert str(explanation).startswith("Trial 2 of lines: waiting at step 0 of 4")
    assert [(each.event, each.step) for each in explanation] == [("created", None), ("requested", 4)]
    assert explanation[1].by == "policy full"


def test_the_stage_tree_has_one_trunk(run):
    tree = run.stage_tree()
    assert len(tree.roots) == 1
    assert sorted(node.start for node in tree) == [0, 2, 2]
    assert "3" in tree.to_text().splitlines()[1]


def test_nothing_trained_has_no_merge_rate(run):
    savings = run.savings()
    assert savings["steps_trained"] == 0
    assert savings["merge_rate"] is None
    json.dumps(run.to_json(), allow_nan=False)


def test_a_study_is_paused_resumed_stopped_and_deleted(client, run):
    assert run.pause().state == "paused"
    assert run.resume().state == "running"
    assert run.stop().state == "stopped"
    assert {trial.state for trial in run.trials()} == {"stopped"}
    assert run.delete() == 3
    with pytest.raises(NotFound):
        client.study("lines")


def test_a_running_study_cannot_be_deleted(run):
    with pytest.raises(Conflict):
        run.delete()


def test_a_trial_that_has_not_failed_cannot_be_tried_again(run):
    with pytest.raises(Conflict):
        run.trial(0).retry()


def test_waiting_ends_when_the_study_does(run):
    waiting = threading.Thread(target=lambda: run.wait(progress=False))
    waiting.start()
    run._client.study("lines").stop()
    waiting.join(30)
    assert not waiting.is_alive()


def test_a_wrong_token_is_not_allowed(server):
    with hippo.Client(server.address, "wrong") as client, pytest.raises(NotAllowed):
        client.studies()


def test_a_viewer_reads_and_does_not_change(server, run):
    with hippo.Client(server.address, server.token("viewer")) as client:
        found = client.study("lines")
        assert found.state == "running"
        with pytest.raises(NotAllowed):
            found.stop()


def test_a_server_that_restarts_is_found_again(start_server, server, client, run):
    """The watch goes on at the server that takes the port of the first."""
    states = []
    seen = threading.Event()

    def watch():
        for snapshot in client.watch("lines"):
            states.append(snapshot.study.state)
            seen.set()

    watching = threading.Thread(target=watch)
    watching.start()
    assert seen.wait(30)
    port = int(server.address.rpartition(":")[2])
    server.stop()
    again = start_server(grpc_port=port)
    with hippo.Client(again.address, again.token("admin")) as other:
        other.study("lines").stop()
    watching.join(60)
    assert not watching.is_alive()
    assert states[0] == study_pb2.STUDY_STATE_RUNNING
    assert states[-1] == study_pb2.STUDY_STATE_STOPPED
