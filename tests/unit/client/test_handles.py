"""Studies and trials as a program sees them."""

import json
import time

import numpy as np
import pytest

import hippo_client as hippo
from hippo_client import asking, endings, policies, schedules, simulation, space, study_file
from hippo_client.asking import HELD_SECONDS
from hippo_client.errors import InvalidStudy, NotFound
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.study import StudySpec
from hippo_wire.v1 import study_pb2
from tests.studies import grid
from tests.unit.client import messages, recorded


@pytest.fixture
def trials():
    return [
        messages.trial(0, study_pb2.TRIAL_STATE_COMPLETED, 9),
        messages.trial(1, study_pb2.TRIAL_STATE_DIVERGED, 3, metrics=messages.metrics(accuracy=None)),
        messages.trial(2, study_pb2.TRIAL_STATE_WAITING, 0, metrics=[]),
    ]


@pytest.fixture
def run(client, service, trials):
    service.add(messages.study(best_trial=trials[0], best_trials=trials[:1]), trials)
    service.details["digits", 0] = study_pb2.GetTrialResponse(
        trial=trials[0],
        history=[
            study_pb2.Evaluation(step=step, metrics=messages.metrics(accuracy=step / 10)) for step in (3, 9)
        ],
        values_json=json.dumps([{"lr": 0.1, "momentum": 0.9}]),
        path=[
            study_pb2.PathPart(node=1, start=0, stop=3, trial_count=3),
            study_pb2.PathPart(node=4, start=3, stop=9, trial_count=1, not_reproducible=True),
        ],
        checkpoints=[
            study_pb2.Checkpoint(node=1, step=3, fence=7),
            study_pb2.Checkpoint(node=4, step=9, fence=8),
        ],
        program_key="the-key",
        environment_json='{"python": "3.11"}',
    )
    return client.study("digits")


def test_a_study_s_state_compares_with_words(run):
    assert run.name == "digits"
    assert run.state is StudyState.RUNNING
    assert run.state == "running"


def test_the_state_is_asked_for_each_time(run, service):
    assert run.state == "running"
    service.studies["digits"].state = study_pb2.STUDY_STATE_COMPLETED
    assert run.state == "completed"


def test_the_best_trial_is_a_trial(run):
    assert run.best_trial.number == 0
    assert [trial.number for trial in run.best_trials] == [0]


def test_a_study_without_a_value_has_no_best_trial(client, service):
    service.add(messages.study())
    assert client.study("digits").best_trial is None
    assert client.study("digits").best_trials == []


def test_trials_are_listed_page_after_page(run):
    assert [trial.number for trial in run.trials()] == [0, 1, 2]


def test_a_trial_tells_of_itself(run):
    trial = run.trials()[0]
    assert (trial.number, trial.state, trial.step, trial.max_steps) == (0, TrialState.COMPLETED, 9, 9)
    assert trial.metrics == {"accuracy": 0.5}
    assert trial.hyperparameters == messages.HYPERPARAMETERS


def test_a_metric_that_is_not_finite_is_none(run):
    assert run.trials()[1].metrics == {"accuracy": None}


def test_a_trial_is_found_by_number(run):
    assert run.trial(0).number == 0
    with pytest.raises(NotFound, match="has no trial 5"):
        run.trial(5)


def test_history_lists_evaluations_by_step(run):
    assert run.trial(0).history() == [
        {"step": 3, "metrics": {"accuracy": 0.3}},
        {"step": 9, "metrics": {"accuracy": 0.9}},
    ]


def test_values_are_those_of_the_schedule_at_any_step(client, service):
    searched = {"lr": space.choice([0.1, schedules.piecewise([0.1, 0.01], [5])]), "size": (1, 2)}
    spec = grid(searched, name="digits")
    shown = messages.trial(1, hyperparameters=spec.hyperparameters(spec.point(1)))
    service.add(messages.study(spec_json=json.dumps(spec.to_json())), [shown])
    trial = client.study("digits").trials()[0]
    assert trial.values(step=4) == {"lr": 0.1, "size": (1, 2)}
    assert trial.values(step=5) == {"lr": 0.01, "size": (1, 2)}
    assert trial.values(step=1000) == {"lr": 0.01, "size": (1, 2)}
    for wrong in (-1, 0.5, True):
        with pytest.raises(InvalidStudy, match="step: must be an int of at least 0"):
            trial.values(wrong)


def test_logs_are_joined(run, service):
    service.logs["digits", 0] = ["epoch 1\n", "epo", "ch 2\n"]
    assert run.trial(0).logs() == "epoch 1\nepoch 2\n"


