"""What happened to a trial, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hippo_core import policies
from hippo_core.engine.events import (
    CheckpointLost,
    Event,
    LeaseBlocked,
    PathFailed,
    ProposalFailed,
    ProposalWanted,
    RequestClosed,
    RequestOpened,
    TrialCreated,
    TrialLimited,
    TrialStateChanged,
    TrialStopped,
    TrialWanted,
)
from hippo_core.engine.explanation import Happening, Stretch, Told, Training, TrialStory, explain
from hippo_core.engine.states import FailureClass, LeaseState, RequestState, TrialState
from hippo_core.engine.user_words import AS_ASKED, EXTENDED, RETRIED, STOPPED
from hippo_core.metric_constraints import MetricConstraint
from hippo_core.objective import Objective
from tests.unit.engine.test_cluster import PIECES, spec

SPEC = spec("digits", PIECES[:1], policy=policies.asha(1, 3))


def told(position: int, event: Event, cause: str = "Report 1/1", actor: str = "a") -> Told:
    return Told(position=position, at=float(position), cause=cause, actor=actor, event=event)


def opened(step: int, reason: str, trained: int = 0) -> Event:
    return RequestOpened(study=1, trial=3, step=step, node=2, reason=reason, trained=trained)


def closed(step: int, state: RequestState, reached: int, value: float | None) -> Event:
    return RequestClosed(sequence=1, study=1, trial=3, step=step, state=state, reached=reached, value=value)


def changed(state: TrialState, reason: str) -> Event:
    return TrialStateChanged(study=1, trial=3, state=state, reason=reason)


def failed(step: int, count: int) -> Event:
    return PathFailed(
        fence=7,
        node=2,
        step=step,
        failure=FailureClass.USER,
        count=count,
        message="ValueError: no",
        traceback="",
    )


def trained(position: int, node: int, start: int, stop: int, **changes: object) -> Training:
    fields: dict[str, object] = {
        "position": position,
        "at": float(position),
        "fence": position,
        "worker": "a",
        "slot": 0,
        "study": 1,
        "node": node,
        "start": start,
        "stop": stop,
        "state": LeaseState.COMPLETED,
        "reason": "",
    }
    return Training(**{**fields, **changes})  # type: ignore[arg-type]


def story(
    events: list[Told], path: tuple[Stretch, ...] = (), ranges: tuple[Training, ...] = ()
) -> TrialStory:
    return TrialStory(
        study=1,
        trial=3,
        spec=SPEC,
        names={1: "digits", 2: "other"},
        path=path,
        told=events,
        trained=ranges,
        measured={1: {"accuracy": 0.84, "loss": 2.0, "cost": 7.0}, 3: {"accuracy": 0.9}},
    )


def lines(found: tuple[Happening, ...]) -> list[tuple[str, int | None, str, str]]:
    return [(each.event, each.step, each.reason, each.by) for each in found]


CREATED = told(10, TrialCreated(study=1, trial=3, assignment={}, max_steps=9), "SubmitStudy 1", "ann")


def test_a_promotion_and_a_stop_are_told_with_the_policy_s_reasons() -> None:
    events = [
        CREATED,
        told(11, opened(1, "enters at step 1"), "SubmitStudy 1", "ann"),
        told(12, closed(1, RequestState.REACHED, 1, 0.84)),
        told(13, changed(TrialState.PAUSED, "at step 1, may be promoted later")),
        told(14, opened(3, "rank 2 of 9 at step 1, 0.84; 3 go on, down to 0.8", 2)),
        told(15, changed(TrialState.WAITING, "")),
        told(16, closed(3, RequestState.REACHED, 3, 0.9)),
        told(17, changed(TrialState.STOPPED, "not promoted beyond step 3: rank 3 of 3")),
    ]
    assert lines(explain(story(events))) == [
        ("created", None, "point 3, as ann submitted the study; at most 9 steps", "sampler grid"),
        ("requested", 1, "enters at step 1", "policy asha"),
        ("reached", 1, "accuracy 0.84", "worker a"),
        ("rests", None, "at step 1, may be promoted later", "policy asha"),
        (
            "requested",
            3,
            "rank 2 of 9 at step 1, 0.84; 3 go on, down to 0.8; trained already up to step 2",
            "policy asha",
        ),
        ("reached", 3, "accuracy 0.9", "worker a"),
        ("stopped", None, "not promoted beyond step 3: rank 3 of 3", "policy asha"),
    ]


def test_of_several_objectives_all_are_told_that_are_known() -> None:
    two = replace(
        SPEC,
        objectives=(Objective(metric="accuracy", maximize=True), Objective(metric="loss", maximize=False)),
    )
    events = [
        CREATED,
        told(12, closed(1, RequestState.REACHED, 1, 0.84)),
        told(16, closed(3, RequestState.REACHED, 3, 0.9)),
    ]
    assert lines(explain(replace(story(events), spec=two)))[1:] == [
        ("reached", 1, "accuracy 0.84, loss 2", "worker a"),
        ("reached", 3, "accuracy 0.9", "worker a"),
    ]


def test_of_repeats_the_means_are_told_once_all_have_come_there() -> None:
    """1. At step 1 all have come. 2. At step 2 the first has come alone, with its own value."""
    repeated = replace(SPEC, repeats=2, constraints=(MetricConstraint("cost <= 5"),))
    events = [
        CREATED,
        told(12, closed(1, RequestState.REACHED, 1, 0.9)),
        told(16, closed(2, RequestState.REACHED, 2, 0.95)),
        told(17, closed(3, RequestState.CANCELLED, 2, None)),
    ]
    assert lines(explain(replace(story(events), spec=repeated)))[1:] == [
        ("reached", 1, "mean of 2 repeats: accuracy 0.84; cost <= 5 violated: cost 7", "worker a"),
        ("reached", 2, "repeat 0: accuracy 0.95", "worker a"),
        ("request cancelled", 2, "", "worker a"),
    ]


def test_steps_tell_who_trained_them_for_whom_and_who_shares_them() -> None:
    """1. Steps 0 to 3 were another study's. 2. Lease 12 was lost on its way. 3. Lease 14 trains a step again."""
    path = (
        Stretch(node=1, start=0, stop=3, others={"digits": (3,), "other": (2, 3)}),
        Stretch(node=2, start=3, stop=9, others={}),
    )
    ranges = (
        trained(5, 1, 0, 4, study=2),
        trained(12, 2, 3, 6, state=LeaseState.EXPIRED, reason="the worker was lost"),
        trained(14, 2, 5, 9, worker="b", slot=1, state=LeaseState.TRAINING),
        trained(13, 4, 3, 9),  # of a node beside the path
    )
    assert lines(explain(story([CREATED], path, ranges))) == [
        (
            "trained",
            3,
            "steps 0 to 3; for study other, before this trial was there; "
            "shared with 1 other trial and 2 of study other, 1 of them to step 3",
            "worker a, slot 0, lease 5",
        ),
        ("created", None, "point 3, as ann submitted the study; at most 9 steps", "sampler grid"),
        (
            "trained",
            6,
            "steps 3 to 6; for this study; expired: the worker was lost",
            "worker a, slot 0, lease 12",
        ),
        (
            "trained",
            9,
            "steps 5 to 9; for this study; 1 of them again; it goes on",
            "worker b, slot 1, lease 14",
        ),
    ]


