"""For how long studies have been running, in all: counted while an engine lives, and written now and then.

What has passed since it was written last is lost with an engine that dies: no more than ``count_seconds``.
"""

from __future__ import annotations

from collections.abc import Iterator

from hippo_core.endings import Timeout
from hippo_core.engine.decision import Decision, EngineSettings, Volatile
from hippo_core.engine.events import StudyRan
from hippo_core.engine.state import EngineState

#: A timeout that is due within this is due: clocks and sums of seconds are not exact.
SLACK_SECONDS = 1e-4


def begin(state: EngineState, volatile: Volatile, now: float) -> None:
    """Time passes from now on for the studies that run."""
    volatile.running = dict.fromkeys(state.active, now)
    volatile.counted = now


def count_due(decision: Decision) -> None:
    """Counts the time of studies whose timeout has come."""
    for study, due in _timeouts(decision.state, decision.volatile):
        if due <= decision.now + SLACK_SECONDS:
            _count(decision, study)
            decision.state.touched_studies[study] = None


def count(decision: Decision, *, last: bool) -> None:
    """Counts the time of studies that run no more, and from time to time that of all.

    Args:
        decision: Made by what was just decided.
        last: Whether it is time in any case.
    """
    running, active = decision.volatile.running, decision.state.active
    if running.keys() != active.keys():
        for study in [study for study in running if study not in active]:
            if study in decision.state.studies:
                _count(decision, study)
            del running[study]
        for study in active:
            running.setdefault(study, decision.now)
    if last or decision.now >= decision.volatile.counted + decision.settings.count_seconds:
        decision.volatile.counted = decision.now
        for study in running:
            _count(decision, study)


def next_timeout(state: EngineState, volatile: Volatile) -> float | None:
    """When the next timeout of a study is due; None: none is."""
    return min((due for _, due in _timeouts(state, volatile)), default=None)


def next_count(volatile: Volatile, settings: EngineSettings) -> float | None:
    """When the time of studies is to be counted next; None: none runs."""
    return volatile.counted + settings.count_seconds if volatile.running else None


def uncounted(volatile: Volatile, study: int, now: float | None) -> float:
    """What has passed of a study's running time since it was counted last; no time given: nothing."""
    since = volatile.running.get(study)
    return 0.0 if now is None or since is None else max(0.0, now - since)


def _timeouts(state: EngineState, volatile: Volatile) -> Iterator[tuple[int, float]]:
    for number, since in list(volatile.running.items()):
        study = state.studies.get(number)
        timeout = None if study is None or study.ending else study.spec.ending(Timeout)
        if study is not None and timeout is not None:
            yield number, since + timeout.seconds - study.ran_seconds


def _count(decision: Decision, study: int) -> None:
    passed = decision.now - decision.volatile.running[study]
    decision.volatile.running[study] = decision.now
    if passed > 0:
        decision.emit(StudyRan(study=study, seconds=passed))
