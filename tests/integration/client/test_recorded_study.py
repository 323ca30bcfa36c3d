"""A study that was really trained, on two slots: exported, simulated, decided anew, and handed to Optuna."""

import json

import pytest

import hippo_client as hippo
from hippo_client import simulation
from hippo_client.study_file import load
from hippo_core.simulation.timeline import Timeline

TRAINER = """
import hippo_client as hippo


class Curve(hippo.Trainer):
    '''A loss that falls by powers of the rate; the seed says where to.'''

    def setup(self, context):
        self.loss, self.floor = 1.0, context.seed / 100

    def apply(self, hp):
        self.rate = hp["rate"]

    def train(self, step):
        self.loss *= 1 - self.rate / (1 + self.rate * step)

    def evaluate(self):
        return {"loss": self.loss + self.floor + abs(self.rate - 0.3), "rate": self.rate}
"""
STUDY = """
import hippo_client as hippo
from hippo_client import policies, schedules, space

study = hippo.Study(
    "trainer:Curve",
    {"rate": space.choice([
        *[0.05 * n for n in range(1, 10)],
        *[schedules.piecewise([0.05 * n, 0.3], [3]) for n in range(1, 10)],
    ])},
    minimize="loss",
    max_steps=9,
    name=NAME,
    seed=SEED,
    policy=POLICY,
)
"""


@pytest.fixture
def study(tmp_path, request):
    # Of another program than another test's: nothing is shared with it.
    (tmp_path / "trainer.py").write_text(f"# {request.node.name}\n{TRAINER}")

    def make(name, policy, seed=1):
        file = tmp_path / f"{name}.py"
        text = STUDY.replace("NAME", repr(name)).replace("SEED", str(seed)).replace("POLICY", policy)
        file.write_text(text)
        return load(file)

    return make


def ends(trials):
    return {trial.number: (trial.state, trial.step, trial.reason) for trial in trials}


def test_what_hyperband_would_have_done_is_what_it_does(two_slots_home, study, tmp_path):
    """1. Everything is trained. 2. Hyperband is simulated on what was recorded. 3. It is really run, and decides so."""
    trained = hippo.run(study("everything", "policies.full()"), slots=2, progress=False)
    file = tmp_path / "everything.json"
    recorded = trained.export(file)
    assert recorded == simulation.load(file)
    other = study("hyperband", "policies.hyperband(min_steps=1)")
    found = simulation.simulate(other, slots=2, recorded=simulation.load(file))
    run = hippo.run(other, progress=False)
    assert {
        each.trial: (each.state, each.step, each.reason) for each in found.studies[0].leaderboard
    } == ends(run.trials())
    assert len({trial.step for trial in run.trials()}) > 2, "it stopped some early"
    assert found.studies[0].best_trial == run.best_trial.number
    assert found.studies[0].best_value == run.best_trial.metrics["loss"]
    # The steps are those of the record, and took what they took there.
    assert 0 < found.slot_seconds["training"] < trained.savings()["seconds_trained"]

    # When what was trained for whom: as much as was trained, by the slots that there are, each trial in its time.
    timeline, savings = Timeline(recorded), trained.savings()
    assert timeline.savings().trained[-1] == savings["steps_trained"]
    assert timeline.savings().alone[-1] == savings["steps_without_sharing"]
    assert {each.lease.slot for each in timeline.stretches} == {0, 1}
    for trial in recorded.trials:
        begun, ended = timeline.begun(trial), timeline.ended(trial)
        assert recorded.creations[trial.number] <= begun < ended <= timeline.end
        assert begun < timeline.moment(trial, 1) <= timeline.moment(trial, trial.step) <= ended
        assert trial.checkpoints[-1] == trial.step
    again = simulation.simulate(slots=3, recorded=recorded)
    assert again.studies[0].trials == {"completed": 18}
    assert again.steps_trained == trained.savings()["steps_trained"]


def test_in_the_order_in_which_results_came_asha_decides_the_same(two_slots_home, study):
    """1. ASHA runs on two slots, where chance says which result comes first. 2. In that order the engine decides the
    same, to the words. 3. Optuna has the same trials."""
    run = hippo.run(study("asha", "policies.asha(min_steps=1, reduction_factor=2)"), slots=2, progress=False)
    recorded = run.export()
    assert simulation.replay(recorded) == ()
    assert {trial.state for trial in run.trials()} == {"completed", "stopped"}
    assert all(sum(each.trial == trial.number for each in recorded.arrivals) for trial in recorded.trials)

    optuna = pytest.importorskip("optuna")
    found = run.to_optuna()
    assert [trial.number for trial in found.trials] == [trial.number for trial in run.trials()]
    assert found.best_value == run.best_trial.metrics["loss"]
    for ours, theirs in zip(run.trials(), found.trials, strict=True):
        assert theirs.state.name == {"completed": "COMPLETE", "stopped": "PRUNED"}[ours.state]
        history = {each["step"]: each["metrics"]["loss"] for each in ours.history()}
        assert theirs.intermediate_values == history
        assert json.dumps(theirs.user_attrs["hippo_hyperparameters"]) == json.dumps(ours.hyperparameters)
    assert isinstance(found, optuna.Study)
