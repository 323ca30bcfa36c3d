"""Requests: opening them in the plan, and closing them when they are reached, have diverged, or cannot be."""

from __future__ import annotations

import difflib

from hippo_core.engine.decision import Decision
from hippo_core.engine.evaluations import progress, trained_upto
from hippo_core.engine.events import (
    NodeCreated,
    RequestClosed,
    RequestOpened,
    StudyStateChanged,
    TrialStateChanged,
)
from hippo_core.engine.growing import create_no_more
from hippo_core.engine.states import RequestState, StudyState, TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.lease import Lease, Promise
from hippo_core.objective import Objective
from hippo_core.plan import Metrics, Node, Place
from hippo_core.repeats import number_of, trial_of
from hippo_core.study import StudySpec


def open_request(
    decision: Decision, study: Study, trial: Trial, step: int, reason: str = "", *, by_user: bool = False
) -> None:
    """Opens a trial's request, or moves it to the study's present plan, adding the nodes that it needs."""
    place = place_of(decision, study, trial, step)
    node = place.node
    for first, laws in place.missing:
        number = decision.state.last_node + 1
        decision.emit(
            NodeCreated(
                node=number,
                plan=study.plan,
                parent=None if node is None else node.id,
                start=first,
                laws=laws,
            )
        )
        node = decision.state.nodes[number]
    assert node is not None, "a request is for at least one step"
    decision.emit(
        RequestOpened(
            study=study.id,
            trial=trial.number,
            step=step,
            node=node.id,
            by_user=by_user,
            reason=reason,
            trained=trained_upto(node, step),
        )
    )
    if trial.state is not TrialState.WAITING:
        decision.emit(
            TrialStateChanged(study=study.id, trial=trial.number, state=TrialState.WAITING, reason="")
        )


def place_of(decision: Decision, study: Study, trial: Trial, step: int) -> Place:
    """Where the first ``step`` steps of a trial lie in the study's plan, or will lie."""
    plan = decision.state.plans[study.plan].plan
    start = trial.node
    if start is not None and (start.plan != plan.id or start.start >= step):
        start = None  # of another plan; or a user has let it go further than its policy asks for now
    if start is None and trial.probe:
        start = _probed_node(study, trial, plan.id)
    if start is None and not decision.settings.sharing:
        return plan.apart(trial.sequence, step)
    return plan.locate(trial.sequence, step, start, 0 if start is None else trial.target or 0)


def _probed_node(study: Study, probe: Trial, plan: int) -> Node | None:
    """The node of a probe's trial that it begins in; also where trials are apart, a probe is of its own one."""
    assert probe.fork is not None
    leaf = study.member(number_of(trial_of(probe.number), probe.repeat)).leaf
    return None if leaf is None or leaf.plan != plan else leaf.owner(probe.fork["at"])


def close_request(decision: Decision, study: Study, trial: Trial, state: RequestState, reached: int) -> None:
    """Closes a trial's open request; ``reached`` is the step that the trial has come to."""
    assert trial.target is not None
    decision.emit(
        RequestClosed(
            sequence=decision.state.last_sequence + 1,
            study=study.id,
            trial=trial.number,
            step=trial.target,
            state=state,
            reached=reached,
            value=objective_value(study, trial.node, reached),
        )
    )


def objective_value(study: Study, node: Node | None, step: int) -> float | None:
    """The first objective at a state of a path; None where it is not finite or not known."""
    if node is None or step < 1:
        return None
    metrics = node.owner(step).metrics.get(step)
    return None if metrics is None else metrics.get(study.spec.objectives[0].metric)


