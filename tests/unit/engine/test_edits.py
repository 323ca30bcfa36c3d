"""Edits of studies while they live: what is there stays, what is new follows the edited study, nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import endings, policies, samplers, schedules, space
from hippo_core.engine import points
from hippo_core.engine.changes import Edited, preview
from hippo_core.engine.commands import (
    EditStudy,
    ExtendStudy,
    ForkTrial,
    PauseStudy,
    ProposeTrial,
    ResumeStudy,
    StopStudy,
    StopTrial,
    SubmitStudy,
)
from hippo_core.engine.events import StudyChanged
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.studies import Submitted
from hippo_core.engine.study_views import study_view
from hippo_core.engine.trial_views import TrialView, changed_trial_views, trial_views
from hippo_core.errors import Conflict, InvalidStudy
from hippo_core.objective import Objective
from hippo_core.plan import Node
from hippo_core.policies.own import OwnSpec
from hippo_core.sequence import Sequence
from hippo_core.study import StudySpec
from hippo_core.tree import StageTree
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import (
    FAULTS,
    PIECES,
    distinct_prefixes,
    expect_as_trained_alone,
    spec,
    submit,
)
from tests.unit.engine.test_policies import HALVING, WATCHING, ComparingCluster, study_of


def edit(cluster: Cluster, to: StudySpec, changes: int | None = None) -> Edited:
    result = cluster.tell(EditStudy(project="default", name="study", spec=to, changes=changes))
    assert isinstance(result, Edited)
    return result


def hear(cluster: Cluster, heard: dict[int, TrialView]) -> None:
    """Adds to what somebody who watches has heard of trials what changed since; it is what there is."""
    numbers = range(len(study_of(cluster).trials))
    changed = changed_trial_views(cluster.engine.state, study_of(cluster), numbers, heard)
    heard.update((trial.number, trial) for trial in changed)
    assert tuple(heard[number] for number in numbers) == trial_views(cluster.engine, "default", "study")


def drawing(low: float = 1e-4, high: float = 1e-1, **other: Any) -> StudySpec:
    """Random points of a range."""
    searched = space.Space({"lr": space.loguniform(low, high), "batch": 32, "m": 0.9})
    return replace(spec(), **{"space": searched, "max_trials": 6, "sampler": samplers.random(), **other})


def rates(cluster: Cluster) -> list[float]:
    return [each.hyperparameters["lr"] for each in trial_views(cluster.engine, "default", "study")]


def sequences(cluster: Cluster) -> dict[int, Sequence]:
    return {number: trial.sequence for number, trial in study_of(cluster).trials.items()}


@pytest.mark.parametrize("sampler", [samplers.random(), samplers.qmc(), samplers.tpe()])
def test_trials_stay_what_they_are_and_new_ones_are_drawn_from_the_edited_space(
    sampler: samplers.Sampler,
) -> None:
    """1. Six trials. 2. The range becomes another one, with four trials more. 3. Also after a restart all is so."""
    cluster = ComparingCluster(0, {"a": 2})
    submit(cluster, drawing(sampler=sampler))
    cluster.run()
    before, kept, trained = rates(cluster), sequences(cluster), cluster.trained
    found = edit(cluster, drawing(0.2, 0.3, max_trials=10, sampler=sampler))
    assert found.differences == (
        "max_trials: 6 -> 10",
        "space.lr.high: 0.1 -> 0.3",
        "space.lr.low: 0.0001 -> 0.2",
    )
    cluster.restart_server()
    cluster.run()
    cluster.restart_server()
    assert rates(cluster)[:6] == before
    assert all(sequences(cluster)[number] == sequence for number, sequence in kept.items())
    assert len(rates(cluster)) == 10
    assert all(0.2 <= rate <= 0.3 for rate in rates(cluster)[6:])
    assert len(set(rates(cluster))) == 10
    assert cluster.trained - trained == 4 * 9
    assert study_of(cluster).state is StudyState.COMPLETED
    expect_as_trained_alone(cluster, "study")


def grid(values: list[Any], **other: Any) -> StudySpec:
    searched = space.Space({"lr": space.choice(values), "batch": 32, "m": 0.9})
    return replace(spec(), **{"space": searched, "max_trials": len(values), **other})


def test_a_grid_tries_what_is_no_trial_yet_and_max_trials_is_how_many_there_are_in_all() -> None:
    """1. A grid of four. 2. Two of them leave, three come. 3. These are trained; submitted again, nothing changes."""
    cluster = ComparingCluster(0, {"a": 1})
    submit(cluster, grid([0.1, 0.2, 0.3, 0.4]))
    cluster.run()
    edited = grid([0.5, 0.2, 0.6, 0.4, 0.7])
    assert "max_trials: 4 -> 7" in edit(cluster, edited).differences
    cluster.restart_server()
    cluster.run()
    assert rates(cluster) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert study_of(cluster).spec.max_trials == 7
    again = cluster.tell(SubmitStudy(project="default", user="u", spec=edited))
    assert isinstance(again, Submitted)
    assert again.outcome == "unchanged"
    assert edit(cluster, edited).differences == ()
    expect_as_trained_alone(cluster, "study")


def test_an_edited_grid_is_extended_no_further_than_it_has_points() -> None:
    """1. Of an edited grid only two points are tried. 2. It has one more to give, and refuses a fourth."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, replace(grid([0.1, 0.2]), max_trials=1))
    edit(cluster, replace(grid([0.2, 0.3]), max_trials=2, space=grid([0.2, 0.3, 0.1]).space))
    assert rates(cluster) == [0.1, 0.2]
    before = cluster.engine.snapshot()
    with pytest.raises(InvalidStudy, match="1 points that are no trials yet") as refused:
        cluster.tell(ExtendStudy(project="default", name="study", max_trials=4))
    assert "max_trials=3" in refused.value.hint
    assert cluster.engine.snapshot() == before
    cluster.tell(ExtendStudy(project="default", name="study", max_trials=3))
    assert rates(cluster) == [0.1, 0.2, 0.3]


