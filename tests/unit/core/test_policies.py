import json

import pytest

from hippo_client import policies as client_policies
from hippo_core import policies, samplers, schedules, space
from hippo_core.errors import InvalidStudy
from hippo_core.objective import Objective
from tests import studies


def wanted(policy):
    """Whom a policy wants to train, and how far."""
    return [(verdict.trial, verdict.to) for verdict in policy.decide()]


def carry_out(policy):
    """Opens what the policy wants, as the engine does."""
    found = wanted(policy)
    for trial, step in found:
        policy.requested(trial, step)
    return found


def observe(policy, trial, step, value):
    policy.observed(trial, step, None if value is None else (float(value),), trial)


def full():
    return policies.full().build((True,), 1, 0)


def test_full_asks_for_every_last_step_and_then_for_nothing():
    policy = full()
    policy.added(0, 27)
    policy.added(1, 9)
    assert wanted(policy) == wanted(policy) == [(0, 27), (1, 9)]
    carry_out(policy)
    assert policy.decide() == []
    observe(policy, 0, 27, 0.5)
    assert policy.decide() == policy.finish() == []


def test_full_goes_on_where_a_limit_was_raised():
    policy = full()
    policy.added(0, 27)
    carry_out(policy)
    observe(policy, 0, 27, 0.5)
    policy.added(0, 81)
    assert wanted(policy) == [(0, 81)]


def test_full_tries_an_ended_trial_again_when_it_is_added_again():
    policy = full()
    policy.added(0, 27)
    carry_out(policy)
    policy.ended(0)
    assert policy.decide() == []
    policy.added(0, 27)
    assert wanted(policy) == [(0, 27)]


