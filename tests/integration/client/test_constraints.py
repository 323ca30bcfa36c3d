"""A study with a constraint, really trained: the best by the objective alone is too slow."""

import pytest

import hippo_client as hippo
from hippo_client import simulation
from hippo_client.study_file import load

TRAINER = """
import hippo_client as hippo


class Widths(hippo.Trainer):
    '''The wider, the more accurate, and the slower; the widest has no latency that is finite.'''

    def setup(self, context):
        self.trained = 0

    def apply(self, hp):
        self.width = hp["width"]

    def train(self, step):
        self.trained += 1

    def evaluate(self):
        latency = float("nan") if self.width == 9 else 2.0 * self.width
        return {"accuracy": self.width / 10 + self.trained / 1000, "latency_ms": latency}
"""
STUDY = """
import hippo_client as hippo
from hippo_client import policies, samplers, space

study = hippo.Study(
    "trainer:Widths", {"width": space.integer(1, 9)}, maximize="accuracy", max_steps=9, name=NAME,
    constraints=[BOUND], policy=policies.asha(min_steps=1, reduction_factor=3), **FURTHER
)
"""


@pytest.fixture
def run(one_slot_home, tmp_path):
    (tmp_path / "trainer.py").write_text(TRAINER)

    def run(name, bound, further="{}"):
        file = tmp_path / f"{name}.py"
        text = STUDY.replace("NAME", repr(name)).replace("BOUND", repr(bound)).replace("FURTHER", further)
        file.write_text(text)
        return hippo.run(load(file), slots=1, progress=False)

    return run


def test_the_best_is_the_best_that_is_feasible(run):
    """1. Nine widths, of which five are fast enough. 2. Only these are promoted. 3. All that people see says so."""
    found = run("bounded", "latency_ms <= 10")
    best = found.best_trial
    assert best.hyperparameters == {"width": 5}
    assert (best.feasible, best.violation) == (True, 0.0)
    trials = found.trials()
    assert {trial.hyperparameters["width"]: trial.violation for trial in trials} == {
        **dict.fromkeys(range(1, 6), 0.0),
        6: pytest.approx(0.2),
        7: pytest.approx(0.4),
        8: pytest.approx(0.6),
        9: float("inf"),
    }
    slow = next(trial for trial in trials if trial.hyperparameters == {"width": 7})
    story = str(slow.explain())
    assert "accuracy 0.701; latency_ms <= 10 violated: latency_ms 14" in story
    assert "infeasible by 0.4" in story
    assert "accuracy 0.509; feasible" in str(best.explain())
    table = found.dataframe(style="plain")
    assert list(table["feasible"]) == [trial.feasible for trial in trials]
    assert found.to_optuna().best_trial.number == best.number
    again = simulation.simulate(recorded=found.export(), slots=1).studies[0]
    assert again.best_trial == best.number
    assert {each.trial: each.violation for each in again.leaderboard} == {
        trial.number: trial.violation for trial in trials
    }


def test_where_nothing_is_feasible_the_least_violating_is_told_as_such(run):
    found = run("hopeless", "latency_ms <= 1", "{'sampler': samplers.tpe(startup_trials=3), 'max_trials': 6}")
    best = found.best_trial
    assert best.feasible is False
    done = [trial for trial in found.trials() if trial.state == "completed"]
    assert best.violation == min(trial.violation for trial in done)