@pytest.fixture
def explanation(run, service, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    reason = "not promoted beyond step 9: rank 5 of 9 at step 9, 0.91; 3 go on, down to 0.97"
    trial = messages.trial(0, study_pb2.TRIAL_STATE_STOPPED, 9, reason=reason)
    service.explanations["digits", 0] = messages.explanation(
        trial,
        (0, "created", None, "point 0, as ann submitted the study; at most 27 steps", "sampler grid"),
        (1, "failure", 3, "user failure 1 in a row: ValueError: \x1b[31mno", "worker a"),
        (86400, "stopped", None, reason, "policy asha"),
        (86401, "reached", 9, "", ""),
    )
    yield run.trial(0).explain()
    monkeypatch.undo()
    time.tzset()


def test_an_explanation_is_a_list_of_what_happened(explanation):
    assert [(each.event, each.step, each.by) for each in explanation] == [
        ("created", None, "sampler grid"),
        ("failure", 3, "worker a"),
        ("stopped", None, "policy asha"),
        ("reached", 9, ""),
    ]
    assert explanation.to_json()[1] == {
        "at": "1970-01-01T00:00:01+00:00",
        "event": "failure",
        "step": 3,
        "reason": "user failure 1 in a row: ValueError: \x1b[31mno",
        "by": "worker a",
    }


def test_an_explanation_reads_well_in_80_columns(explanation):
    lines = str(explanation).splitlines()
    assert lines == [
        "Trial 0 of digits: stopped at step 9 of 9",
        "    not promoted beyond step 9: rank 5 of 9 at step 9, 0.91; 3 go on, down to",
        "    0.97",
        "1970-01-01 00:00:00  created, by sampler grid",
        "    point 0, as ann submitted the study; at most 27 steps",
        "1970-01-01 00:00:01  failure step 3, by worker a",
        "    user failure 1 in a row: ValueError: \\x1b[31mno",
        "1970-01-02 00:00:00  stopped, by policy asha",
        "    not promoted beyond step 9: rank 5 of 9 at step 9, 0.91; 3 go on, down to",
        "    0.97",
        "1970-01-02 00:00:01  reached step 9",
    ]
    assert max(map(len, lines)) <= 80


def test_savings_are_those_of_the_server(run):
    assert run.savings() == {
        "steps_without_sharing": 100, "steps_trained": 40, "steps_retrained": 2, "steps_in_probes": 3,
        "merge_rate": 2.5, "seconds_trained": 8.0, "seconds_saved": 12.0,
    }  # fmt: skip


def test_tables_are_made_of_the_export(run, service):
    pytest.importorskip("pandas")
    service.exports["digits"] = json.dumps(recorded.document()).encode()
    assert list(run.dataframe()["hippo_state"]) == ["completed", "stopped", "waiting"]
    assert list(run.dataframe(style="plain")["lr"])[1:] == ["piecewise([0.1, 0.02], milestones=[2])", 0.5]
    assert list(run.history().columns) == ["trial", "step", "metric", "value", "time"]


def test_the_stage_tree_is_that_of_the_server(run, service):
    service.trees["digits"] = [
        study_pb2.StageTreeNode(
            state="waiting", node=1, start=0, stop=3, trained=3, values_json='{"lr": 0.1}', trials=[0, 1]
        ),
        study_pb2.StageTreeNode(
            state="waiting", node=2, parent=1, start=3, stop=9, values_json='{"lr": 0.2}', trials=[1]
        ),
    ]
    tree = run.stage_tree()
    assert [(node.node, node.parent) for node in tree] == [(1, None), (2, 1)]


@pytest.mark.parametrize(("verb", "state"), [("pause", "paused"), ("resume", "running"), ("stop", "stopped")])
def test_a_change_gives_the_handle_back(run, service, verb, state):
    assert getattr(run, verb)() is run
    assert run.state == state
    assert len(service.changes) == 1


@pytest.mark.parametrize("verb", ["pause", "resume", "stop", "retry", "delete"])
def test_a_change_whose_reply_is_lost_is_made_once(run, service, verb):
    service.lose = 1
    getattr(run, verb)()
    assert len(service.changes) == 1


def test_extending_sends_only_what_is_given(run, service):
    run.extend(max_steps=81)
    request = service.changes[0]
    assert request.max_steps == 81
    assert not request.HasField("max_trials")
    assert not request.HasField("priority")
    run.extend(max_trials=128, priority=-1)
    assert (service.changes[1].max_trials, service.changes[1].priority) == (128, -1)


def test_extending_sends_endings_as_json(run, service):
    run.extend(endings=[endings.target(0.97)])
    request = service.changes[-1]
    assert json.loads(request.endings_json) == [{"ending": "target", "value": 0.97}]
    with pytest.raises(InvalidStudy, match="is no ending"):
        run.extend(endings=[0.97])


def test_extending_by_nothing_is_refused(run):
    with pytest.raises(InvalidStudy, match="nothing is given"):
        run.extend()


def edited(service):
    return StudySpec.from_json(json.loads(service.changes[-1].spec_json))


def test_an_edit_sends_the_whole_study_with_what_is_given(run, service):
    before = StudySpec.from_json(json.loads(messages.SPEC))
    lines = run.edit(policy=policies.asha(min_steps=1), priority=3)
    assert 'policy.policy: "full" -> "asha"' in lines
    assert "priority: 0 -> 3" in lines
    assert run.warnings == ("rounded",)
    after = edited(service)
    assert after.policy == policies.asha(min_steps=1)
    assert after.priority == 3
    assert after.space == before.space
    assert service.changes[-1].change_count == 0


def test_an_edit_by_name_leaves_the_other_entries_as_they_are(client, service):
    made = StudySpec.from_json(
        hippo.Study(
            "trainer:T",
            {"optimizer": {"lr": space.loguniform(1e-4, 1e-1)}, "momentum": 0.9},
            minimize="loss",
            name="digits",
            max_trials=5,
            max_steps=9,
            initial=[{"optimizer.lr": 0.05}, {"optimizer.lr": 0.0005}],
        )
        .spec()
        .to_json()
    )
    service.add(messages.study(spec_json=json.dumps(made.to_json())))
    run = client.study("digits")
    lines = run.edit(space={"optimizer": {"lr": space.loguniform(1e-3, 1e-1)}}, max_trials=8)
    assert "space.optimizer.lr.low: 0.0001 -> 0.001" in lines
    assert "max_trials: 5 -> 8" in lines
    after = edited(service)
    assert after.space.to_json()["momentum"] == 0.9
    assert list(after.initial) == [{"optimizer.lr": 0.05}], "the other lies outside, and is a trial already"
    with pytest.raises(InvalidStudy, match="the study has no such name") as refused:
        run.edit(space={"optimizer.rate": 0.1})
    assert "optimizer.lr" in refused.value.hint


def test_an_edited_grid_is_tried_whole(client, service):
    made = grid({"lr": space.choice([0.1, 0.2]), "momentum": 0.9}, name="digits")
    service.add(messages.study(spec_json=json.dumps(made.to_json())))
    client.study("digits").edit(space={"lr": space.choice([0.2, 0.3, 0.4])})
    assert edited(service).max_trials == 3


def test_a_dry_run_tells_and_changes_nothing(run, service):
    assert run.edit(priority=3, dry_run=True) == ("priority: 0 -> 3",)
    kept = run.edit(keep="best:2", checkpoint_budget="1KiB", dry_run=True)
    assert kept == ("checkpoint_budget: null -> 1024", 'keep: "best" -> "best:2"')
    assert service.changes == []


def test_an_edit_whose_reply_is_lost_is_made_once(run, service):
    service.lose = 1
    run.edit(priority=3)
    assert len(service.changes) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "nothing is given"),
        ({"study": {"lr": 0.1}}, "is no Study"),
        ({"sampler": "tpe"}, "sampler: 'tpe' is no sampler"),
        ({"policy": "asha"}, "policy: 'asha' is no policy"),
        ({"policy": policies.asha}, r"Call it: policies\.asha"),
    ],
)
def test_an_edit_by_nothing_or_by_what_is_no_study_is_refused(run, given, message):
    with pytest.raises(InvalidStudy, match=message):
        run.edit(**given)


