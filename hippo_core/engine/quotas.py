"""Limits of users and projects: what is refused, what pauses, and in which words.

A study or a trial too many is refused when it is asked for. Points that samplers propose wait until there is room, and
so do paths that have no slot left (``hippo_core.engine.turns``). Studies pause when the slot seconds are used up.
"""

from __future__ import annotations

from collections.abc import Iterator

from hippo_core.billing import MICROSECONDS
from hippo_core.engine.decision import Decision
from hippo_core.engine.events import StudyStateChanged
from hippo_core.engine.state import Account, EngineState
from hippo_core.engine.states import ENDED_STUDY_STATES, StudyState
from hippo_core.engine.study import Study
from hippo_core.errors import Conflict
from hippo_core.study import StudySpec

SECONDS_AN_HOUR = 3600.0


def _accounts(state: EngineState, project: str, user: str) -> Iterator[tuple[Account, str, str]]:
    """A user's account and the project's, each with who it is in words, and how it is changed."""
    for name, words, remedy in (
        (user, f"user {user}", f"hippo user edit {user}"),
        ("", f"project {project}", f"hippo project edit {project}"),
    ):
        account = state.accounts.get((project, name))
        if account is not None:
            yield account, words, remedy


def open_studies(state: EngineState, account: Account) -> list[Study]:
    """The studies of a user or a project that run or are paused."""
    return [
        study
        for study in state.studies.values()
        if study.project == account.project
        and account.user in {"", study.user}
        and study.state not in ENDED_STUDY_STATES
    ]


def trials_of(spec: StudySpec) -> int:
    """How many trials a study makes when it is submitted."""
    return spec.known_trials * spec.trials_of_a_point


def require_room(
    state: EngineState,
    project: str,
    user: str,
    *,
    studies: int = 0,
    trials: int = 0,
    priority: int | None = None,
) -> None:
    """Makes sure that limits leave room.

    Args:
        state: Not changed.
        project: The project.
        user: Whose studies they are.
        studies: So many more studies run.
        trials: So many more trials wait to be trained.
        priority: A study's; None: it is not changed.

    Raises:
        Conflict: Names the limit and the remedy.
    """
    for account, who, edit in _accounts(state, project, user):
        limits = account.allowance
        ask = f"or have an administrator raise it ({edit}"
        if studies and limits.max_studies is not None:
            there = len(open_studies(state, account))
            if there + studies > limits.max_studies:
                raise Conflict(
                    f"{who} has {there} studies that run or are paused, and may have {limits.max_studies}.",
                    f"Stop one of them (hippo study stop), {ask} --max-studies).",
                )
        if trials and limits.max_open_trials is not None:
            there = open_trials(state, account)
            if there + trials > limits.max_open_trials:
                raise Conflict(
                    f"{trials} more trials are too many: {who} has {there} open ones, and may have "
                    f"{limits.max_open_trials}.",
                    f"Ask for fewer, {ask} --max-open-trials).",
                )
        if priority is not None and limits.max_priority is not None and priority > limits.max_priority:
            raise Conflict(
                f"priority {priority} is too high: {who} may have {limits.max_priority}.",
                f"Lower it, {ask} --max-priority).",
            )
        kept, most = state.checkpoint_bytes.get(project, 0), limits.max_checkpoint_bytes
        if studies and most is not None and kept >= most:
            raise Conflict(
                f"{who} keeps {kept} bytes of checkpoints, and may keep {most}.",
                f"Delete studies, {ask} --max-checkpoint-bytes).",
            )
    if studies:
        require_seconds(state, project, user)


def require_room_in(state: EngineState, study: Study, *, trials: int = 0) -> None:
    """Makes sure that there is room for a study that is there, with so many more trials: it may have to be taken up.

    Raises:
        Conflict: Names the limit and the remedy.
    """
    ended = study.state in ENDED_STUDY_STATES
    require_room(state, study.project, study.user, studies=int(ended), trials=trials)


def require_seconds(state: EngineState, project: str, user: str) -> None:
    """Makes sure that slot seconds are left.

    Raises:
        Conflict: They are used up.
    """
    spent = used_up(state, project, user)
    if spent:
        raise Conflict(f"{spent[0]}.", f"{spent[1]}.")


def used_up(state: EngineState, project: str, user: str) -> tuple[str, str] | None:
    """That a user's slot seconds, or the project's, are used up, and the remedy; None: they are not."""
    for account, who, edit in _accounts(state, project, user):
        most = account.allowance.max_slot_seconds
        if most is not None and account.billed >= most * MICROSECONDS:
            used = account.billed / MICROSECONDS / SECONDS_AN_HOUR
            return (
                f"{who} has used {used:.4g} slot hours of {most / SECONDS_AN_HOUR:.4g}",
                f"An administrator can raise the limit: {edit} --max-slot-hours",
            )
    return None


def open_trials(state: EngineState, account: Account) -> int:
    """How many trials of a user or a project are open, or are being proposed or created; each repeat counts."""
    return sum(
        len(study.open) + (study.uncreated + (study.proposal is not None)) * study.spec.trials_of_a_point
        for study in open_studies(state, account)
    )


def crowded(state: EngineState, study: Study) -> str:
    """Why a study is to have no further trial for now, in words; empty: it may."""
    for account, who, _ in _accounts(state, study.project, study.user):
        most = account.allowance.max_open_trials
        if most is None:
            continue
        there = open_trials(state, account)
        if there + study.spec.trials_of_a_point > most:
            return f"{who} has {there} open trials, and may have {most} (max_open_trials)"
    return ""


def pause_what_is_used_up(decision: Decision) -> None:
    """Pauses the running studies of those whose slot seconds are used up."""
    state = decision.state
    for number in list(state.active):
        study = state.studies[number]
        spent = used_up(state, study.project, study.user)
        if spent is not None:
            reason = f"{spent[0]}. {spent[1]}; then: hippo study resume {study.name}"
            decision.emit(StudyStateChanged(study=study.id, state=StudyState.PAUSED, reason=reason))
