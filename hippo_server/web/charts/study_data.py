"""What charts are of: a study's trials and times, as an export has them; of a large one, some of its trials."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hippo_core.charts.parameter_charts import front_of
from hippo_core.engine import export
from hippo_core.engine.trial_glance import Outcome, outcomes
from hippo_core.errors import InvalidStudy
from hippo_core.objective import Objective
from hippo_core.simulation.recording import Recording
from hippo_core.study import StudySpec
from hippo_server.driver import Driver

OUTCOMES_AT_ONCE = 100  #: while they are gathered, the engine decides nothing
RECORDS_AT_ONCE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyData:
    """A study, and how much of it this is.

    Attributes:
        recording: Its head, and the trials that are drawn.
        trials: How many trials it has.
    """

    recording: Recording
    trials: int

    @property
    def note(self) -> str:
        """Which trials these are, where they are not all."""
        drawn = len(self.recording.trials)
        if drawn == self.trials:
            return ""
        return (
            f"{drawn:,} of {self.trials:,} trials: those that were the best so far, those that no other one beats, "
            "and others at even distances"
        )


async def read_study_data(
    driver: Driver, project: str, name: str, *, most: int, wanted: Sequence[int] = (), times: bool = False
) -> StudyData:
    """A study for its charts.

    Args:
        driver: Reads the engine and the rows.
        project: Whose study it is.
        name: Its name.
        most: How many trials at most.
        wanted: The numbers of the trials that are meant; none: all.
        times: Whether what was trained when is wanted.

    Raises:
        NotFound: There is no such study.
        InvalidStudy: There is no such trial.
    """
    study, count, head = await driver.current().read(
        lambda engine: export.study_record(engine, project, name)
    )
    if wrong := [number for number in wanted if number >= count]:
        raise InvalidStudy("trials", f"there is no trial {wrong[0]}", f"The study has {count}, from 0.")
    numbers: Sequence[int] = sorted(set(wanted))[:most] or range(count)
    if len(numbers) > most:
        spec = await asyncio.to_thread(StudySpec.from_json, head["spec"])
        numbers = chosen(await _outcomes(driver, project, name, count), spec.objectives, most)
    records: list[dict[str, Any]] = []
    for first in range(0, len(numbers), RECORDS_AT_ONCE):
        part = numbers[first : first + RECORDS_AT_ONCE]
        records += await driver.current().read(
            lambda engine, part=part: export.trial_records(engine, project, name, part)  # type: ignore[misc]
        )
        await asyncio.sleep(0)
    created = (await driver.times()).of_study(study).created_at.isoformat()
    document = {**head, "created": created, "trials": records}
    document |= {"training": [], "leases": [], "creations": [], "arrivals": []}
    if times:
        document |= await asyncio.to_thread(_times, driver, study, records)
    recording = await asyncio.to_thread(Recording.from_json, document)
    return StudyData(recording=recording, trials=len(set(wanted)) or count)


def _times(driver: Driver, study: int, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the rows tell of the nodes of trials, and of the trials."""
    store = driver.store
    numbers = {record["trial"] for record in records}
    trained = [each for record in records for each in (record, *record["probes"])]
    nodes = list({node: None for each in trained for node, _, _ in each["path"]})
    return {
        "training": store.stretches(nodes),
        "leases": store.node_leases(study, nodes),
        "creations": [each for each in store.trial_creations(study) if each[0] in numbers],
        "arrivals": [each for each in store.study_arrivals(study) if each["trial"] in numbers],
    }


async def _outcomes(driver: Driver, project: str, name: str, count: int) -> list[Outcome]:
    found: list[Outcome] = []
    for first in range(0, count, OUTCOMES_AT_ONCE):
        found += await driver.current().read(
            lambda engine, first=first: outcomes(engine, project, name, first, OUTCOMES_AT_ONCE)  # type: ignore[misc]
        )
        await asyncio.sleep(0)
    return found


def chosen(found: Iterable[Outcome], objectives: Sequence[Objective], most: int) -> list[int]:
    """The numbers of the trials that stand for all: of those that completed each that was the best when it came, with
    two objectives those that no other one beats, and others at even distances.

    Args:
        found: What all trials have come to, by number.
        objectives: What is searched for.
        most: How many; of those that have to be there the last ones, where they are more.
    """
    every = list(found)
    signs = [-1.0 if each.maximize else 1.0 for each in objectives]
    done: list[tuple[int, tuple[float, ...]]] = []
    for outcome in every:
        values = [outcome.metrics.get(each.metric) for each in objectives]
        known = [sign * value for sign, value in zip(signs, values, strict=True) if value is not None]
        if outcome.completed and len(known) == len(objectives):
            done.append((outcome.number, tuple(known)))
    needed: set[int] = set()
    lowest = float("inf")
    for number, worths in done:
        if worths[0] < lowest:
            lowest = worths[0]
            needed.add(number)
    if len(objectives) > 1:
        front = front_of((worths[0], worths[1]) for _, worths in done)
        needed |= {number for number, worths in done if worths[:2] in front}
    kept = set(sorted(needed)[-most:])
    others = [outcome.number for outcome in every if outcome.number not in kept]
    room = min(most - len(kept), len(others))
    kept |= {others[place * len(others) // room] for place in range(room)}
    return sorted(kept)