def test_a_changed_study_file_is_an_edit(client, service, folder):
    client.submit(study_file.load(folder / "study.py"))
    (folder / "study.py").write_text((folder / "study.py").read_text().replace("[0.1, 0.2]", "[0.1, 0.3]"))
    lines = client.study("study").edit(study_file.load(folder / "study.py"))
    assert lines == ("space.lr.options.1: 0.2 -> 0.3",)


@pytest.mark.parametrize(("given", "sent"), [("", "digits"), ('name="other", ', "other")])
def test_the_name_of_the_file_is_no_name_that_an_edit_gives(run, service, folder, given, sent):
    text = (folder / "study.py").read_text().replace("max_steps=", f"{given}max_steps=")
    (folder / "another.py").write_text(text)
    run.edit(study_file.load(folder / "another.py"))
    assert edited(service).name == sent


def test_retry_tells_how_many(run, service):
    assert run.retry() == 3
    assert not service.changes[0].HasField("trial")


def test_one_trial_is_tried_again(run, service):
    assert run.trial(0).retry().number == 0
    assert service.changes[0].trial == 0
    assert service.changes[0].HasField("trial")


def test_a_trial_is_stopped_once_also_where_the_reply_is_lost(run, service):
    trial = run.trial(0)
    service.lose = 1
    assert trial.stop() is True
    assert trial.state == "stopped"
    assert trial.stop() is False
    assert [change.trial for change in service.changes] == [0, 0]