def test_an_extension_looks_only_at_the_nodes_of_its_own_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """1. A study of 40 trials that share nothing is extended by one, and by another. 2. Each time one node is new."""
    cluster = Cluster(0, {})
    submit(cluster, drawing(max_trials=40))
    looked: list[int] = []
    recompute = StageTree._recompute

    def note(tree: StageTree, node: Node, now: float) -> bool:
        looked.append(node.id)
        return recompute(tree, node, now)

    monkeypatch.setattr(StageTree, "_recompute", note)
    for further in (41, 42):
        before = len(cluster.engine.state.nodes)
        cluster.engine.handle(ExtendStudy(project="default", name="study", max_trials=further), cluster.now)
        assert len(cluster.engine.state.nodes) == before + 1
        assert set(looked) == {max(cluster.engine.state.nodes)}
        looked.clear()


def test_an_extension_by_another_priority_puts_a_study_before_others() -> None:
    """1. Two studies share a plan, the second with shorter paths. 2. It gets a higher priority, and its former one.
    3. What it needs is leased first meanwhile, and the first one's before and after."""
    cluster = Cluster(0, {})
    submit(cluster, drawing(0.1, 0.2))
    submit(cluster, drawing(0.3, 0.4, name="two", max_steps=5))
    state, one, two = cluster.engine.state, study_of(cluster), study_of(cluster, "two")
    assert one.plan == two.plan
    tree = state.plans[one.plan].tree

    def leased_first() -> tuple[int, set[int]]:
        tree.refresh(0.0)
        best = tree.best()
        assert best is not None
        return best.priority, set(state.nodes[best.node].open)

    assert leased_first() == (0, {one.id})
    for priority, first in ((3, two.id), (0, one.id)):
        cluster.tell(ExtendStudy(project="default", name="two", priority=priority))
        assert state.active == {one.id: 0, two.id: priority}
        assert leased_first() == (priority, {first})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (policies.full(), policies.sha(1, 3)),
        (policies.sha(1, 3), policies.full()),
        (policies.sha(1, 3), policies.sha(3, 2)),
        (policies.asha(1, 2, brackets=2), policies.hyperband(1, 3)),
        (policies.full(), policies.sha(1, 2, compare="models")),
        (policies.patience(2), policies.sha(1, 3)),
        (policies.asha(1, 3, stopping=True), policies.patience(2)),
    ],
    ids=lambda policy: str(policy.to_json()),
)
def test_an_edited_policy_comes_to_what_it_would_have_come_to_from_the_start(
    before: policies.PolicySpec, after: policies.PolicySpec
) -> None:
    """1. A study is trained for a while, or to its end, under a policy. 2. It is given another one. 3. That leads each
    trial as far as in a study of its own, and trains nothing that is trained."""
    fresh = Cluster(0, {"a": 2})
    submit(fresh, spec(rates=PIECES[:3], policy=after))
    fresh.run()
    expected = {number: trial.led for number, trial in study_of(fresh).trials.items()}
    for seed, moment in ((1, 0), (2, 60), (3, 10_000)):
        cluster = ComparingCluster(seed, {"a": 2, "b": 1})
        submit(cluster, spec(rates=PIECES[:3], policy=before))
        for _ in range(moment):
            if cluster.engine.state.active:
                cluster.act()
        finished = {
            number
            for number, trial in study_of(cluster).trials.items()
            if trial.reached == 9 and trial.state is TrialState.COMPLETED
        }
        assert edit(cluster, spec(rates=PIECES[:3], policy=after)).differences
        cluster.restart_server()
        cluster.run()
        cluster.restart_server()
        trials = study_of(cluster).trials
        assert {number: trial.led for number, trial in trials.items()} == expected
        completed = {number for number, trial in trials.items() if trial.state is TrialState.COMPLETED}
        assert completed >= finished | {number for number, led in expected.items() if led == 9}
        assert study_of(cluster).state is StudyState.COMPLETED
        expect_as_trained_alone(cluster, "study")
        view = study_view(cluster.engine, "default", "study")
        trained = sum(node.trained - node.start for node in cluster.engine.state.nodes.values())
        assert cluster.trained == trained + view.savings.steps_retrained


