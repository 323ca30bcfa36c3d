"""Runs studies in virtual time until they have ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hippo_core.allowance import Allowance
from hippo_core.endings import Terminator
from hippo_core.engine.decision import EngineSettings
from hippo_core.engine.events import Event
from hippo_core.errors import InvalidStudy
from hippo_core.metric_constraints import Bound
from hippo_core.objective import Objective
from hippo_core.policies import ManualSpec, OwnSpec
from hippo_core.simulation.costs import Clockwork, Costs, Host
from hippo_core.simulation.outcome import Simulated, outcome_of
from hippo_core.simulation.power_law import PowerLaw
from hippo_core.simulation.recorded import RecordedMetrics
from hippo_core.simulation.response import Response
from hippo_core.simulation.simulator import USER, Proposals, Simulator
from hippo_core.study import StudySpec


def simulate(
    studies: Sequence[StudySpec],
    hosts: Sequence[Host],
    *,
    response: Response | None = None,
    costs: Costs | None = None,
    arrivals: Sequence[float] | None = None,
    sharing: bool = True,
    seed: int = 0,
    settings: EngineSettings | None = None,
    proposals: Proposals | None = None,
    watch: Callable[[Event], None] | None = None,
    checked: bool = False,
    users: Sequence[str] | None = None,
    allowances: Mapping[str, Allowance] | None = None,
) -> Simulated:
    """Runs the production engine in virtual time until all studies have ended.

    Args:
        studies: What is submitted.
        hosts: The workers, with different names.
        response: What training comes to; by default power-law curves of all objectives.
        costs: What things take; by default a second a step, and nothing else.
        arrivals: When each study is submitted, in seconds; by default all at 0.
        sharing: Whether trials share what they have in common.
        seed: Of the default response.
        settings: The engine's times.
        proposals: What samplers that learn propose, where it is known: by study and number of the trial. Else random
            points stand in.
        watch: Is shown every event of the engine, in order.
        checked: Checks all invariants after every command, which is slow.
        users: Who submits each study; by default the same for all.
        allowances: By user, a weight and limits.

    Raises:
        InvalidStudy: The arguments do not fit each other, the response does not know what is trained, or the
            studies cannot end on these slots.
    """
    _check(studies, hosts, arrivals)
    _check_repeats(studies, response)
    if isinstance(response, RecordedMetrics):
        for spec in studies:
            response.require(spec)
    costs = costs or Costs()
    simulator = Simulator(
        hosts,
        response or PowerLaw(_observed(studies), seed, bounds=_bounds(studies)),
        costs,
        replace(settings or EngineSettings(), sharing=sharing, count_seconds=math.inf),
        proposals=proposals,
        watch=watch,
        checked=checked,
    )
    for user, allowance in (allowances or {}).items():
        simulator.allow(user, allowance)
    submitted = zip(studies, arrivals or [0.0] * len(studies), users or [USER] * len(studies), strict=True)
    for spec, at_seconds, user in submitted:
        simulator.submit(spec, at_seconds, user)
    simulator.run()
    return outcome_of(simulator, hosts, Clockwork(costs))


def _check_repeats(studies: Sequence[StudySpec], response: Response | None) -> None:
    for spec in studies:
        if spec.repeats > 1 and isinstance(response, RecordedMetrics):
            raise InvalidStudy(
                "repeats",
                f"the study '{spec.name}' trains each point {spec.repeats} times, and a record has one run of each",
                "Simulate it with repeats=1, or without a record.",
            )


def _check(studies: Sequence[StudySpec], hosts: Sequence[Host], arrivals: Sequence[float] | None) -> None:
    if not studies:
        raise InvalidStudy("studies", "there is none", "Give at least one study.")
    for spec in studies:
        if spec.ending(Terminator) is not None:
            raise InvalidStudy(
                "endings",
                f"the study '{spec.name}' has a terminator, which Optuna runs beside a server only",
                "Simulate it without, or with endings.plateau().",
            )
    if not hosts:
        raise InvalidStudy("hosts", "there is none", "Give at least one worker with a slot.")
    for spec in studies:
        if isinstance(spec.policy, OwnSpec):
            raise InvalidStudy(
                "policy",
                f"{spec.policy.name} of the study '{spec.name}' is a policy of one's own, and only built-in ones are "
                "simulated",
                "Take policies.asha() in its place, say, or policies.full() for the most that it can take.",
            )
    for field, names in (
        ("studies", [spec.name for spec in studies]),
        ("hosts", [host.name for host in hosts]),
    ):
        for name in names:
            if names.count(name) > 1:
                raise InvalidStudy(field, f"two are named {name!r}", "Give each a name of its own.")
    for spec in studies:
        if isinstance(spec.policy, ManualSpec):
            raise InvalidStudy(
                "policy",
                f"in study '{spec.name}' a user decides how far each trial goes, and a simulation has none",
                "Simulate it with the policy that comes closest, e.g. policies.full().",
            )
    if arrivals is not None and len(arrivals) != len(studies):
        raise InvalidStudy(
            "arrivals", f"there are {len(arrivals)} for {len(studies)} studies", "Give one each."
        )
    for at_seconds in arrivals or ():
        if not at_seconds >= 0:
            raise InvalidStudy("arrivals", f"must be seconds, 0 or more, not {at_seconds!r}")


def _observed(studies: Sequence[StudySpec]) -> tuple[Objective, ...]:
    """All metrics that studies look at; where two differ in what is better, as the first one says."""
    found: dict[str, Objective] = {}
    for spec in studies:
        for objective in spec.observed:
            found.setdefault(objective.metric, objective)
    return tuple(found.values())


def _bounds(studies: Sequence[StudySpec]) -> dict[str, Bound]:
    """The bounds of metrics that no study optimises; where two bound the same metric, the first one."""
    optimised = {objective.metric for spec in studies for objective in spec.objectives}
    found: dict[str, Bound] = {}
    for constraint in (each for spec in studies for each in spec.constraints):
        bound = constraint.bound
        if bound is not None and bound.metric not in optimised:
            found.setdefault(bound.metric, bound)
    return found
