"""How long to wait before what died is started again. Pure: the caller brings the count of steps."""

from __future__ import annotations

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 5.0


class RestartDelays:
    """At once, then 0.5 s doubling to at most 5 s; a step committed in between starts over."""

    def __init__(self) -> None:
        self.deaths = 0  #: since a step was last seen to be committed
        self._steps_at_death: int | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether the next restart would wait, so that progress is worth asking for."""
        return self.deaths > 0

    def died(self) -> float:
        """Count a death.

        Returns:
            Seconds to wait before the restart.
        """
        self.deaths += 1
        self._steps_at_death = None
        if self.deaths == 1:
            return 0.0
        return min(FIRST_SECONDS * float(2 ** (self.deaths - 2)), LONGEST_SECONDS)

    def committed(self, steps: int) -> None:
        """Hear how many steps have been committed in all.

        The first number after a death is what to compare with; a larger one later starts over.
        """
        if (
            self._steps_at_death is None or steps < self._steps_at_death
        ):  # less: the server counts from its start
            self._steps_at_death = steps
        elif steps > self._steps_at_death:
            self.deaths = 0