@pytest.mark.parametrize(
    ("call", "field", "words"),
    [
        (lambda: policies.asha(grace_period=1), "policies.asha", "Use min_steps"),
        (lambda: policies.asha(eta=3), "policies.asha", "Use reduction_factor"),
        (lambda: policies.asha(max_t=27), "policies.asha", "max_steps, which is the study's"),
        (lambda: policies.asha(min_resource=1), "policies.asha", "Use min_steps"),
        (lambda: policies.asha(stop_once=True), "policies.asha", "policies.asha(stopping=True)"),
        (lambda: policies.asha(num_rungs=4), "policies.asha", "the rungs follow from it"),
        (lambda: policies.asha(divisor=4), "policies.asha", "Use reduction_factor"),
        (lambda: policies.asha(min_early_stopping_rate=1), "policies.asha", "min_steps * reduction_factor"),
        (lambda: policies.asha(bootstrap_count=1), "policies.asha", "no argument for it"),
        (lambda: policies.hyperband(R=81), "policies.hyperband", "max_steps, which is the study's"),
        (lambda: policies.sha(r=1), "policies.sha", "Use min_steps"),
        (lambda: policies.asha(min_steps=0), "policies.asha.min_steps", "at least 1"),
        (lambda: policies.asha(reduction_factor=1), "policies.asha.reduction_factor", "at least 2"),
        (lambda: policies.asha(reduction_factor=2.5), "policies.asha.reduction_factor", "must be an int"),
        (lambda: policies.full(3), "policies.full", "takes 0 arguments"),
        (lambda: policies.sha(max_resource=27), "policies.sha", "max_steps, which is the study's"),
        (lambda: policies.hyperband(eta=3), "policies.hyperband", "Use reduction_factor"),
        (lambda: policies.hyperband(asynchronous=1), "policies.hyperband.asynchronous", "True or False"),
        (lambda: policies.dehb(min_budget=1), "policies.dehb", "Use min_steps"),
        (lambda: policies.dehb(max_fidelity=27), "policies.dehb", "max_steps, which is the study's"),
        (lambda: policies.dehb(eta=3), "policies.dehb", "Use reduction_factor"),
        (lambda: policies.dehb(mutation_factor=0.5), "policies.dehb", "Use mutation."),
        (lambda: policies.dehb(crossover_prob=0.5), "policies.dehb", "Use crossover."),
        (lambda: policies.dehb(strategy="best1_bin"), "policies.dehb", "rand/1/bin"),
        (lambda: policies.dehb(mutation=0), "policies.dehb.mutation", "above 0"),
        (lambda: policies.dehb(crossover=1.1), "policies.dehb.crossover", "from 0 to 1"),
        (lambda: policies.dehb().check(None, 1), "max_steps", "needs a number"),
        (lambda: policies.dehb(27).check(27, 1), "policy.min_steps", "below max_steps"),
        (lambda: policies.fork_asha(grace_period=1), "policies.fork_asha", "Use min_steps"),
        (lambda: policies.fork_asha(brackets=2), "policies.fork_asha", "there is one"),
        (lambda: policies.fork_asha(compare="trials"), "policies.fork_asha", "models are compared"),
        (lambda: policies.fork_asha(27).check(27, 1), "policy.min_steps", "below max_steps"),
        (lambda: policies.phase_tree(grace_period=1), "policies.phase_tree", "where their phases end"),
        (lambda: policies.phase_tree(eta=3), "policies.phase_tree", "more trials go on from it"),
        (lambda: policies.phase_tree(probe_steps=-1), "policies.phase_tree.probe_steps", "at least 0"),
        (lambda: policies.phase_tree(probe_factor=0), "policies.phase_tree.probe_factor", "above 0"),
        (
            lambda: policies.phase_tree(probe_hyperparameter=1),
            "policies.phase_tree.probe_hyperparameter",
            "a name",
        ),
        (lambda: policies.phase_tree().check(None, 1), "max_steps", "needs a number"),
        (lambda: policies.pasha(grace_period=1), "policies.pasha", "Use min_steps"),
        (lambda: policies.asha(stopping="yes"), "policies.asha.stopping", "True or False"),
        (lambda: policies.asha(compare="nodes"), "policies.asha.compare", "'trials' or 'models'"),
        (lambda: policies.asha(brackets=0), "policies.asha.brackets", "at least 1"),
        (lambda: policies.asha(1, 3, brackets=5).check(27, 1), "policy.brackets", "at most 4"),
        (lambda: policies.asha(1, 3, brackets=3).check(25, 10), "policy.brackets", "10, 25"),
        (lambda: policies.median_stopping(n_warmup_steps=3), "policies.median_stopping", "Use min_steps"),
        (lambda: policies.median_stopping(min_steps=27).check(27, 1), "policy", "must lie below max_steps"),
        (lambda: policies.percentile_stopping(0), "policies.percentile_stopping.percentile", "between"),
        (lambda: policies.percentile_stopping(100.0), "policies.percentile_stopping.percentile", "between"),
        (lambda: policies.patience(), "policies.patience", "needs the argument 'evaluations'"),
        (lambda: policies.patience(patience=3), "policies.patience", "Use evaluations"),
        (lambda: policies.patience(3, min_change=-1), "policies.patience.min_change", "at least 0"),
        (lambda: policies.patience(9).check(20, 2), "policy", "step 20, must lie below max_steps, 20"),
        (lambda: policies.threshold_stopping(upper=3), "policies.threshold_stopping", "Use threshold"),
        (lambda: policies.threshold_stopping(float("nan")), "policies.threshold_stopping.threshold", ""),
        (lambda: policies.from_json({"policy": "hyperbands"}), "policy", "Did you mean 'hyperband'"),
        (lambda: policies.from_json({"policy": "asha", "eta": 3}), "policies.asha", "Use reduction_factor"),
        (lambda: policies.from_json("asha"), "policy", "must be an object"),
        (lambda: policies.asha(min_steps=27).check(27, 1), "policy.min_steps", "below max_steps"),
    ],
)
def test_wrong_arguments_name_the_remedy(call, field, words):
    with pytest.raises(InvalidStudy) as caught:
        call()
    assert caught.value.field == field
    assert words in str(caught.value)


