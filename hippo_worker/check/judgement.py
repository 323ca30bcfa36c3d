"""What experiments show: where two of them differ, the difference is named, and what it comes from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hippo_worker.check.experiment import Result, Run, State
from hippo_worker.check.hidden import suspects
from hippo_worker.check.observation import differing

SHOWN = 4
KEEP_ON_SELF = "Keep it on self, or read it from what setup() builds."


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that does not survive.

    Attributes:
        check: Which promise: "train", "repeat", "save", "evaluate", "apply", "fresh", "warm".
        step: The state or step at which it shows.
        message: What differs, and what it comes from.
        remedy: What to do.
    """

    check: str
    step: int
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Difference:
    """The first state at which two runs differ, and in what."""

    step: int
    what: list[str]


def first_difference(one: Run, other: Run) -> Difference | None:
    """Compares two runs at the states that both have seen: metrics where both evaluated, and digests."""
    for step in sorted(one.states.keys() & other.states.keys()):
        what = _differences(one.states[step], other.states[step])
        if what:
            return Difference(step, what)
    return None


def _differences(one: State, other: State) -> list[str]:
    what = []
    if one.metrics and other.metrics:
        names = differing(one.metrics, other.metrics)
        what += [f"the metric {name}" for name in names]
    if one.strict and other.strict:
        what += differing(one.strict, other.strict)
    return what


def shown(names: Iterable[str]) -> str:
    """Some names, shortened: parts of one attribute count once where there are many."""
    listed = list(dict.fromkeys(names))
    if len(listed) > SHOWN:
        listed = list(dict.fromkeys(name.partition(".")[0] for name in listed))
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def judge_failure(result: Result, check: str, doing: str) -> Problem | None:
    """An experiment that ended by an error."""
    if not result.failure:
        return None
    prefix = f"{doing}: " if doing else ""
    return Problem(check=check, step=result.failed_at, message=prefix + result.failure, remedy="")


def judge_resumed(reference: Result, resumed: Run, result: Result, fresh: bool) -> Problem | None:
    """A run that started from a saved state, against the one that was never interrupted."""
    found = first_difference(reference.runs[0], resumed)
    if found is None:
        return None
    check, process = ("fresh", "a fresh process") if fresh else ("warm", "a process that has trained before")
    begun = f"{'Training' if resumed.start else 'Training another trial'} {_from(resumed.start)} in {process}"
    begun += f" differs at step {found.step} in {shown(found.what)}."
    cause, remedy = _cause_of_resumed(reference, resumed, result)
    return Problem(check=check, step=found.step, message=f"{begun} {cause}", remedy=remedy)


def _from(start: int) -> str:
    return f"that goes on from the state at step {start}" if start else "from step 0"


def _cause_of_resumed(reference: Result, resumed: Run, result: Result) -> tuple[str, str]:
    lost = []
    if resumed.start:
        at_save = reference.runs[0].states[resumed.start]
        lost = differing(at_save.strict, resumed.loaded.strict)
        lost += differing(at_save.lax, resumed.loaded.lax)
    hidden = suspects(reference.hidden_before, reference.hidden_after)
    if not resumed.start:
        hidden = hidden or suspects(reference.hidden_before, reference.hidden_again)
    if lost:
        return (
            f"load_state_dict() does not bring back: {shown(lost)}.",
            "Add it to state_dict() and load_state_dict(), or leave both to their defaults.",
        )
    if hidden:
        return (
            f"What changes while it trains, and is in no checkpoint: {shown(hidden)}.",
            "Keep it on self: what is found there is saved.",
        )
    return (
        "All that can be seen of the state is equal, so that it depends on something that no checkpoint has.",
        "Look for state outside self: files written, caches of libraries, environment variables.",
    )


def judge_evaluation(reference: Result, without: Result) -> Problem | None:
    """The run without any evaluation, against the one with."""
    changed = reference.runs[0].changed_by_evaluate
    found = first_difference(without.runs[0], reference.runs[0])
    if found is None and not changed:
        return None
    hidden = suspects(reference.hidden_before, reference.hidden_after)
    names = changed or hidden or (found.what if found else [])
    return Problem(
        check="evaluate",
        step=found.step if found else min(reference.runs[0].states),
        message=f"evaluate() changes what later steps depend on: {shown(names)}.",
        remedy="Measure in eval mode and without updates; draw from the global generators, which are put back.",
    )


def judge_apply(reference: Result, again: Result) -> Problem | None:
    """The run in which ``apply`` is called twice before every step, against the one with needed calls only."""
    changed = again.runs[0].changed_by_apply
    found = first_difference(again.runs[0], reference.runs[0])
    if found is None and not changed:
        return None
    names = changed or (found.what if found else [])
    random = any(name.startswith("random state") for name in changed)
    return Problem(
        check="apply",
        step=found.step if found else 0,
        message=f"apply(), called twice with the same values, is not as called once: it changes {shown(names)}.",
        remedy="Do not draw random numbers in apply()."
        if random
        else "Only set values in apply(); build in setup().",
    )


def judge_saving(reference: Result, plain: Result) -> Problem | None:
    """The run that was never looked at, against the one that was saved at every state."""
    found = first_difference(plain.runs[0], reference.runs[0])
    if found is None:
        return None
    return Problem(
        check="save",
        step=found.step,
        message=f"Saving changes training: at step {found.step}, {shown(found.what)} differ.",
        remedy="state_dict() must only read.",
    )


def judge_repeat(plain: Result, other: Result, cause: str, remedy: str) -> Problem | None:
    """The same training once more, under other circumstances."""
    found = first_difference(plain.runs[0], other.runs[0])
    if found is None:
        return None
    hidden = suspects(other.hidden_before, other.hidden_after)
    also = f" Suspects: {shown(hidden)}." if hidden else ""
    return Problem(
        check="repeat",
        step=found.step,
        message=f"{cause} At step {found.step}, {shown(found.what)} differ.{also}",
        remedy=remedy,
    )