def test_trials_that_the_policy_had_stopped_go_on_where_another_one_wants_them() -> None:
    """1. Halving stops most. 2. Under full all go on from where they stood. 3. Only what a user stopped stays so."""
    cluster = ComparingCluster(0, {"a": 2})
    submit(cluster, spec(policy=policies.sha(1, 3)))
    cluster.run()
    stopped = [
        trial.number for trial in study_of(cluster).trials.values() if trial.state is TrialState.STOPPED
    ]
    assert stopped
    cluster.tell(StopStudy(project="default", name="study"))
    edit(cluster, spec(policy=policies.full()))
    cluster.run()
    assert {trial.state for trial in study_of(cluster).trials.values()} == {TrialState.COMPLETED}
    assert cluster.trained == distinct_prefixes(cluster, "study") + study_of(cluster).steps_retrained
    other = ComparingCluster(0, {"a": 2})
    submit(other, spec(policy=policies.sha(1, 3)))
    other.tell(StopTrial(project="default", name="study", trial=7))
    edit(other, spec(policy=policies.full()))
    other.run()
    states = {number: trial.state for number, trial in study_of(other).trials.items()}
    assert states.pop(7) is TrialState.STOPPED
    assert set(states.values()) == {TrialState.COMPLETED}


def test_a_policy_that_stops_earlier_lets_go_what_runs_for_nothing() -> None:
    """1. Everything is asked for to its end. 2. Halving comes: what runs beyond its rungs is told to end."""
    cluster = ComparingCluster(0, {"a": 1})
    submit(cluster, spec())
    edit(cluster, spec(policy=policies.sha(1, 3)))
    cluster.run()
    fresh = Cluster(0, {"a": 1})
    submit(fresh, spec(policy=policies.sha(1, 3)))
    fresh.run()
    assert cluster.trained <= fresh.trained + 9


