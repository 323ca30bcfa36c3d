"""How studies differ, and which may become which."""

from hippo_core import policies, schedules, space
from hippo_core.study_changes import differences, extended, extends
from tests.studies import grid, study


def test_limits_and_priority_may_grow_and_all_else_is_another_study():
    base = study({"lr": 0.1}, max_trials=3, max_steps=9)
    same = study({"lr": 0.1}, max_trials=3, max_steps=9, bundle="other files, equal code")
    assert differences(same, base) == []
    for change in (
        {"max_trials": 4},
        {"max_steps": 12},
        {"priority": -1},
        {"max_trials": 5, "max_steps": 10},
    ):
        assert extends(extended(base, **change), base), change
    assert not extends(extended(base, max_trials=2), base)
    assert not extends(extended(base, max_steps=8), base)
    assert not extends(extended(base, max_trials=4, max_steps=8), base)
    other = study({"lr": 0.2}, max_trials=4, max_steps=9)
    assert not extends(other, base)
    assert differences(other, base) == ["max_trials: 3 -> 4", "space.lr: 0.1 -> 0.2"]


def test_a_rounded_limit_equals_the_number_that_it_is_rounded_to():
    every = {"program_changes": {"evaluate_every": 10}}
    assert differences(study({"lr": 1}, max_steps=25, **every), study({"lr": 1}, max_steps=30, **every)) == []


def test_differences_are_few_and_short():
    before = study({f"x{index}": index for index in range(8)}, policy=policies.full())
    after = study({f"x{index}": "long" * 40 for index in range(8)}, policy=policies.asha())
    lines = differences(after, before)
    assert len(lines) == 5
    assert lines[-1].startswith("... and ")
    assert all(len(line) < 160 for line in lines)
    removed = differences(study({"lr": 0.1}), study({"lr": 0.1, "momentum": 0.9}))
    assert "space.momentum: 0.9 -> absent" in removed


def test_a_difference_deep_in_a_list_is_shown_alone():
    def searched(last):
        return {"lr": space.choice([0.1, schedules.piecewise([0.1, 0.01, last], [5, 9])])}

    lines = differences(grid(searched(0.002)), grid(searched(0.001)))
    assert lines == ["space.lr.options.1.values.2: 0.001 -> 0.002"]
    longer = differences(grid({"lr": space.choice([0.1])}), grid({"lr": space.choice([0.1, 0.2])}))
    assert "space.lr.options: [0.1,0.2] -> [0.1]" in longer


def test_a_difference_within_a_long_list_is_shown_at_its_place():
    options = [schedules.exponential(0.1, 1 - index / 8) for index in range(8)]
    changed = [*options[:5], schedules.exponential(0.1, 0.3), *options[6:]]
    lines = differences(grid({"lr": space.choice(changed)}), grid({"lr": space.choice(options)}))
    assert lines == ["space.lr.options.5.gamma: 0.375 -> 0.3"]


def test_an_int_and_a_float_are_different_content():
    assert differences(study({"x": 1}), study({"x": 1.0})) != []
    assert differences(study({"x": 1}), study({"x": True})) != []
