"""Evaluations as a study's policy is told of them, and judges them.

Metrics belong to nodes. A trial's evaluations are those on its path, up to what it has come to: a function of the plan
and of the trial, so that a policy is told the same after a restart as before. In what order they came is not kept; but
those up to a request are told before the request is observed, and in what order requests were observed is.

Each is judged once, when it is told, in the order of the steps. After a command all that is known of trials on their
way has been told and judged, in whatever state the study is; so what a restart finds is told again, and not judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush

from hippo_core.engine.events import RequestClosed
from hippo_core.engine.policy_calls import (
    Added,
    Ended,
    Forked,
    Noted,
    Observed,
    PolicyHistory,
    Probed,
    Probing,
)
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import RequestState, TrialState
from hippo_core.engine.study import Closing, Study
from hippo_core.engine.trial import Trial
from hippo_core.plan import Metrics, Node
from hippo_core.policies import Stop, Values
from hippo_core.probes import probe_of
from hippo_core.repeats import trial_of

AT_REST = frozenset({TrialState.STOPPED, TrialState.COMPLETED})


def objective_values(study: Study, node: Node, step: int) -> Values | None:
    """What a study compares at a state of a path; None where an objective is not finite or not known."""
    return study.spec.values(node.owner(step).metrics.get(step, {}))


def closing_of(study: Study, leaf: Node | None, event: RequestClosed) -> Closing:
    """The end of a request, with the last evaluation that was known of it: a fact, for ever.

    What a request came to is evaluated where the event has a value. Otherwise what lies before is: a path is trained
    on only from a state that was evaluated where it was to be.
    """
    every = study.spec.program.evaluate_every
    step = event.reached if event.value is not None else (event.reached - 1) // every * every
    spec = study.spec
    if event.value is not None and len(spec.objectives) == 1 and not spec.constraints:
        values = spec.values({spec.objectives[0].metric: event.value})  # the event tells all that is compared
    else:
        values = objective_values(study, leaf, step) if leaf is not None and step > 0 else None
    return Closing(event.sequence, event.trial, step, event.state, event.reached, values)


#: Of how the requests of a point's repeats ended, what counts for the point: the first of these.
WORST = (
    RequestState.DIVERGED,
    RequestState.INFEASIBLE,
    RequestState.FAILED,
    RequestState.CANCELLED,
    RequestState.REACHED,
)


def closing_of_point(study: Study, members: list[Trial], event: RequestClosed) -> Closing:
    """The end of the requests of all repeats of a point, the last of which the event closes."""
    state = next(each for each in WORST if any(member.outcome is each for member in members))
    if state is RequestState.REACHED:
        step = reached = event.step
    else:
        every = study.spec.program.evaluate_every
        step = min(event.step, *(member.reached for member in members)) // every * every
        reached = next(member.reached for member in members if member.outcome is state)
    values = point_values(study, [member.leaf for member in members], step) if step > 0 else None
    return Closing(event.sequence, members[0].number, step, state, reached, values)


def point_values(study: Study, leaves: list[Node | None], step: int) -> Values | None:
    """What a study compares at a state of all repeats of a point, by their mean metrics.

    None where an objective is not finite or not known.
    """
    found = [{} if leaf is None else leaf.owner(step).metrics.get(step, {}) for leaf in leaves]
    return study.spec.values(found[0] if len(found) == 1 else mean_metrics(found))


def mean_metrics(found: Sequence[Mapping[str, float | None]]) -> Metrics:
    """The means of those metrics that all of some have; None where one is not finite."""
    means: dict[str, float | None] = {}
    for name in found[0]:
        if all(name in metrics for metrics in found):
            known = [value for metrics in found if (value := metrics[name]) is not None]
            means[name] = math.fsum(known) / len(known) if len(known) == len(found) else None
    return means


def progress(trial: Trial) -> int:
    """The step that a trial has reached: that of its last closed request, or what is trained of its open one."""
    if trial.target is None or trial.node is None:
        return trial.reached
    return max(trial.reached, trained_upto(trial.node, trial.target))


def led(trial: Trial) -> int:
    """How far its policy has taken a trial: of what lies beyond, which is a user's word, it is not told."""
    if trial.target is None or trial.by_user:
        return trial.led
    return max(trial.led, min(progress(trial), trial.target))


def trained_upto(leaf: Node, step: int) -> int:
    """How much of the path to a step of a node is trained."""
    stop, node = step, leaf
    while node.trained <= node.start:
        if node.parent is None:
            return 0
        stop, node = node.start, node.parent
    return min(node.trained, stop)


def tell_upto(study: Study, trial: Trial, leaf: Node, upto: int) -> None:
    """Tells a policy that watches of a trial's evaluations, up to a step of the path to a node."""
    while _tell_next(study, trial, leaf, upto):
        pass


def _tell_next(study: Study, trial: Trial, leaf: Node, upto: int) -> bool:
    """Tells a policy that watches of a trial's next evaluation, if it is known; tells whether it is.

    It is told in order and without a gap, up to the first that is not finite, which ends the trial; of repeats their
    mean, when all are known.
    """
    step = trial.told + study.spec.program.evaluate_every
    if step > upto:
        return False
    leaves = [leaf, *(each.leaf for each in study.members(trial.number)[1:])]
    if any(each is None or step not in each.owner(step).metrics for each in leaves):
        return False
    if trial.told and point_values(study, leaves, trial.told) is None:
        return False
    study.policy.reported(trial.number, step, point_values(study, leaves, step))
    trial.told = step
    return True