@pytest.mark.parametrize("after", [policies.sha(1, 2), policies.full()])
def test_forks_of_a_population_go_on_as_trials_under_another_policy(after: policies.PolicySpec) -> None:
    """1. The best of a population are forked. 2. Another policy takes all over. 3. The first one comes back."""
    cluster = ComparingCluster(0, {"a": 2})
    population = policies.pbt(2, 0.5)
    submit(cluster, drawing(policy=population))
    while not study_of(cluster).forks:
        cluster.act()
    edit(cluster, drawing(policy=after))
    cluster.restart_server()
    for _ in range(20):
        cluster.act()
    forked = len(study_of(cluster).trials) - 6
    assert forked > 0
    assert (study_of(cluster).beside, study_of(cluster).forks, study_of(cluster).drawn) == ({0: forked}, 0, 6)
    edit(cluster, drawing(policy=population))
    cluster.restart_server()
    cluster.run()
    cluster.restart_server()
    assert study_of(cluster).state is StudyState.COMPLETED
    expect_as_trained_alone(cluster, "study")


def test_a_population_s_space_is_not_edited() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, drawing(policy=policies.pbt(2)))
    with pytest.raises(InvalidStudy, match="is not that of all trials, and the policy pbt goes on"):
        edit(cluster, drawing(1e-3, policy=policies.pbt(2)))
    edit(cluster, drawing(1e-3, max_trials=7, policy=policies.full()))
    with pytest.raises(InvalidStudy, match="is not that of all trials"):
        edit(cluster, drawing(1e-3, max_trials=7, policy=policies.pbt(2)))


def test_a_paused_study_is_edited_and_goes_on_as_edited() -> None:
    cluster = ComparingCluster(0, {"a": 2})
    submit(cluster, spec(policy=policies.sha(1, 3)))
    for _ in range(60):
        cluster.act()
    cluster.tell(PauseStudy(project="default", name="study"))
    edit(cluster, spec(policy=policies.full()))
    cluster.restart_server()
    assert study_of(cluster).state is StudyState.PAUSED
    cluster.tell(ResumeStudy(project="default", name="study"))
    cluster.run()
    assert {trial.state for trial in study_of(cluster).trials.values()} == {TrialState.COMPLETED}


def test_the_priority_is_edited_and_trains_nothing() -> None:
    cluster = ComparingCluster(0, {"a": 1})
    submit(cluster, drawing())
    cluster.run()
    assert edit(cluster, drawing(priority=7)).differences == ("priority: 0 -> 7",)
    cluster.restart_server()
    assert study_of(cluster).spec.priority == 7
    assert study_of(cluster).state is StudyState.COMPLETED
    assert len(study_of(cluster).trials) == 6