def close_what_is_known(decision: Decision, study: Study, trial: Trial) -> None:
    """Closes an open request whose path is trained, or has diverged for this study, already."""
    node, target = trial.node, trial.target
    if node is None or target is None:
        return
    names = [objective.metric for objective in study.spec.objectives]
    for each in node.path():
        for step in each.nonfinite:
            if step <= target and each is node.owner(step):
                metrics = each.metrics[step]
                if any(name in metrics and metrics[name] is None for name in names):
                    diverge(decision, study, trial, each, step)
                    return
        why = quarantine_in_words(decision, each)
        if why and each.failures is not None:
            step = max(each.failures.deaths.values())
            if step < target and each is node.owner(step + 1):
                fail(decision, study, trial, why)
                return
    kept = target in node.checkpoints or not _is_promised(decision, node, target)
    if node.trained >= target and target in node.metrics and kept:
        _close_reached_one(decision, study, trial)


def quarantine_in_words(decision: Decision, node: Node) -> str:
    """Why no further worker is given a node; empty: it is not quarantined."""
    if node.failures is None or len(node.failures.deaths) < decision.settings.poison_workers:
        return ""
    step = max(node.failures.deaths.values())
    workers = ", ".join(sorted(node.failures.deaths))
    return (
        f"quarantined: {len(node.failures.deaths)} workers died one after the other at step {step} ({workers}), "
        "which is taken to have killed them. Look at their hosts and logs; a retry lifts the quarantine."
    )


def close_reached(decision: Decision, node: Node, lease: Lease) -> None:
    """Closes the requests of a node that a lease's report has brought to their end.

    A request is for metrics and for a state. What a lease has promised to save is waited for, so that a trial that is
    done has its state; where the promise is broken, the stretch before the state is trained again. A state that the
    lease went through unasked is not: its metrics are enough.
    """
    for step in sorted(node.requests):
        if step > node.trained:
            return
        if step not in node.metrics or not _is_settled(decision, node, step, lease):
            continue
        for number, trial_number in list(node.requests.get(step, {})):
            study = decision.state.studies[number]
            trial = study.member(trial_number)
            if trial.target is not None:
                _close_reached_one(decision, study, trial)


def _close_reached_one(decision: Decision, study: Study, trial: Trial) -> None:
    assert trial.node is not None
    assert trial.target is not None
    if objectives_reported(decision, study, trial.node.metrics[trial.target]):
        close_request(decision, study, trial, RequestState.REACHED, trial.target)


def _is_settled(decision: Decision, node: Node, step: int, lease: Lease) -> bool:
    if step in node.checkpoints:
        return True
    if _is_promised(decision, node, step):
        return False
    unasked = lease.promises.get((node.id, step), Promise.PASSED) is Promise.PASSED
    return unasked and lease.went_through(node.id, step)


def _is_promised(decision: Decision, node: Node, step: int) -> bool:
    holders = decision.state.tree_of(node).leases.get(node.id, {})
    return any(lease.promises_state((node.id, step)) for lease in holders.values())


def close_diverged(decision: Decision, node: Node, step: int) -> None:
    """Ends the trials that go through a state at which one of their study's objectives is not finite."""
    metrics = node.metrics[step]
    bad = {name for name, value in metrics.items() if value is None}
    for number in sorted(decision.state.plans[node.plan].studies):
        study = decision.state.studies[number]
        if not bad.intersection(objective.metric for objective in study.spec.objectives):
            continue
        for trial in through(study, node, step):
            diverge(decision, study, trial, node, step)


def diverge(decision: Decision, study: Study, trial: Trial, node: Node, step: int) -> None:
    """Ends a trial whose objective is not finite at a state, and with it the other repeats of its point."""
    if trial.target is None:
        return  # it has ended with another repeat
    names = [
        each.metric for each in study.spec.objectives if node.metrics[step].get(each.metric, 0.0) is None
    ]
    close_request(decision, study, trial, RequestState.DIVERGED, step)
    _end_point(
        decision, study, trial, TrialState.DIVERGED, f"{', '.join(names)} is not finite at step {step}"
    )


def fail_study(decision: Decision, study: Study, reason: str) -> None:
    """Fails a study with all its open trials, for one reason."""
    create_no_more(decision, study)
    for number in sorted(study.open):
        fail(decision, study, study.member(number), reason)
    if study.state is not StudyState.FAILED:
        decision.emit(StudyStateChanged(study=study.id, state=StudyState.FAILED, reason=reason))


