"""What a study will take, before anything is spent; and what another would have come to on what was recorded.

::

    from hippo_client import simulation

    found = simulation.simulate(study, slots=8, costs=simulation.Costs(step_seconds=30, evaluate_seconds=4))
    print(found.makespan_seconds, found.ratio_to_bound, found.slot_seconds)
    Path("gantt.svg").write_text(simulation.gantt_svg(found))

    recorded = simulation.load("last-month.json")  # hippo study export digits --output last-month.json
    print(simulation.simulate(study, slots=8, recorded=recorded, beyond="power-law").studies[0].leaderboard[0])

The production engine runs in virtual time. No server is asked and no trainer imported: what training comes to is made
up (:class:`PowerLaw`), or looked up in a study that was recorded (:class:`Recording`) or in a table (:func:`table`), or
said by an object of one's own (:class:`Response`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hippo_client.gantt_svg import draw
from hippo_client.recordings import load
from hippo_client.study import Study
from hippo_core import simulation
from hippo_core.arguments import integer
from hippo_core.errors import InvalidStudy
from hippo_core.simulation import (
    Costs,
    Host,
    PowerLaw,
    RecordedMetrics,
    Recording,
    Response,
    Simulated,
    SimulatedStudy,
    SimulatedTrial,
)
from hippo_core.simulation.recording import Beyond
from hippo_core.simulation.replay import Departure, replay

__all__ = [
    "Costs",
    "Departure",
    "Host",
    "PowerLaw",
    "RecordedMetrics",
    "Recording",
    "Response",
    "Simulated",
    "SimulatedStudy",
    "SimulatedTrial",
    "gantt_svg",
    "load",
    "replay",
    "simulate",
    "table",
]


def simulate(
    *studies: Study,
    slots: int | None = None,
    hosts: Sequence[Host] | None = None,
    recorded: Recording | None = None,
    beyond: Beyond = "error",
    response: Response | None = None,
    costs: Costs | None = None,
    arrivals: Sequence[float] | None = None,
    sharing: bool = True,
    seed: int = 0,
) -> Simulated:
    """Runs studies in virtual time until they have ended.

    Args:
        studies: What is submitted; by default the recorded study itself, where one is given.
        slots: How many paths are trained at a time, all the time; by default 1.
        hosts: In their place the workers, with when they come and are lost.
        recorded: A study that was trained: its metrics are the response, and steps and evaluations take what they took
            there, unless costs are given. A sampler that learns proposes what it proposed there, where the space is the
            same; its further points, and those of other spaces, are random.
        beyond: What a state comes to that is not recorded: "error" names it; "power-law" makes it up, going on from the
            last value recorded.
        response: What training comes to, where nothing is recorded; by default power-law curves of the objectives.
        costs: What things take; by default what was recorded, else a second a step, and nothing else.
        arrivals: When each study is submitted, in seconds; by default all at 0.
        sharing: Whether trials share what they have in common. Without, the same engine trains each alone.
        seed: Of what is made up.

    Raises:
        InvalidStudy: The arguments do not fit each other, the response does not know what is trained, or the
            studies cannot end on these slots.
    """
    if hosts is not None and slots is not None:
        raise InvalidStudy("slots", "are the hosts' already", "Give either slots or hosts.")
    integer(seed, "seed", 0)
    specs = [study.spec() for study in studies]
    if recorded is None and beyond != "error":
        raise InvalidStudy("beyond", "is about what was not recorded", "Give recorded, too, or leave it out.")
    if recorded is not None:
        if response is not None:
            raise InvalidStudy("response", "is the record's already", "Give either recorded or response.")
        specs = specs or [recorded.spec]
        response = recorded.metrics(beyond, seed)
        costs = costs or recorded.costs()
    return simulation.simulate(
        specs,
        hosts if hosts is not None else [Host(name="slots", slots=1 if slots is None else slots)],
        response=response,
        costs=costs,
        arrivals=arrivals,
        sharing=sharing,
        seed=seed,
        proposals=None if recorded is None else recorded.proposal,
    )


def table(study: Study, rows: Iterable[Mapping[str, Any]]) -> RecordedMetrics:
    """The metrics of a table, as a response.

    ::

        with open("metrics.csv") as file:
            response = simulation.table(study, csv.DictReader(file))  # trial,step,accuracy

    Args:
        study: The study whose trials the table numbers.
        rows: Each has "trial", the number, "step", the state's, and metrics by name; numbers may be text.

    Raises:
        InvalidStudy: A row lacks its trial or step, or has what is no number; names the row.
    """
    return simulation.table(study.spec(), rows)


def gantt_svg(simulated: Simulated, width: int = 1200) -> str:
    """What each slot did when, as an SVG drawing.

    Args:
        simulated: What a simulation came to.
        width: In pixels; the height follows from the number of slots.
    """
    return draw(simulated, width)