def test_a_sampler_that_learns_sees_the_earlier_trials_that_fit_and_draws_what_it_waits_for_anew() -> None:
    """1. While a point is waited for the range is cut. 2. The answer to the first wish comes too late. 3. The new wish
    shows the fitting trials with their values, the others as failed."""
    cluster = ComparingCluster(0, {"a": 1})
    submit(cluster, drawing(sampler=samplers.tpe()))
    while len(study_of(cluster).trials) < 4 or not cluster.proposals_wanted():
        cluster.act()
    (asked,) = cluster.proposals_wanted()
    ranked = sorted(rates(cluster))
    edit(cluster, drawing(ranked[1], ranked[-1] + 1.0, sampler=samplers.tpe()))
    (wanted,) = cluster.proposals_wanted()
    assert wanted != asked
    assert wanted.trial == asked.trial
    late = ProposeTrial(
        study=asked.study, trial=asked.trial, sequence=asked.sequence, spaces=asked.spaces,
        assignment={"lr": ranked[2]},
    )  # fmt: skip
    cluster.tell(late)
    assert study_of(cluster).proposal is not None
    task = cluster.engine.proposal_task(wanted)
    outside = ranked[0]
    for past, rate in zip(task.history, rates(cluster), strict=True):
        assert past.notes == {}
        if rate == outside:
            assert (past.state, past.assignment, past.values) == (TrialState.FAILED, {}, {})
        else:
            assert past.assignment == {"lr": rate}
    assert any(past.values for past in task.history)
    cluster.restart_server()
    assert cluster.engine.proposal_task(wanted) == task
    cluster.run()
    assert all(ranked[1] <= rate <= ranked[-1] + 1.0 for rate in rates(cluster)[4:])
    assert len(rates(cluster)) == 6


@pytest.mark.parametrize(
    ("before", "after"), [(samplers.random(), samplers.tpe()), (samplers.tpe(), samplers.random())]
)
def test_another_sampler_takes_over(before: samplers.Sampler, after: samplers.Sampler) -> None:
    """1. Trials by one sampler. 2. Another proposes the rest; one that learns sees the earlier ones."""
    cluster = ComparingCluster(0, {"a": 1})
    submit(cluster, drawing(sampler=before))
    for _ in range(40):
        cluster.act()
    drawn = study_of(cluster).drawn
    edit(cluster, drawing(sampler=after, max_trials=9))
    cluster.restart_server()
    if after.learns:
        while not cluster.proposals_wanted():
            cluster.act()
        task = cluster.engine.proposal_task(cluster.proposals_wanted()[0])
        assert any(past.values for past in task.history)
    else:
        assert len(study_of(cluster).trials) == 9
        made = drawing(sampler=after, max_trials=9)
        assert rates(cluster)[drawn:] == [
            made.hyperparameters(made.point(each))["lr"] for each in range(drawn, 9)
        ]
    cluster.run()
    cluster.restart_server()
    assert len(study_of(cluster).trials) == 9
    expect_as_trained_alone(cluster, "study")


def test_a_sampler_that_draws_nothing_new_takes_over_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    """All points are one trial, as what is drawn comes in force after its end: there is none that no trial is."""
    monkeypatch.setattr(points, "MOST_KNOWN", 20)
    late = schedules.piecewise([0.1, space.loguniform(1e-3, 0.1)], milestones=[20])
    alike = space.Space({"lr": late, "batch": 32, "m": 0.9})
    cluster = Cluster(0, {"a": 1})
    program = replace(spec().program, kinds=alike.kinds)
    submit(cluster, drawing(space=alike, program=program, sampler=samplers.tpe()))
    cluster.run()
    edit(cluster, drawing(space=alike, program=program, max_trials=9))
    cluster.restart_server()
    cluster.run()
    assert len(study_of(cluster).trials) == 9
    assert cluster.trained == 9
    expect_as_trained_alone(cluster, "study")


def renamed(name: str, **entries: Any) -> StudySpec:
    """A study of six points whose space has other entries."""
    searched = space.Space({"lr": space.loguniform(1e-4, 1e-1), "batch": 32, "m": 0.9, **entries})
    made = drawing()
    return replace(made, name=name, space=searched, program=replace(made.program, kinds=searched.kinds))