def judge_untold(study: Study, upto: int | None = None) -> list[Stop]:
    """Tells a policy that watches of the evaluations that have become known on the way of requests.

    Args:
        study: Whose policy it is.
        upto: Beyond which step none is told yet; None: all are.

    Returns:
        Whom the policy stops, each at the step up to which it was told of it.
    """
    every = study.spec.program.evaluate_every
    bounds = {number: _telling_bound(study, number) for number in study.untold}
    rounds = [(study.trials[number].told + every, number) for number in bounds]
    heapify(rounds)
    stops = []
    while rounds:
        step, told = rounds[0][0], []
        while rounds and rounds[0][0] == step:
            number = heappop(rounds)[1]
            trial = study.trials[number]
            bound = bounds[number] if upto is None else min(bounds[number], upto)
            if trial.node is not None and _tell_next(study, trial, trial.node, bound):
                told.append(number)
        for number in told:
            stop = study.policy.judge(number) if _is_led(study, number) else None
            if stop is None:
                heappush(rounds, (step + every, number))
            else:
                stops.append(stop)
    if upto is None:
        study.untold.clear()
    return stops


def tell_judged(state: EngineState, study: Study) -> None:
    """After a restart: tells a policy that watches of all that is known of trials on their way, and was judged."""
    if study.outdated:
        renew_policy(state, study)
    for number in study.open_trials():
        trial = study.trials[number]
        if trial.node is not None:
            tell_upto(study, trial, trial.node, _telling_bound(study, number))


def _telling_bound(study: Study, number: int) -> int:
    """Up to which step a policy may be told of a trial."""
    return min(led(each) for each in study.members(number))


def _is_led(study: Study, number: int) -> bool:
    """Whether a trial is on its way to where its policy wants it."""
    return any(each.target is not None and not each.by_user for each in study.members(number))


def note_evaluations(state: EngineState) -> None:
    """Finds the trials that nodes trained or evaluated since concern, where a policy watches."""
    for number in state.touched_nodes:
        node = state.nodes[number]
        for each in state.plans[node.plan].studies:
            study = state.studies[each]
            if study.policy.watches and each in node.open:
                below = (trial_of(trial) for trial in open_below(study, node) if not probe_of(trial))
                study.untold.update(dict.fromkeys(below))
                state.touched_studies[each] = None
    state.touched_nodes.clear()


def ended_for_policy(study: Study) -> frozenset[int]:
    """The trials on which its policy decides no more: they failed, diverged, or were taken in hand by users."""
    ended: set[int] = set()
    for call in study.history:
        if isinstance(call, Ended):
            ended.add(call.trial)
        elif not isinstance(call, Probing | Probed):  # these may come after the end
            ended.discard(call.trial)
    return frozenset(ended)


def begin_history(study: Study) -> None:
    """Another policy begins, as if it had been there from the start.

    It hears of no request of the one before, and asks anew; what is trained of that is there at once. Trials that have
    failed or diverged, or that users took in hand, have ended for it, too.
    """
    ended = ended_for_policy(study)
    study.history = PolicyHistory()
    if study.forks:  # another policy's forks are trials like any other; beside horizons no policy forks
        study.beside[0] = study.beside.get(0, 0) + study.forks
        study.forks = 0
    for trial in study.branches():
        trial.asked = trial.led = trial.told = 0
    for number in sorted(study.trials):
        trial = study.trials[number]
        if trial.notes:
            study.history.append(Noted(number, trial.notes))
        if trial.fork is None:
            study.history.append(Added(number, trial.max_steps))
        else:
            parent, at = trial.fork["trial"], trial.fork["at"]
            study.history.append(Forked(number, trial.max_steps, parent, at, None))
        if number in ended:
            study.history.append(Ended(number))


def renew_policy(state: EngineState, study: Study) -> None:
    """Makes a policy from the study's specification and history; what was judged is told it, and not judged again."""
    missing = study.room if study.exhausted else 0
    study.policy = study.spec.build_policy(study.beside, missing)
    study.outdated = False
    watches = study.policy.watches
    judged = {number: trial.told for number, trial in study.trials.items()}
    for trial in study.trials.values():
        trial.told = 0
    for call in study.history:
        if watches and isinstance(call, Observed):
            tell_upto(study, study.trials[call.trial], state.nodes[call.model], call.step)
        call.tell(study.policy)
    for number, trial in study.trials.items():
        if watches:
            if trial.node is not None:
                tell_upto(study, trial, trial.node, min(judged[number], _telling_bound(study, number)))
            study.untold[number] = None
        if trial.state in AT_REST:
            study.policy.stopped(number)


def open_below(study: Study, node: Node) -> Iterator[int]:
    """The trials, repeats and probes of a study with an open request on a node, or on one below it."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        for trials in each.requests.values():
            yield from (trial for number, trial in trials if number == study.id)
        waiting.extend(child for child in each.offspring() if study.id in child.open)
