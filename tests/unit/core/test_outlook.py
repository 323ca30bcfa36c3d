import pytest

from hippo_core import outlook, policies, samplers, schedules, space
from tests.studies import grid, study

FREE = {
    "lr": space.loguniform(1e-4, 1e-1),
    "momentum": space.uniform(0.5, 0.99),
    "flag": space.choice([0, 1]),
}
LATE = {"lr": schedules.piecewise([0.1, space.loguniform(1e-4, 1e-2)], [9])}


@pytest.mark.parametrize("sampler", [samplers.random(), samplers.qmc(), samplers.tpe(), samplers.gp()])
@pytest.mark.parametrize("policy", [policies.full(), policies.asha()])
def test_whoever_submits_is_warned_where_no_two_trials_can_share(sampler, policy):
    spec = study(FREE, max_trials=8, sampler=sampler, policy=policy)
    assert outlook.told_apart_by(spec) == ("lr", "momentum")
    (warning,) = [each for each in spec.warnings if "share a step" in each]
    assert warning.startswith("no two trials share a step: each draws 'lr' and 'momentum' anew for step 0")


@pytest.mark.parametrize(
    "spec",
    [
        study(LATE, max_trials=8),
        study(FREE, max_trials=1),
        grid({"lr": space.choice([0.1, 0.2])}),
        study(FREE, max_trials=8, policy=policies.pbt(2)),
        study(FREE, max_trials=8, policy=policies.dehb(), sampler=samplers.dehb()),
        study(FREE, max_trials=8, sampler=samplers.nsga2()),
        study(FREE, max_trials=8, sampler=samplers.outside()),
        study({"lr": space.choice([0.1, space.uniform(0.1, 0.2)])}, max_trials=64),
    ],
    ids=["late", "one", "grid", "pbt", "dehb", "nsga2", "outside", "conditional"],
)
def test_nobody_is_warned_where_trials_may_share(spec):
    assert outlook.told_apart_by(spec) == ()
    assert not [each for each in spec.warnings if "share a step" in each]


def test_points_given_to_begin_with_are_no_draws():
    points = [{"lr": 0.01, "momentum": 0.9, "flag": 0}, {"lr": 0.01, "momentum": 0.9, "flag": 1}]
    assert outlook.told_apart_by(study(FREE, max_trials=3, initial=points)) == ()


def test_a_long_list_of_names_is_counted():
    assert outlook.in_words(["a"]) == "a"
    assert outlook.in_words(["a", "b"]) == "a and b"
    assert outlook.in_words(["a", "b", "c"]) == "a, b and c"
    assert outlook.in_words(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