@pytest.mark.parametrize(
    ("to", "error", "message"),
    [
        (
            renamed("study", lr=space.choice([1, 2])),
            InvalidStudy,
            "is of kind int, and the program's is float",
        ),
        (renamed("study", m=space.choice(["a", 0.9])), InvalidStudy, "is of kind categorical"),
        (renamed("study", decay=0.1), InvalidStudy, "is new, but the names"),
        (renamed("other"), InvalidStudy, "is 'other', but the study to edit is 'study'"),
        (drawing(max_trials=5), InvalidStudy, "5 is less than 6"),
        (drawing(max_steps=8), InvalidStudy, "8 is less than 9"),
        (drawing(initial=({"lr": 0.05},)), InvalidStudy, "has a point that it had not"),
        (
            drawing(objectives=(Objective(metric="accuracy", maximize=False),)),
            Conflict,
            "an edit cannot change what is optimised:\nobjectives.0.maximize: true -> false",
        ),
        (
            drawing(program=replace(drawing().program, seed=1)),
            Conflict,
            "an edit cannot change what is trained:\nseed: 0 -> 1",
        ),
    ],
)
def test_what_no_edit_can_change_is_refused_and_changes_nothing(
    to: StudySpec, error: type[Exception], message: str
) -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, drawing())
    before = cluster.engine.snapshot()
    with pytest.raises(error, match=message):
        edit(cluster, to)
    with pytest.raises(error, match=message):
        preview(cluster.engine.state, EditStudy(project="default", name="study", spec=to))
    assert cluster.engine.snapshot() == before


@pytest.mark.parametrize("sampler", [samplers.random(), samplers.tpe()])
def test_points_tried_first_can_be_put_back(sampler: samplers.Sampler) -> None:
    """1. A study with a point to try first. 2. An edit leaves it out, another puts it back. 3. No trial is new."""
    cluster = ComparingCluster(0, {"a": 1})
    made = drawing(sampler=sampler, initial=({"lr": 0.05},))
    submit(cluster, made)
    cluster.run()
    before = rates(cluster)
    edit(cluster, replace(made, initial=()))
    cluster.restart_server()
    assert edit(cluster, made).differences
    cluster.run()
    assert study_of(cluster).spec.initial == made.initial
    assert rates(cluster) == before
    with pytest.raises(InvalidStudy, match="has a point that it had not"):
        edit(cluster, replace(made, initial=({"lr": 0.05}, {"lr": 0.06})))


def test_an_edit_that_starts_a_stopped_study_again_warns_of_it() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, drawing())
    cluster.tell(StopStudy(project="default", name="study"))
    words = "the study was stopped, and this edit starts it again"
    for to, starts in ((drawing(priority=2), False), (drawing(priority=2, policy=policies.sha(1, 3)), True)):
        command = EditStudy(project="default", name="study", spec=to)
        assert (words in preview(cluster.engine.state, command).warnings) is starts
        assert (words in edit(cluster, to).warnings) is starts
        assert (study_of(cluster).state is StudyState.RUNNING) is starts


def test_a_study_of_another_name_is_told_what_to_write() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, drawing())
    with pytest.raises(InvalidStudy) as refused:
        edit(cluster, renamed("other"))
    assert refused.value.hint == "Write name=\"study\", or edit 'other'."


def test_what_dehb_has_proposed_is_not_edited_but_its_limit_is() -> None:
    cluster = ComparingCluster(0, {"a": 1})
    made = drawing(sampler=samplers.dehb(), policy=policies.dehb(1, 3))
    submit(cluster, made)
    for _ in range(30):
        cluster.act()
    for to in (
        drawing(sampler=samplers.dehb(), policy=policies.dehb(1, 2)),
        drawing(),
        drawing(1e-3, sampler=samplers.dehb(), policy=policies.dehb(1, 3)),
    ):
        with pytest.raises(InvalidStudy, match="dehb and its points come together"):
            edit(cluster, to)
    edit(cluster, replace(made, max_trials=9, priority=1))
    cluster.restart_server()
    cluster.run()
    assert len(study_of(cluster).trials) == 9


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (policies.full(), OwnSpec(reference="mine:Mine", code="c")),
        (OwnSpec(reference="mine:Mine", code="c"), policies.full()),
        (OwnSpec(reference="mine:Mine", code="c"), OwnSpec(reference="mine:Mine", code="d")),
    ],
)
def test_a_policy_of_the_user_s_own_is_not_edited(
    before: policies.PolicySpec, after: policies.PolicySpec
) -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, drawing(policy=before))
    with pytest.raises(InvalidStudy, match="a policy of your own cannot be edited"):
        edit(cluster, drawing(policy=after))
    assert edit(cluster, drawing(1e-3, max_trials=7, policy=before)).differences