def test_a_trial_is_extended_once_and_tells_warnings(run, service):
    trial = run.trial(0)
    service.lose = 1
    assert trial.extend(to=81) is trial
    assert (trial.max_steps, trial.warnings) == (81, ("rounded",))
    assert [(change.trial, change.to) for change in service.changes] == [(0, 81)]


@pytest.mark.parametrize("to", [0, -1, True, 1.5, None])
def test_extending_to_what_is_no_step_is_refused(run, to):
    with pytest.raises(InvalidStudy, match="to"):
        run.trial(0).extend(to=to)


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


def test_a_lineage_is_told_from_its_root(run, service):
    """Trial 1 is a fork of trial 2 at step 4, in place of trial 0."""
    service.details["digits", 1] = study_pb2.GetTrialResponse(
        trial=messages.trial(1, parent=2, forked_at=4, instead_of=0), values_json="[]"
    )
    service.details["digits", 2] = study_pb2.GetTrialResponse(trial=messages.trial(2))
    fork = run.trial(1)
    assert (fork.parent, fork.forked_at, fork.instead_of) == (2, 4, 0)
    assert fork.lineage() == [{"trial": 2, "start": 0}, {"trial": 1, "start": 4}]
    assert fork.to_json(detail=True)["fork"] == {"trial": 2, "at": 4, "instead_of": 0}
    assert run.trial(2).lineage() == [{"trial": 2, "start": 0}]
    assert run.trial(2).instead_of is None


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


@pytest.mark.parametrize(("trial", "at"), [(-1, 0), (0, -1), (True, 0), (0, 1.5)])
def test_forking_at_what_is_no_step_is_refused(run, trial, at):
    with pytest.raises(InvalidStudy, match="must be an int of at least 0"):
        run.fork(trial=trial, at=at, hyperparameters={"lr": 0.1})


def test_a_deleted_study_is_not_found(run):
    assert run.delete() == 3
    with pytest.raises(NotFound):
        _ = run.state


def test_a_trial_can_be_read_again(run, service):
    trial = run.trials()[0]
    service.details["digits", 0].trial.step = 12
    assert trial.step == 9
    assert trial.refresh().step == 12


def test_texts_are_short(run):
    assert repr(run) == "<StudyHandle 'digits': running; trials: 1 waiting, 2 completed>"
    assert repr(run.trials()[0]) == (
        "<Trial 0: completed at step 9; accuracy=0.5; lr=cosine(0.1, 0, period=9), momentum=0.9>"
    )
    assert repr(run.trials()[2]).startswith("<Trial 2: waiting at step 0; no metrics;")


def test_an_export_is_written_as_it_comes_and_read(run, service, tmp_path):
    spec = grid({"lr": space.choice([0.1, 0.2])}, name="digits")
    content = {
        "hippo_study": 1, "name": "digits", "state": "running", "reason": "", "ending": "", "changes": 0,
        "spec": spec.to_json(),
        "environment": "", "created": "2026-01-02T03:04:05+00:00", "save_seconds": None, "start_seconds": None,
        "steps_trained": 0, "steps_without_sharing": 0,
        "trials": [], "training": [], "leases": [], "creations": [], "arrivals": [],
    }  # fmt: skip
    service.exports["digits"] = json.dumps(content).encode()
    file = tmp_path / "digits.json"
    recorded = run.export(file)
    assert (recorded.name, recorded.spec) == ("digits", spec)
    assert file.read_bytes() == service.exports["digits"]
    assert simulation.load(file) == recorded
    file.write_text("no JSON")
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)
    for wrong in (file, deep, tmp_path / "nowhere.json"):
        with pytest.raises(InvalidStudy, match=f"recorded: {wrong}"):
            simulation.load(wrong)
