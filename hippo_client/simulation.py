"""What a study will take, before anything is spent: the production engine in virtual time.

::

    from hippo_client import simulation

    found = simulation.simulate(study, slots=8, costs=simulation.Costs(step_seconds=30, evaluate_seconds=4))
    print(found.makespan_seconds, found.ratio_to_bound, found.slot_seconds)
    Path("gantt.svg").write_text(simulation.gantt_svg(found))

No server is asked and no trainer imported: what training comes to is made up (:class:`PowerLaw`), or looked up in what
was recorded (:class:`RecordedMetrics`), or said by an object of one's own (:class:`Response`).
"""

from __future__ import annotations

from collections.abc import Sequence

from hippo_client.gantt_svg import draw
from hippo_client.study import Study
from hippo_core import simulation
from hippo_core.simulation import (
    Costs,
    Host,
    PowerLaw,
    RecordedMetrics,
    Response,
    Simulated,
    SimulatedStudy,
)

__all__ = [
    "Costs",
    "Host",
    "PowerLaw",
    "RecordedMetrics",
    "Response",
    "Simulated",
    "SimulatedStudy",
    "gantt_svg",
    "simulate",
]


def simulate(
    *studies: Study,
    slots: int = 1,
    hosts: Sequence[Host] | None = None,
    response: Response | None = None,
    costs: Costs | None = None,
    arrivals: Sequence[float] | None = None,
    sharing: bool = True,
    seed: int = 0,
) -> Simulated:
    """Runs studies in virtual time until they have ended.

    Args:
        studies: What is submitted.
        slots: How many paths are trained at a time, all the time, where no hosts are given.
        hosts: The workers, with when they come and are lost.
        response: What training comes to; by default power-law curves of the objectives.
        costs: What things take; by default a second a step, and nothing else.
        arrivals: When each study is submitted, in seconds; by default all at 0.
        sharing: Whether trials share what they have in common. Without, the same engine trains each alone.
        seed: Of the default response.

    Raises:
        InvalidStudy: The arguments do not fit each other, the response does not know what is trained, or the
            studies cannot end on these slots.
    """
    return simulation.simulate(
        [study.spec() for study in studies],
        hosts if hosts is not None else [Host(name="slots", slots=slots)],
        response=response,
        costs=costs,
        arrivals=arrivals,
        sharing=sharing,
        seed=seed,
    )


def gantt_svg(simulated: Simulated, width: int = 1200) -> str:
    """What each slot did when, as an SVG drawing.

    Args:
        simulated: What a simulation came to.
        width: In pixels; the height follows from the number of slots.
    """
    return draw(simulated, width)