def test_a_preview_says_what_an_edit_comes_to_and_does_nothing() -> None:
    """1. All six trials are drawn: another range alone draws nothing, and that is told. 2. Nothing has changed."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, drawing())
    before = cluster.engine.snapshot()
    found = preview(cluster.engine.state, EditStudy(project="default", name="study", spec=drawing(1e-3)))
    assert found.differences == ("space.lr.low: 0.0001 -> 0.001",)
    assert any("all 6 trials are drawn already" in warning for warning in found.warnings)
    assert cluster.engine.snapshot() == before
    assert edit(cluster, drawing(1e-3)) == found


def test_an_edit_of_what_somebody_else_has_changed_meanwhile_is_a_conflict() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, drawing())
    edit(cluster, drawing(priority=1), changes=0)
    with pytest.raises(Conflict, match="was changed by somebody else meanwhile"):
        edit(cluster, drawing(1e-3), changes=0)
    edit(cluster, drawing(1e-3, priority=1), changes=1)
    events = [event for event in cluster.journal if isinstance(event, StudyChanged)]
    assert [event.differences for event in events] == [
        ("priority: 0 -> 1",),
        ("space.lr.low: 0.0001 -> 0.001",),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"max_trials": 9},
        {"max_steps": 20},
        {"priority": 3},
        {"endings": (endings.target(2.0),)},
        {"endings": (endings.plateau(3),)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_file_is_the_same_study_whatever_that_was_extended_by_since(changes: dict[str, Any]) -> None:
    """1. A study is extended, and extended once more. 2. What it was at first is submitted again: it stays so."""
    cluster = Cluster(0, {"a": 2})
    submit(cluster, drawing())
    cluster.tell(ExtendStudy(project="default", name="study", **changes))
    cluster.tell(ExtendStudy(project="default", name="study", priority=7))
    cluster.restart_server()
    before = cluster.engine.snapshot()
    found = cluster.tell(SubmitStudy(project="default", user="u", spec=drawing()))
    assert isinstance(found, Submitted)
    assert found.outcome == "unchanged"
    assert next(iter(changes)) in found.warnings[-1]
    assert "priority: 0 -> 7" in found.warnings[-1]
    assert found.warnings[-1].endswith("to change it back: hippo study edit study STUDY.py")
    assert cluster.engine.snapshot() == before


def test_a_file_is_the_same_study_whatever_that_was_edited_to_since() -> None:
    """1. Another range. 2. The file with the former one is the same study. 3. A third range is a conflict."""
    cluster = Cluster(0, {"a": 2})
    submit(cluster, drawing())
    edit(cluster, drawing(1e-3))
    found = cluster.tell(SubmitStudy(project="default", user="u", spec=drawing()))
    assert isinstance(found, Submitted)
    assert found.outcome == "unchanged"
    assert "space.lr.low: 0.0001 -> 0.001" in found.warnings[-1]
    assert study_of(cluster).spec.space == drawing(1e-3).space
    with pytest.raises(Conflict):
        submit(cluster, drawing(1e-2))


def test_a_file_that_takes_an_ending_away_is_told_of_it() -> None:
    cluster = Cluster(0, {"a": 2})
    submit(cluster, drawing())
    cluster.tell(ExtendStudy(project="default", name="study", endings=(endings.target(2.0),)))
    found = cluster.tell(SubmitStudy(project="default", user="u", spec=drawing(max_trials=12)))
    assert isinstance(found, Submitted)
    assert (found.outcome, found.warnings[-1]) == (
        "extended",
        "the study had an ending target, which is taken away",
    )


def test_another_content_is_a_conflict_whose_hint_names_the_edit() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, drawing())
    with pytest.raises(Conflict) as refused:
        submit(cluster, drawing(1e-3))
    assert "hippo study edit study STUDY.py" in refused.value.hint
    with pytest.raises(Conflict) as refused:
        submit(cluster, drawing(program=replace(drawing().program, seed=1)))
    assert "edit" not in refused.value.hint, "no edit can change the program"


@settings(max_examples=80)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(
            st.integers(1, 60),
            st.sampled_from(
                [*FAULTS, "policy", "policy", "space", "space", "restart_server", "stop", "fork"]
            ),
            st.sampled_from(["a", "b"]),
            st.integers(0, 2**16),
        ),
        max_size=10,
    ),
    st.sampled_from([policies.full(), *HALVING, *WATCHING]),
    st.sampled_from([samplers.grid(), samplers.random(), samplers.tpe()]),
)
def test_after_edits_and_faults_every_history_is_exact_and_restarts_change_nothing(
    seed: int,
    happens: list[tuple[int, str, str, int]],
    policy: policies.PolicySpec,
    sampler: samplers.Sampler,
) -> None:
    """1. Spaces and policies are edited, trials stopped and forked, faults strike; who watches hears of all of it.
    2. All ends, exactly, and each trial keeps its sequence."""
    every = [policies.full(), *HALVING, *WATCHING]
    made = replace(
        spec(rates=PIECES[:2], policy=policy),
        sampler=sampler,
        max_trials=12 if sampler.enumerates else 6,
    )
    cluster = ComparingCluster(seed, {"a": 2, "b": 1})
    submit(cluster, made)
    kept: dict[int, Sequence] = {}
    heard: dict[int, TrialView] = {}
    for count, what, worker, chosen in happens:
        for _ in range(count):
            if cluster.engine.state.active:
                cluster.act()
        kept |= sequences(cluster)
        hear(cluster, heard)
        here = study_of(cluster).spec
        match what:
            case "policy":
                edit(cluster, replace(here, policy=every[chosen % len(every)]))
            case "space":
                rate = space.choice([0.1, PIECES[1 + chosen % 5], 0.1 / (2 + chosen % 7)])
                searched = space.Space({**here.space.entries, "lr": rate})
                count = samplers.grid().count(searched) or 0
                more = count if sampler.enumerates else here.max_trials + chosen % 3
                edit(cluster, replace(here, space=searched, max_trials=more, earlier=0))
            case "stop":
                cluster.tell(
                    StopTrial(project="default", name="study", trial=chosen % len(study_of(cluster).trials))
                    if study_of(cluster).trials
                    else PauseStudy(project="default", name="study")
                )
            case "fork":
                if study_of(cluster).trials:
                    cluster.tell(
                        ForkTrial(
                            project="default",
                            name="study",
                            trial=chosen % len(study_of(cluster).trials),
                            at=chosen % 9,
                            hyperparameters={"lr": 0.07},
                        )
                    )
            case _:
                strike = getattr(cluster, what)
                strike(*([worker] if what not in {"restart_server", "lose_checkpoint"} else []))
    if study_of(cluster).state is StudyState.PAUSED:
        cluster.tell(ResumeStudy(project="default", name="study"))
    cluster.run()
    cluster.restart_server()
    expect_as_trained_alone(cluster, "study")
    hear(cluster, heard)
    study = study_of(cluster)
    assert {number: study.trials[number].sequence for number in kept} == kept
    assert study.drawn == study.spec.max_trials
    assert {trial.state for trial in study.trials.values()} <= {TrialState.COMPLETED, TrialState.STOPPED}
    if sampler.enumerates:
        drawn = [study.hyperparameters(trial) for trial in study.trials.values() if trial.fork is None]
        assert len({str(each) for each in drawn}) == len(drawn), "no point is tried twice"
