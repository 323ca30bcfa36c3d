import json
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers, schedules, space
from hippo_core.static_plan import plan_studies
from hippo_core.study_changes import extended
from tests import oracle, strategies
from tests.studies import grid, grid_of_options, study

MOST_TRIALS = 64
PARTS = schedules.piecewise([space.uniform(0.1, 0.2), space.uniform(0.1, 0.2)], milestones=[9])


@settings(max_examples=200)
@given(strategies.grids(), st.integers(1, 30))
def test_the_steps_are_the_number_of_distinct_value_prefixes(options, steps):
    spec = grid_of_options(options, max_trials=1, max_steps=steps)
    trials = samplers.grid().count(spec.space)
    assume(trials <= MOST_TRIALS)
    counts = plan_studies([extended(spec, max_trials=trials)]).studies[0].counts
    histories = list(oracle.histories(options, lambda chosen: steps))
    assert counts.trials == len(histories)
    assert counts.steps_without_sharing == steps * len(histories)
    assert counts.steps_with_sharing == oracle.distinct_prefixes(histories)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 5)),
        min_size=1,
        max_size=6,
        unique=True,
    ),
    st.integers(1, 4),
)
def test_trials_of_different_lengths_are_counted_to_their_ends(shapes, every):
    assume(all(sum(shape) > 0 for shape in shapes))
    options = [
        {"schedule": "wsd", "peak": 0.1, "warmup": w, "stable": s, "decay": d, "final": 0.0}
        for w, s, d in shapes
    ]
    spec = grid_of_options(
        {"lr": options}, max_steps=space.end_of("lr"), program_changes={"evaluate_every": every}
    )

    def stop(chosen):
        end = chosen["lr"]["warmup"] + chosen["lr"]["stable"] + chosen["lr"]["decay"]
        while end % every:
            end += 1
        return end

    histories = list(oracle.histories({"lr": options}, stop))
    counts = plan_studies([spec]).studies[0].counts
    assert counts.steps_without_sharing == sum(len(history) for history in histories)
    assert counts.steps_with_sharing == oracle.distinct_prefixes(histories)
    assert counts.critical_path_steps == max(len(history) for history in histories)


def test_repeats_are_counted_and_share_nothing_with_each_other():
    options = {"lr": [0.1, {"schedule": "piecewise", "values": [0.1, 0.01], "milestones": [3]}]}
    once, often = (plan_studies([grid_of_options(options, max_steps=9, repeats=count)]) for count in (1, 3))
    together = plan_studies([grid_of_options(options, max_steps=9, repeats=count) for count in (1, 3)])
    assert often.studies[0].counts.trials == once.studies[0].counts.trials == 2
    assert often.studies[0].counts.steps_without_sharing == 3 * 18
    assert often.studies[0].counts.steps_with_sharing == 3 * once.studies[0].counts.steps_with_sharing
    assert together.together.steps_with_sharing == often.together.steps_with_sharing, "repeat 0 is shared"


def step(a, b, at):
    return schedules.piecewise([a, b], milestones=[at])


def test_the_first_known_space():
    decayed = schedules.piecewise([0.1, 0.01, 0.001], milestones=[60, 90])
    spec = grid(
        {
            "lr": space.choice(
                [
                    decayed,
                    schedules.piecewise([0.1, 0.01, 0.001], milestones=[80, 100]),
                    step(0.1, 0.01, 90),
                    schedules.piecewise([0.1, 0.02, 0.004, 0.0008], milestones=[60, 80, 100]),
                    schedules.warmup(5, decayed),
                    schedules.warmup(5, schedules.exponential(0.1, 0.95)),
                    schedules.cosine_restarts(0.1, 0.0, 20),
                ]
            ),
            "batch_size": space.choice([128, step(128, 256, 60), step(128, 256, 100), 256]),
            "momentum": space.choice(
                [
                    0.9,
                    step(0.9, 0.95, 60),
                    step(0.9, 0.95, 100),
                    schedules.piecewise([0.7, 0.8, 0.9], milestones=[40, 80]),
                ]
            ),
            "weight_decay": space.choice([1e-4, 5e-4]),
            "nesterov": space.choice([0, 1]),
        },
        max_steps=120,
    )
    plan = plan_studies([spec]).studies[0]
    assert plan.counts.trials == 448
    assert plan.counts.steps_without_sharing == 53_760
    assert plan.counts.steps_with_sharing == 22_048
    assert round(plan.counts.merge_rate, 3) == 2.438
    assert plan.root_splits == {
        "batch_size": 2,
        "lr": 2,
        "momentum": 2,
        "nesterov": 2,
        "weight_decay": 2,
    }


