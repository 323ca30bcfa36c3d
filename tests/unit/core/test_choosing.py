"""What policies.auto() stands for, and that a study keeps to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hippo_core import policies, samplers, schedules, space
from hippo_core.choosing import by_slots, choose
from hippo_core.engine.commands import EditStudy, ExtendStudy, RegisterWorker, SlotSpec, SubmitStudy
from hippo_core.engine.engine import Engine
from hippo_core.engine.studies import Submitted
from hippo_core.errors import Conflict, InvalidStudy
from hippo_core.objective import Objective
from hippo_core.static_plan import plan_studies
from hippo_core.study import StudySpec
from hippo_core.study_changes import differences
from tests.studies import study
from tests.unit.engine.cluster import Cluster

FLAT = {"lr": schedules.cosine(space.loguniform(1e-3, 1.0), 0.0, 27)}


def parts(count: int) -> Any:
    milestones = [9 * part for part in range(1, count)]
    return schedules.piecewise([space.loguniform(1e-3, 1.0) for _ in range(count)], milestones)


def auto(entries: Any, **changes: Any) -> StudySpec:
    arguments = {"max_trials": 64, "policy": policies.auto(), "sampler": samplers.auto(), **changes}
    return study(entries, **arguments)


def test_where_there_is_nothing_to_fork_at_it_is_asha_with_tpe_and_says_so() -> None:
    made = choose(auto(FLAT), 4)
    assert (made.policy, made.sampler) == (policies.asha(), samplers.tpe())
    assert made.chosen is not None
    assert made.chosen.slots == 4
    assert made.chosen.reason.startswith(
        "all that is drawn acts from step 0 on, so that there is no phase to fork at"
    )


def test_with_horizons_it_is_asha_with_tpe_and_says_so() -> None:
    entries = {"lr": schedules.wsd(space.choice([0.1, 0.2]), 2, decay=0.25)}
    made = auto(entries, horizons=(8, 16, 24), max_steps=24)
    chosen = choose(made, 2)
    assert (chosen.policy, chosen.sampler) == (policies.asha(), samplers.tpe())
    assert chosen.chosen is not None
    assert "there are horizons" in chosen.chosen.reason
    assert [least for least, _ in by_slots(made)] == [1]


@pytest.mark.parametrize(
    ("entries", "slots", "changes", "policy", "words"),
    [
        (
            {"lr": parts(3)},
            2,
            {},
            "phase_tree",
            "2 later phases to fork at, for which 2 of 3 values are drawn, and about 21 trials a phase for 2 slots",
        ),
        (
            {"lr": parts(3)},
            11,
            {},
            "fork_asha",
            "about 21 trials a phase are too few for phase_tree in 11 slots; 2 later phases to fork at",
        ),
        (
            {"lr": parts(3)},
            32,
            {"max_trials": 192},
            "phase_tree",
            "about 64 trials a phase for 32 slots; a trial is one phase",
        ),
        (
            {"lr": parts(3)},
            2,
            {"max_trials": 22},
            "fork_asha",
            "about 7 trials a phase are too few for phase_tree in 2 slots; 2 later",
        ),
        (
            {"lr": parts(3)},
            2,
            {"max_trials": 600},
            "phase_tree",
            "a trial is one phase of a schedule then, not a whole one: 600 come to about 3700 steps",
        ),
        ({"lr": parts(3), "m": parts(1), "w": parts(1)}, 1, {}, "fork_asha", "2 later phases to fork at"),
        ({"lr": parts(2)}, 1, {}, "fork_asha", "1 later phase to fork at, for which 1 of 2 values are drawn"),
    ],
    ids=[
        "tree",
        "many slots",
        "many slots and trials",
        "few trials",
        "many trials",
        "more early",
        "one later phase",
    ],
)
def test_phases_and_slots_decide(
    entries: Any, slots: int, changes: dict[str, Any], policy: str, words: str
) -> None:
    made = choose(auto(entries, **changes), slots)
    assert (made.policy.name, made.sampler.to_json()["sampler"]) == (policy, policy)
    assert made.chosen is not None
    assert words in made.chosen.reason


@pytest.mark.parametrize("trials", [64])
def test_a_phase_tree_comes_to_about_as_many_steps_as_is_said(trials: int) -> None:
    made = choose(auto({"lr": parts(3)}, max_trials=trials), 1)
    assert made.chosen is not None
    said = int(made.chosen.reason.split()[-2])
    cluster = Cluster(0, {"a": 1})
    cluster.tell(SubmitStudy(project="default", user="u", spec=made))
    cluster.run()
    assert said == pytest.approx(cluster.trained, rel=0.15)


def test_a_finite_space_is_a_trie() -> None:
    made = choose(auto({"lr": space.choice([0.1, schedules.piecewise([0.1, 0.01], [9])])}, max_trials=2), 4)
    assert (made.policy, made.sampler) == (policies.trie_asha(), samplers.trie_asha())


def test_where_what_suits_does_not_fit_the_next_is_taken_and_it_is_said() -> None:
    two = (Objective(metric="accuracy", maximize=True), Objective(metric="loss", maximize=False))
    made = choose(auto({"lr": parts(2)}, objectives=two), 1)
    assert (made.policy, made.sampler) == (policies.asha(), samplers.tpe())
    assert made.chosen is not None
    assert made.chosen.reason.startswith(
        "fork_asha does not fit (policy: fork_asha compares trials by one objective"
    )


def test_the_numbers_of_slots_at_which_another_is_chosen() -> None:
    assert [(least, made.policy.name) for least, made in by_slots(auto({"lr": parts(3)}))] == [
        (1, "phase_tree"),
        (11, "fork_asha"),
    ]
    assert [(least, made.policy.name) for least, made in by_slots(auto(FLAT))] == [(1, "asha")]


def test_where_nothing_can_be_promoted_all_are_trained_to_their_end() -> None:
    made = choose(auto({"lr": space.loguniform(1e-3, 1.0)}, max_steps=1), 4)
    assert (made.policy, made.sampler) == (policies.full(), samplers.random())


def test_another_policy_is_what_it_is() -> None:
    spec = study(FLAT, policy=policies.asha())
    assert choose(spec, 4) is spec


def test_a_choice_survives_json_and_is_no_part_of_the_content() -> None:
    made = choose(auto(FLAT), 4)
    again = StudySpec.from_json(json.loads(json.dumps(made.to_json())))
    assert again == made
    assert again.chosen == made.chosen
    named = study(FLAT, max_trials=64, policy=policies.asha(), sampler=samplers.tpe())
    assert not differences(named, made)


@pytest.mark.parametrize(
    ("call", "field", "words"),
    [
        (lambda: policies.auto(min_steps=3), "policies.auto", "name the policy that is chosen"),
        (lambda: policies.auto(eta=3), "policies.auto", "has no argument 'eta'"),
        (lambda: auto(FLAT, sampler=samplers.tpe()), "sampler", "policies.auto() brings its own points"),
        (lambda: auto(FLAT, policy=policies.asha()), "policy", "Use policies.auto()"),
    ],
)
def test_wrong_calls_name_the_remedy(call: Any, field: str, words: str) -> None:
    with pytest.raises(InvalidStudy) as caught:
        call()
    assert caught.value.field == field
    assert words in str(caught.value)


def test_a_plan_says_what_is_chosen_for_how_many_slots() -> None:
    (planned,) = plan_studies([auto(FLAT)]).studies
    assert planned.hints[0].startswith("policies.auto() is asha: all that is drawn acts from step 0 on")


# Within the engine


def engine(slots: int) -> Engine:
    made = Engine()
    if slots:
        register(made, "a", slots)
    return made


def register(made: Engine, name: str, slots: int) -> None:
    spec = tuple(SlotSpec(index=index, device="cpu", model="", cpus=1, gpus=0) for index in range(slots))
    made.handle(
        RegisterWorker(worker=name, incarnation="1", host=name, slots=spec, environment={"python": "3.11"}),
        0.0,
    )


def submit(made: Engine, spec: StudySpec) -> str:
    result = made.handle(SubmitStudy(project="default", user="u", spec=spec), 0.0).result
    assert isinstance(result, Submitted)
    return result.outcome


def there(made: Engine) -> StudySpec:
    found = made.state.study_named("default", "study")
    assert found is not None
    return found.spec


def test_a_study_is_chosen_for_the_slots_there_are_when_it_is_created() -> None:
    for slots in (0, 1, 5):
        made = engine(slots)
        submit(made, auto(FLAT))
        assert there(made) == choose(auto(FLAT), max(1, slots))
        assert there(made).chosen == choose(auto(FLAT), max(1, slots)).chosen


def test_who_submits_it_again_finds_it_whatever_slots_there_are() -> None:
    made = engine(1)
    assert submit(made, auto(FLAT)) == "created"
    before = there(made)
    register(made, "b", 50)
    assert submit(made, auto(FLAT)) == "unchanged"
    assert submit(made, auto(FLAT, max_trials=99)) == "extended"
    assert submit(made, auto(FLAT)) == "unchanged"
    named = study(FLAT, max_trials=99, policy=policies.asha(), sampler=samplers.tpe())
    assert submit(made, named) == "unchanged"
    assert (there(made).policy, there(made).chosen) == (before.policy, before.chosen)


def test_an_extension_keeps_the_choice() -> None:
    made = engine(1)
    submit(made, auto(FLAT))
    before = there(made).chosen
    made.handle(ExtendStudy(project="default", name="study", max_trials=70), 0.0)
    assert there(made).chosen == before is not None


def test_another_space_is_a_conflict_that_shows_it() -> None:
    made = engine(1)
    submit(made, auto(FLAT))
    with pytest.raises(Conflict, match="final"):
        submit(made, auto({"lr": schedules.cosine(space.loguniform(1e-3, 1.0), 0.5, 27)}))


def test_an_edit_that_names_a_policy_takes_the_choice_away() -> None:
    made = engine(1)
    submit(made, auto(FLAT))
    named = study(FLAT, max_trials=64, policy=policies.full(), sampler=samplers.tpe())
    made.handle(EditStudy(project="default", name="study", spec=named), 0.0)
    assert (there(made).policy, there(made).chosen) == (policies.full(), None)
    made.handle(EditStudy(project="default", name="study", spec=auto(FLAT)), 0.0)
    assert (there(made), there(made).chosen) == (choose(auto(FLAT), 1), choose(auto(FLAT), 1).chosen)