def test_steps_of_a_deleted_study_are_told_as_such() -> None:
    path = (Stretch(node=1, start=0, stop=3, others={}),)
    assert (
        "for a study that was deleted"
        in lines(explain(story([CREATED], path, (trained(12, 1, 0, 3, study=9),))))[1][2]
    )


def test_what_befalls_the_states_of_a_path_is_told() -> None:
    """A lost checkpoint beyond the trial's own part of a node is another's."""
    path = (Stretch(node=2, start=0, stop=6, others={}),)
    events = [
        CREATED,
        told(11, LeaseBlocked(fence=7, reason="The storage failed: no answer.")),
        told(12, LeaseBlocked(fence=7, reason="")),
        told(
            13, CheckpointLost(node=2, step=3, fence=7, reason="corrupt: a: its blake3 digest is 1, not 2.")
        ),
        told(14, CheckpointLost(node=2, step=9, fence=7, reason="missing: a lacks.")),
    ]
    assert lines(explain(story(events, path)))[1:] == [
        ("blocked", None, "storage: The storage failed: no answer.", "worker a"),
        ("saved again", None, "", "worker a"),
        (
            "checkpoint lost",
            3,
            "corrupt: a: its blake3 digest is 1, not 2; what follows is trained again from the nearest good one",
            "worker a",
        ),
    ]


def test_failures_are_the_trial_s_only_while_it_waits_for_the_step() -> None:
    """1. It fails twice where it waits, and beyond. 2. It is tried again, as a user asked."""
    events = [
        CREATED,
        told(11, failed(0, 1)),  # it has asked for nothing
        told(12, opened(3, "enters at step 3")),
        told(13, failed(3, 1)),  # beyond what it has asked for
        told(14, failed(2, 1)),
        told(15, failed(2, 2)),
        told(16, closed(3, RequestState.FAILED, 2, None)),
        told(17, changed(TrialState.FAILED, "ValueError: no")),
        told(18, failed(2, 1)),  # another's
        told(19, TrialLimited(study=1, trial=3, max_steps=9), "RetryTrials 2", "ben"),
        told(20, opened(3, RETRIED), "RetryTrials 2", "ben"),
    ]
    assert lines(explain(story(events)))[2:] == [
        ("failure", 2, "user failure 1 in a row: ValueError: no", "worker a"),
        ("failure", 2, "user failure 2 in a row: ValueError: no", "worker a"),
        ("request failed", 2, "", "worker a"),
        ("failed", None, "ValueError: no", ""),
        ("limit", 9, "may be trained so far", "user ben"),
        ("requested", 3, "tried again, as a user asked", "user ben"),
    ]