def fail(decision: Decision, study: Study, trial: Trial, reason: str, *, infeasible: bool = False) -> None:
    """Ends an open trial as failed, and with it the other repeats of its point.

    Args:
        decision: What is decided.
        study: The study.
        trial: A trial of it, or one of its repeats.
        reason: Why, in words.
        infeasible: Whether its point is to blame, so that samplers are to keep away from it.
    """
    if trial.target is None:
        return  # it has ended with another repeat
    state = RequestState.INFEASIBLE if infeasible else RequestState.FAILED
    close_request(decision, study, trial, state, progress(trial))
    _end_point(decision, study, trial, TrialState.FAILED, reason)


def _end_point(decision: Decision, study: Study, trial: Trial, state: TrialState, reason: str) -> None:
    """Ends a trial, and the others of its point, which is what the worst of its repeats is."""
    decision.emit(TrialStateChanged(study=study.id, trial=trial.number, state=state, reason=reason))
    because = f"repeat {trial.repeat}: {reason}"
    for other in study.members(trial.number):
        if other is trial or other.state in {TrialState.DIVERGED, TrialState.FAILED}:
            continue
        if other.target is not None:
            close_request(decision, study, other, RequestState.CANCELLED, progress(other))
        if other.state is TrialState.WAITING:
            decision.emit(TrialStateChanged(study=study.id, trial=other.number, state=state, reason=because))


def through(study: Study, node: Node, step: int) -> list[Trial]:
    """The open trials of a study whose paths go through the state at ``step`` of ``node``, by number."""
    found = []
    for number in sorted(study.open):
        trial = study.member(number)
        if trial.node is None or trial.target is None or trial.target < step:
            continue
        if trial.node.plan == node.plan and trial.node.owner(step) is node:
            found.append(trial)
    return found


def objectives_reported(decision: Decision, study: Study, metrics: Metrics) -> bool:
    """Whether all that a study looks at is reported; else it fails, naming what was reported and the remedy."""
    if _are_all_there(study.spec, metrics):
        return True
    missing = next(each for each in study.spec.observed if each.metric not in metrics)
    name = missing.metric
    uses, change = _use(study.spec, missing)
    reported = ", ".join(sorted(metrics)) or "nothing"
    near = difflib.get_close_matches(name, sorted(metrics), n=1)
    meant = f"; did you mean '{near[0]}'?" if near else "."
    reason = (
        f"the study {uses}, but the trainer's evaluate() reported: {reported}{meant} "
        f"Change {change} in the study, or let evaluate() report '{name}'."
    )
    fail_study(decision, study, reason)
    return False


def _are_all_there(spec: StudySpec, metrics: Metrics) -> bool:
    """Whether all that a study looks at is among the metrics."""
    return all(each.metric in metrics for each in spec.objectives) and all(
        name in metrics for constraint in spec.constraints for name in constraint.metrics
    )


def _use(spec: StudySpec, missing: Objective) -> tuple[str, str]:
    """What a study does with a metric, and where it says so."""
    name = missing.metric
    if missing in spec.objectives:
        return f"optimises '{name}'", f"{'maximize' if missing.maximize else 'minimize'}='{name}'"
    expression = next(each.expression for each in spec.constraints if name in each.metrics)
    change = f'constraints=["{expression}"]'
    if name in spec.space.kinds:
        change += " (a condition on hyper-parameters is a space.constraint(...) in the space)"
    return f"constrains '{name}'", change


def check_objectives(decision: Decision, node: Node, step: int, metrics: Metrics) -> bool:
    """Compares a fresh evaluation with what the studies that wait for it look at.

    Returns:
        Whether all that any study of the plan looks at is there.
    """
    complete = True
    for number in sorted(decision.state.plans[node.plan].studies):
        study = decision.state.studies[number]
        if _are_all_there(study.spec, metrics):
            continue
        complete = False
        if through(study, node, step):
            objectives_reported(decision, study, metrics)
    return complete