def test_the_second_known_space():
    spec = grid(
        {
            "lr": space.choice(
                [
                    schedules.linear(5e-5, 0.0, 27),
                    schedules.linear(3e-5, 0.0, 27),
                    step(3e-5, 1e-5, 9),
                    step(3e-5, 1e-5, 24),
                    3e-5,
                ]
            ),
            "batch_size": space.choice([16, step(16, 32, 18), step(16, 32, 22), 32]),
            "max_length": space.choice([384, step(128, 384, 20)]),
        }
    )
    counts = plan_studies([spec]).studies[0].counts
    assert (counts.trials, counts.steps_without_sharing, counts.steps_with_sharing) == (40, 1_080, 528)
    assert round(counts.merge_rate, 3) == 2.045


def test_trunk_and_cooldown():
    family = [schedules.wsd(0.1, warmup=5, stable=stable, decay=20) for stable in (20, 40, 60, 80, 100)]
    spec = grid({"lr": space.choice(family)}, max_steps=space.end_of("lr"))
    counts = plan_studies([spec]).studies[0].counts
    assert (counts.steps_without_sharing, counts.steps_with_sharing) == (425, 205)
    assert round(counts.merge_rate, 3) == 2.073
    assert counts.critical_path_steps == 125


def test_nodes_do_not_grow_with_the_steps_of_a_smooth_schedule():
    smooth = [
        schedules.exponential(0.1, 0.99),
        schedules.cosine(0.1, 0.0, 500),
        schedules.cosine_restarts(0.1, 0.0, 10),
        schedules.cyclic(0.1, 0.2, 3, 4),
        schedules.step_decay(0.1, 0.9, 2),
        schedules.one_cycle(0.1, 500),
        schedules.table([step / 7 for step in range(500)]),
    ]
    for schedule in smooth:
        counts = plan_studies([study({"lr": schedule}, max_steps=500)]).studies[0].counts
        assert (counts.nodes, counts.stages, counts.steps_with_sharing) == (1, 1, 500)


def test_stages_are_nodes_cut_where_trials_fork_or_end():
    """
    1. Three trials share step 0..8; one changes at 9, one at 18, one never: they have 3 nodes.
    2. The first node is cut at 9, 18 and 27.
    """
    spec = grid({"lr": space.choice([0.1, step(0.1, 0.01, 9), step(0.1, 0.01, 18)])})
    counts = plan_studies([spec]).studies[0].counts
    assert (counts.nodes, counts.stages) == (3, 5)
    assert counts.steps_with_sharing == 27 + 18 + 9


def test_studies_share_only_within_a_program():
    one = study({"lr": 0.1}, name="one")
    same = study({"lr": step(0.1, 0.01, 9)}, name="same")
    other = study({"lr": 0.1}, name="other", program_changes={"code_digest": "changed"})
    plan = plan_studies([one, same, other])
    assert [each.counts.steps_with_sharing for each in plan.studies] == [27, 27, 27]
    assert plan.together.steps_with_sharing == 27 + 18 + 27
    assert plan.together.trials == 3


def test_values_of_other_types_share_nothing():
    spec = grid({"flag": space.choice([1, True, "1", None])})
    assert plan_studies([spec]).studies[0].counts.steps_with_sharing == 4 * 27


