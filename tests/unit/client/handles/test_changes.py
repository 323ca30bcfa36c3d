"""What changes a study: sent once, also where the reply is lost, and only what is given."""

import json

import pytest

import hippo_client as hippo
from hippo_client import endings, policies, space, study_file
from hippo_client.errors import InvalidStudy, NotFound
from hippo_core.study import StudySpec
from tests.studies import grid
from tests.unit.client import messages


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


def test_a_deleted_study_is_not_found(run):
    assert run.delete() == 3
    with pytest.raises(NotFound):
        _ = run.state