SPECS = [
    policies.full(),
    policies.sha(),
    policies.sha(2, 4, compare="models"),
    policies.asha(),
    policies.asha(2, 4),
    policies.asha(1, 3, brackets=2, stopping=True, compare="models"),
    policies.hyperband(2, 4),
    policies.hyperband(asynchronous=True, compare="models"),
    policies.dehb(2, 4, 0.8, 0.9),
    policies.greedy_phases(4),
    policies.greedy_phases(4, 3),
    policies.fork_asha(2, 4, 0.3),
    policies.phase_tree(2, 0.5, "lr"),
    policies.pasha(1, 2),
    policies.auto(),
    policies.manual(2),
    policies.median_stopping(3, 4),
    policies.percentile_stopping(10, min_steps=2),
    policies.patience(3, 0.5, 4),
    policies.threshold_stopping(0.1, min_steps=2),
    policies.pbt(4, 0.2, 0.1, [0.5, 2], asynchronous=True),
    policies.pb2(4, 0.2, 0.1, asynchronous=True),
    policies.trie_asha(2, 4),
]
OWN = policies.own("my_policy:MyPolicy", {"window": 3, "words": ["a", None]}, "c")


@pytest.mark.parametrize("spec", SPECS)
def test_json_round_trip(spec):
    plain = json.loads(json.dumps(spec.to_json()))
    assert policies.from_json(plain) == spec
    assert spec.name == plain["policy"]


def test_each_policy_is_offered_and_has_its_json():
    assert {*(spec.name for spec in SPECS), "own"} == set(policies.POLICIES) == set(client_policies.__all__)


def test_ones_own_policy_is_a_value_too():
    plain = json.loads(json.dumps(OWN.to_json()))
    assert policies.from_json(plain) == OWN
    assert plain["policy"] == "own"
    assert OWN.name == "my_policy:MyPolicy"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"reference": "MyPolicy"}, "names no class"),
        ({"arguments": {"a": float("nan")}}, "cannot be written as JSON"),
        ({"arguments": {"a": {1}}}, "cannot be written as JSON"),
        ({"arguments": {"a": "\0"}}, "NUL"),
        ({"arguments": {1: 2}}, "must be a dict by name"),
        ({"code": 1}, "code must be text"),
    ],
)
def test_ones_own_policy_is_made_with_plain_data(arguments, words):
    with pytest.raises(InvalidStudy, match=words) as caught:
        policies.own(**{"reference": "my_policy:MyPolicy", "arguments": {}, **arguments})
    assert caught.value.field == "policy"


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("objectives", [1, 2])
def test_a_study_of_several_objectives_needs_a_policy_that_compares_them(spec, objectives):
    named = tuple(Objective(metric=name, maximize=True) for name in ("accuracy", "speed")[:objectives])
    late = schedules.piecewise([space.uniform(0, 1), space.uniform(0, 1)], [9])
    searched = {"lr": space.choice([0.1, 0.2]), **({} if spec.name == "trie_asha" else {"momentum": late})}
    more = {
        "max_trials": 2,
        "sampler": samplers.from_json({"sampler": spec.name if spec.proposes else "random"}),
    }
    if objectives == 1 or spec.name in {"full", "manual", "sha", "asha", "hyperband", "auto"}:
        studies.study(searched, objectives=named, policy=spec, **more)
    else:
        with pytest.raises(InvalidStudy, match=f"{spec.name} compares trials by one objective"):
            studies.study(searched, objectives=named, policy=spec, **more)


def test_rounded_rungs_are_told():
    assert policies.asha().check(30, 5) == [
        "asha's rungs are rounded up to multiples of evaluate_every=5: 1 -> 5, 3 -> 5, 9 -> 10, 27 -> 30"
    ]
    assert policies.asha().check(27, 1) == []
