"""Who has taken on to make which point, for a minute. In memory: after a restart the points are wanted of all again.

A point that comes late is taken all the same while the study has room for it: what an ask does is to keep others from
making points that one slot needs once.
"""

from __future__ import annotations

from dataclasses import dataclass

LAPSE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Ask:
    study: int
    request_id: str
    lapses_at: float


class Asks:
    """The asks that have neither been answered nor lapsed. To be used in one event loop."""

    def __init__(self) -> None:
        self._open: dict[str, _Ask] = {}

    def take(self, study: int, request_id: str, count: int, wanted: int, now: float) -> list[str]:
        """Takes on to make points; those that the same request holds already, where it holds some.

        Args:
            study: The study's number.
            request_id: Of the request that asks.
            count: At most so many.
            wanted: How many the study wants now.
            now: Monotonic seconds.

        Returns:
            The asks, which others do not get until they are answered or lapse.
        """
        self._open = {name: ask for name, ask in self._open.items() if ask.lapses_at > now}
        of_study = {name: ask for name, ask in self._open.items() if ask.study == study}
        held = [name for name, ask in of_study.items() if ask.request_id == request_id]
        if held:
            return held
        names = [f"{request_id}.{index}" for index in range(min(count, wanted - len(of_study)))]
        self._open.update(dict.fromkeys(names, _Ask(study, request_id, now + LAPSE_SECONDS)))
        return names

    def answered(self, ask: str) -> None:
        """The point is there, or was; an ask that is not known, or has lapsed, does not matter."""
        self._open.pop(ask, None)

    def next_lapse(self, study: int) -> float | None:
        """When the next ask of a study lapses; None: none is open."""
        return min((ask.lapses_at for ask in self._open.values() if ask.study == study), default=None)
