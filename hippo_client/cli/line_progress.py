"""Progress as plain lines, where there is no terminal to redraw."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from hippo_client.cli.live_progress import best_words, sharing_words, taken_up
from hippo_client.cli.picture import WORKER_STARTS_SECONDS, Picture, draw, needs_worker, reason_words
from hippo_core.engine.states import ENDED_TRIAL_STATES, StudyState, TrialState
from hippo_core.words import counts, duration, number, plural
from hippo_wire.json_shapes import choice_in_words, feasibility, study_state, trial_state
from hippo_wire.summaries import Objective, front_words, pareto_front

if TYPE_CHECKING:
    from hippo_client.watching import StudySnapshot
    from hippo_wire.v1 import study_pb2

SUMMARY_SECONDS = 60.0
#: Trials that reach a rung within so long are told in one line.
RUNG_SECONDS = 2.0
#: What a study waits for no longer than so is not told.
REASON_SECONDS = 2.0
#: When more trials than this end at once, they are counted, not told one by one.
MOST_AT_ONCE = 20


class LineProgress:
    """Writes a line for each trial that ends, one for those that reach a rung, what the study waits for, and a
    summary a minute.

    Implements ``hippo_client.watching.Progress``.

    Args:
        write: Takes a line.
        clock: Seconds, growing.
    """

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._began = clock()
        self._summed_up = clock()
        self._known: dict[int, tuple[TrialState, int]] | None = None
        self._rungs: dict[int, int] = {}  # the last step at which each trial of the next line has paused
        self._rungs_since: float | None = None
        self._reason = ""
        self._reason_since = clock()
        self._reason_told = ""
        self._last: StudySnapshot | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tell_rungs()
        if self._last is not None:
            self._sum_up(self._last)

    def notice(self, message: str) -> None:
        """One line."""
        self._write(message)

    def submitted(self, study: study_pb2.Study, outcome: str, warnings: Sequence[str]) -> None:
        """The study's size, and the warnings."""
        count = sum(study.trial_counts.values())
        if outcome == "created":
            self._write(f"The study {study.name} has {plural(count, 'trial')}.")
        else:
            self._write(taken_up(study, outcome))
        choice = choice_in_words(study)
        if choice:
            self._write(choice)
        for warning in warnings:
            self._write(f"Warning: {warning}")

    def show(self, snapshot: StudySnapshot) -> None:
        """Tell what has changed."""
        self._tell_pause(snapshot)
        self._tell_reason(snapshot)
        self._last = snapshot
        if self._known is None:  # what was over before needs no line each
            self._known = {number: _place(trial) for number, trial in snapshot.trials.items()}
        else:
            self._tell_changes(snapshot, self._known)
        now = self._clock()
        if self._rungs_since is not None and now - self._rungs_since >= RUNG_SECONDS:
            self._tell_rungs()
        if now - self._summed_up >= SUMMARY_SECONDS:
            self._sum_up(snapshot)

    def _tell_pause(self, snapshot: StudySnapshot) -> None:
        before = None if self._last is None else study_state(self._last.study)
        state = study_state(snapshot.study)
        if state is before or StudyState.PAUSED not in (before, state):
            return
        if state is StudyState.PAUSED:
            self._write(f"{self._stamp()} {snapshot.study.name} {reason_words(snapshot.study)}")
        elif state is StudyState.RUNNING:
            self._write(f"{self._stamp()} {snapshot.study.name} goes on")

    def _tell_reason(self, snapshot: StudySnapshot) -> None:
        """Tell what a study that runs waits for, once it has waited for a moment."""
        study, now = snapshot.study, self._clock()
        reason = reason_words(study) if study_state(study) is StudyState.RUNNING else ""
        if reason != self._reason:
            self._reason, self._reason_since = reason, now
        if reason == self._reason_told or now - self._reason_since < REASON_SECONDS:
            return
        if needs_worker(study) and now - self._began < WORKER_STARTS_SECONDS:
            return
        if reason:
            self._write(f"{self._stamp()} {study.name}: {reason}")
        self._reason_told = reason

    def _tell_changes(self, snapshot: StudySnapshot, known: dict[int, tuple[TrialState, int]]) -> None:
        ended = []
        for each in snapshot.changed:
            trial = snapshot.trials[each]
            place, before = _place(trial), known.get(each)
            known[each] = place
            if place == before:
                continue
            if place[0] in ENDED_TRIAL_STATES:
                ended.append(trial)
            elif place[0] is TrialState.PAUSED:
                self._rungs[each] = place[1]
                self._rungs_since = self._rungs_since or self._clock()
        self._tell_ended(ended, snapshot)

    def _tell_ended(self, ended: list[study_pb2.Trial], snapshot: StudySnapshot) -> None:
        if len(ended) > MOST_AT_ONCE:
            by_state = Counter(trial_state(trial).value for trial in ended)
            self._write(f"{self._stamp()} {counts(by_state)}")
            return
        objectives, front = Objective.all_of(snapshot.study), pareto_front(snapshot.study)
        best = snapshot.study.best_trial if snapshot.study.HasField("best_trial") else None
        for trial in ended:
            words = f"trial {trial.number} {trial_state(trial).value} at step {trial.step}"
            values = [(each.metric, each.value(trial)) for each in objectives]
            if any(value is not None for _, value in values):
                words += f": {', '.join(f'{metric} {number(value)}' for metric, value in values)}"
                words += f", {feasible}" if (feasible := feasibility(trial)) else ""
            if front is not None:
                words += f" ({front_words(len(front))})"
            elif best is not None:
                words += f" (best {number(objectives[0].value(best))}, trial {best.number})"
            if trial_state(trial) in (TrialState.FAILED, TrialState.DIVERGED) and trial.reason:
                words += f": {trial.reason.splitlines()[0]}"
            self._write(f"{self._stamp()} {words}")

    def _tell_rungs(self) -> None:
        if self._rungs:
            told = ", ".join(
                f"{plural(count, 'trial')} at step {step}"
                for step, count in sorted(Counter(self._rungs.values()).items())
            )
            self._write(f"{self._stamp()} rungs reached: {told}")
        self._rungs.clear()
        self._rungs_since = None

    def _sum_up(self, snapshot: StudySnapshot) -> None:
        self._summed_up = self._clock()
        self._write(f"{self._stamp()} {summary_line(draw(snapshot))}")

    def _stamp(self) -> str:
        return duration(self._clock() - self._began)


def summary_line(picture: Picture) -> str:
    """The study in one line."""
    parts = [
        f"{picture.name} {picture.state}",
        counts(picture.trials),
        f"best {best_words(picture)}",
        sharing_words(picture),
    ]
    if picture.seconds_left is not None:
        parts.append(f"about {duration(picture.seconds_left)} left")
    if picture.reason:
        parts.append(picture.reason)
    return "; ".join(parts)


def _place(trial: study_pb2.Trial) -> tuple[TrialState, int]:
    return trial_state(trial), trial.step
