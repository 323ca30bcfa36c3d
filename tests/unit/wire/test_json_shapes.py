"""The JSON shapes that scripts rely on."""

import json

from hippo_client.cli.summary import study_summary
from hippo_wire.json_shapes import (
    best_json,
    choice_in_words,
    probes_json,
    stage_tree_json,
    study_json,
    trial_detail_json,
    trial_json,
)
from hippo_wire.summaries import best_words
from hippo_wire.v1 import study_pb2
from tests.unit.client import messages


def test_the_shape_of_a_study():
    best = messages.trial(3)
    assert study_json(messages.study(best_trial=best)) == {
        "study": "digits",
        "state": "running",
        "trials": {
            "waiting": 1, "running": 0, "paused": 0, "completed": 2, "stopped": 0, "diverged": 0, "failed": 0,
        },
        "best": {
            "trial": 3,
            "step": 3,
            "metrics": {"accuracy": 0.5},
            "hyperparameters": messages.HYPERPARAMETERS,
        },
        "best_trials": [best_json(best)],
        "savings": {
            "steps_without_sharing": 100,
            "steps_trained": 40,
            "steps_retrained": 2,
            "steps_in_probes": 3,
            "merge_rate": 2.5,
            "seconds_trained": 8.0,
            "seconds_saved": 12.0,
        },
        "hint": None,
        "policy": "full",
        "sampler": "grid",
        "chosen": None,
        "reason": "",
        "over_budget": None,
        "ending": None,
        "endings": [],
        "changes": [],
    }  # fmt: skip


def test_the_best_at_a_horizon_is_told_though_the_longest_has_none():
    best = messages.trial(3)
    best.horizon = 10
    told = messages.study(best_by_horizon=[best])
    assert not told.HasField("best_trial")
    assert "Best at horizon 10: trial 3 at step 3, accuracy 0.5" in study_summary(told)
    assert best_words(told) == "accuracy 0.5 at horizon 10"


def test_what_was_chosen_is_told_in_words_and_as_json():
    chosen = {"slots": 8, "reason": "there is no phase to fork at"}
    spec = {"policy": {"policy": "asha"}, "sampler": {"sampler": "tpe"}, "chosen": chosen}
    told = messages.study(spec_json=json.dumps(spec))
    assert study_json(told)["chosen"] == chosen
    assert choice_in_words(told) == "policies.auto() chose asha for 8 slots: there is no phase to fork at"
    assert choice_in_words(told) in study_summary(told).splitlines()
    assert choice_in_words(messages.study()) == ""


def test_what_there_is_not_is_null():
    told = study_json(study_pb2.Study(name="new", state=study_pb2.STUDY_STATE_PAUSED))
    assert told["best"] is None
    assert told["savings"]["merge_rate"] is None
    assert told["state"] == "paused"


def test_the_shape_of_a_listed_trial():
    assert trial_json(messages.trial(1, metrics=messages.metrics(accuracy=0.5, loss=None))) == {
        "trial": 1,
        "state": "completed",
        "step": 3,
        "metrics": {"accuracy": 0.5, "loss": None},
        "hyperparameters": messages.HYPERPARAMETERS,
        "reason": "",
    }


def test_what_a_study_and_a_trial_wait_for_is_told():
    assert study_json(study_pb2.Study(state=study_pb2.STUDY_STATE_RUNNING, reason="no slot fits"))[
        "reason"
    ] == ("no slot fits")
    assert trial_json(messages.trial(1, reason="no slot fits"))["reason"] == "no slot fits"


def test_the_shape_of_a_shown_trial():
    told = trial_detail_json(
        study_pb2.GetTrialResponse(
            trial=messages.trial(1),
            history=[study_pb2.Evaluation(step=1, metrics=messages.metrics(accuracy=0.25))],
            values_json='[{"lr": 0.1}, {"lr": 0.05}]',
            path=[study_pb2.PathPart(node=7, start=0, stop=2, trial_count=4)],
        )
    )
    assert list(told) == [
        "trial",
        "state",
        "step",
        "metrics",
        "hyperparameters",
        "reason",
        "history",
        "values",
        "path",
        "fork",
        "probes",
    ]
    assert (told["fork"], told["probes"]) == (None, [])
    assert told["history"] == [{"step": 1, "metrics": {"accuracy": 0.25}}]
    assert told["values"] == [{"lr": 0.1}, {"lr": 0.05}]
    assert told["path"] == [{"node": 7, "start": 0, "stop": 2, "trials": 4, "not_reproducible": False}]


def test_the_shape_of_a_probe():
    probe = study_pb2.Probe(
        probe=1, at=9, to=10, factors={"lr": 0.1}, reason="its phase ends", state=study_pb2.TRIAL_STATE_COMPLETED,
        step=10, metrics=messages.metrics(accuracy=0.25),
    )  # fmt: skip
    assert probes_json([probe]) == [
        {
            "probe": 1,
            "at": 9,
            "to": 10,
            "factors": {"lr": 0.1},
            "reason": "its phase ends",
            "state": "completed",
            "step": 10,
            "metrics": {"accuracy": 0.25},
            "failure": "",
        }
    ]


def test_the_shape_of_a_stage_tree():
    node = study_pb2.StageTreeNode(
        node=1,
        start=0,
        stop=3,
        trained=2,
        values_json='{"lr": 0.1}',
        trials=[0],
        probes=[4],
        state="ready",
        reason="waits for a free slot",
        ends=[study_pb2.TrialEnds(step=3, state="waiting", count=1)],
        steps_saved=2,
    )
    told = stage_tree_json([node])
    assert (told[0]["trials"], told[0]["probes"]) == ([0], [4])
    assert (told[0]["state"], told[0]["reason"]) == ("ready", "waits for a free slot")
    assert (told[0]["ends"], told[0]["steps_saved"]) == ([{"step": 3, "state": "waiting", "count": 1}], 2)
    assert told[0]["parent"] is None
    assert told[0]["values"] == {"lr": 0.1}


def test_everything_can_be_written_as_strict_json():
    json.dumps(study_json(messages.study(best_trial=messages.trial(1))), allow_nan=False)


def test_a_study_that_shared_next_to_nothing_says_so_and_what_would_help():
    """Once it is over, where there was somebody to share with; what faults had trained again is not held against it."""

    def hint(without, trained, retrained=0, state=study_pb2.STUDY_STATE_COMPLETED, trials=2):
        message = messages.study(state=state, trial_counts={"completed": trials})
        message.savings.steps_without_sharing = without
        message.savings.steps_trained, message.savings.steps_retrained = trained, retrained
        found = study_json(message)["hint"]
        assert (found is not None) is ("next to nothing was shared" in study_summary(message))
        return found

    assert hint(102, 100).startswith("next to nothing was shared (merge rate 1.02): hippo plan says")
    assert "policies." not in hint(100, 100), (
        "which search a study takes already, or refuses, is not known here"
    )
    assert hint(105, 100) is None
    assert hint(110, 110, retrained=10) is None
    assert hint(100, 100, state=study_pb2.STUDY_STATE_RUNNING) is None
    assert hint(100, 100, trials=1) is None
    assert hint(0, 0) is None