def test_a_proposal_tells_what_its_sampler_could_see() -> None:
    wanted = ProposalWanted(study=1, trial=3, sequence=9, pending=(1, 2), max_steps=9)
    events = [
        told(5, wanted, "Report 1/2"),
        told(
            6,
            ProposalFailed(study=1, trial=3, failures=1, reason="RuntimeError: no"),
            "FailProposal",
            "server",
        ),
        told(10, TrialCreated(study=1, trial=3, assignment={}, max_steps=9), "ProposeTrial", "server"),
    ]
    assert lines(explain(story(events))) == [
        (
            "wanted",
            None,
            "it may see what was known of 3 trials, 2 of them in training",
            "a slot that would idle",
        ),
        ("not proposed", None, "RuntimeError: no", "sampler grid"),
        ("created", None, "proposed; at most 9 steps", "sampler grid"),
    ]


def test_a_user_s_word_is_told_as_such() -> None:
    wanted = TrialWanted(study=1, trial=3, step=14)
    beyond = RequestOpened(study=1, trial=3, step=14, node=2, by_user=True, reason=EXTENDED, trained=9)
    events = [
        CREATED,
        told(11, wanted, "ExtendTrial 3", "ben"),
        told(12, beyond),
        told(13, TrialWanted(study=1, trial=3, step=0), "StopTrial 4", "cleo"),
        told(14, TrialStopped(study=1, trial=3), "StopTrial 4", "cleo"),
        told(15, changed(TrialState.STOPPED, STOPPED), "StopTrial 4", "cleo"),
    ]
    assert lines(explain(story(events)))[1:] == [
        ("extended", 14, "to be trained so far", "user ben"),
        (
            "requested",
            14,
            "trained further, as a user asked; trained already up to step 9",
            "a user's word",
        ),
        ("stopped", None, "stopped by a user", "user cleo"),
    ]


def test_a_fork_of_the_policy_is_told_with_all_that_it_descends_from() -> None:
    """Ancestors' creations come first; what befell them does not belong to the trial."""

    def forked(position: int, number: int, **fork: object) -> Told:
        created = TrialCreated(
            study=1, trial=number, assignment={}, max_steps=9, fork={"hyperparameters": {}, **fork}
        )
        return told(position, created, "Report 1/1", "a")

    events = [
        told(2, TrialCreated(study=1, trial=0, assignment={}, max_steps=9), "SubmitStudy 1", "ann"),
        forked(5, 2, trial=0, at=4, instead_of=1, reason="rank 4 of 4 at step 4, 0.1; lr 0.1 -> 0.12"),
        forked(9, 3, trial=2, at=6),
        told(11, opened(9, "to its end", 6)),
    ]
    assert lines(explain(story(events))) == [
        ("ancestor", None, "trial 0: point 0, as ann submitted the study", "sampler grid"),
        (
            "ancestor",
            4,
            "trial 2: forked from trial 0 in place of trial 1: rank 4 of 4 at step 4, 0.1; lr 0.1 -> 0.12",
            "policy asha",
        ),
        ("created", 6, "forked from trial 2; at most 9 steps", "user a"),
        ("requested", 9, "to its end; trained already up to step 6", "policy asha"),
    ]


def test_what_follows_from_reports_of_several_workers_is_told_of_none() -> None:
    """It is the server's, though its cause is those reports."""
    alone = told(12, closed(1, RequestState.REACHED, 1, 0.84))
    together = told(13, closed(2, RequestState.REACHED, 2, 0.85), "Report 7/1 and 1 more", "server")
    found = {
        each.step: each.by for each in explain(story([CREATED, alone, together])) if each.event == "reached"
    }
    assert found == {1: "worker a", 2: ""}


def test_nobody_decides_that_a_trial_has_come_to_its_end() -> None:
    events = [
        CREATED,
        told(11, changed(TrialState.PAUSED, f"at step 7, {AS_ASKED}")),
        told(12, changed(TrialState.COMPLETED, "")),
    ]
    assert lines(explain(story(events)))[1:] == [
        ("rests", None, "at step 7, as a user asked", "a user's word"),
        ("completed", None, "", ""),
    ]


def test_an_event_of_no_trial_is_refused() -> None:
    from hippo_core.engine.events import StudyDeleted

    with pytest.raises(AssertionError, match="StudyDeleted is not of a trial"):
        explain(story([told(1, StudyDeleted(study=1))]))