def test_a_trial_without_a_hyperparameter_differs_from_every_value():
    options = [{"name": "sgd", "momentum": 0.9}, {"name": "sgd"}]
    spec = grid({"optimizer": space.choice(options)})
    assert plan_studies([spec]).studies[0].counts.steps_with_sharing == 2 * 27


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            study({"lr": space.uniform(0.1, 0.2)}, max_trials=8),
            "no two trials share a step: each draws 'lr' anew for step 0",
        ),
        (study({"lr": space.uniform(0.1, 0.2)}, max_trials=8), "to share, let trials start alike"),
        (study({"lr": PARTS}, max_trials=8), "to share, take a search that forks where a later phase begins"),
        (
            study({"lr": PARTS}, max_trials=8, policy=policies.fork_asha(), sampler=samplers.fork_asha()),
            "what the policy 'fork_asha' shares comes with its forks",
        ),
        (
            grid({"lr": space.choice([0.1, 0.2, 0.3])}),
            "next to nothing (merge rate 1.00): at step 0 of 3 trials 'lr' has 3",
        ),
        (study({"lr": 0.1}, policy=policies.asha()), "the policy 'asha' trains fewer"),
        (
            study({"lr": space.choice([0.1, 0.2])}, max_trials=2, policy=policies.pbt(2)),
            "the policy 'pbt' trains as many steps, in 2 places: a fork goes on from its parent's state",
        ),
        (study({"lr": 0.1}, program_changes={"evaluate_every": 10}), "rounded up to 30"),
        (study({"lr": 0.1}, sampler=samplers.outside()), "random points are counted in their place"),
        (study({"lr": 0.1}, sampler=samplers.tpe()), "random points are counted in place of its own"),
    ],
)
def test_hints(spec, words):
    hints = plan_studies([spec]).studies[0].hints
    assert any(words in hint for hint in hints), hints


def test_only_searches_that_the_study_could_take_are_named():
    plain = study({"lr": PARTS}, max_trials=8)
    two = replace(plain, objectives=(*plain.objectives, replace(plain.objectives[0], metric="other")))
    named = [
        any("policies." in hint for hint in plan_studies([each]).studies[0].hints) for each in (plain, two)
    ]
    assert named == [True, False]


@pytest.mark.parametrize(
    "spec",
    [
        study({"lr": schedules.piecewise([0.1, space.uniform(0.1, 0.2)], [9])}, max_trials=8),
        grid({"lr": space.choice([0.1, step(0.1, 0.01, 18)])}),
        study({"lr": space.uniform(0.1, 0.2)}, max_trials=1),
    ],
)
def test_who_shares_or_is_alone_is_not_told_how_to_share(spec):
    planned = plan_studies([spec]).studies[0]
    assert not [hint for hint in planned.hints if "to share" in hint or "share a step" in hint]


def test_the_phases_are_those_of_the_trials_with_what_is_drawn_for_each():
    late = schedules.piecewise([0.1, space.loguniform(1e-4, 1e-2)], [space.integer(5, 20, name="at")])
    spec = study({"lr": late, "batch_size": space.choice([32, 64])}, max_trials=40)
    starts = [spec.point(number)["at"] for number in range(40)]
    phases = plan_studies([spec]).to_json()["studies"][0]["phases"]
    assert phases == [
        {"start": 0, "latest_start": 0, "names": ["batch_size"]},
        {"start": 5, "latest_start": 5, "names": ["at"]},
        {"start": min(starts), "latest_start": max(starts), "names": ["lr/values/1"]},
    ]


def test_what_acts_beyond_the_end_is_in_no_phase():
    late = schedules.piecewise([0.1, space.loguniform(1e-4, 1e-2)], [27])
    assert plan_studies([study({"lr": late}, max_trials=2)]).studies[0].phases == ()


def test_the_json_has_the_promised_shape():
    plan = json.loads(json.dumps(plan_studies([study({"lr": 0.1})]).to_json()))
    assert list(plan) == ["studies", "together"]
    assert set(plan["studies"][0]) == {
        "study",
        "trials",
        "steps_without_sharing",
        "steps_with_sharing",
        "merge_rate",
        "critical_path_steps",
        "nodes",
        "stages",
        "root_splits",
        "phases",
        "hints",
    }
    assert plan["studies"][0]["merge_rate"] == plan["together"]["merge_rate"] == 1.0


def test_a_population_is_not_told_to_draw_less():
    """Its trials share with their forks, whatever is drawn at step 0."""
    made = study({"lr": space.loguniform(1e-4, 1e-1)}, max_trials=8, policy=policies.pbt(2))
    (hint,) = plan_studies([made]).studies[0].hints
    assert hint.startswith("the policy 'pbt' trains as many steps")
