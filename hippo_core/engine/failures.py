"""What failures of paths lead to: another try, at once, after a pause or alone on its host; or the end of trials.

Whose fault a failure is decides. *Infrastructure* (a runner killed from outside, a worker that died, a broken slot,
a state that could not be stored) is never charged to a trial: its node is tried again after a pause that grows with
each failure there. *User* errors, *stalls* and *out of memory* are tried ``user_retries`` times, the last one alone on
its host; then the trials that need the step fail. Of a point that found no memory samplers are told as of the worst
that there is, so that they keep away; other failures say nothing of a point. What is *invalid* fails at once. Where the
*program* cannot be loaded, and nothing of a study was trained before, the study fails with all its trials: no values
would help.

A step at which different workers die one after the other is *poison*: it is taken to have killed them. Its node is
quarantined: the trials that need the step fail, those that come later too, until a user retries one of them.
"""

from __future__ import annotations

from hippo_core.engine.commands import FailedReport
from hippo_core.engine.decision import Decision
from hippo_core.engine.events import FailuresForgotten, PathFailed
from hippo_core.engine.requests import fail, fail_study, quarantine_in_words, through
from hippo_core.engine.states import FailureClass
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.lease import Lease
from hippo_core.plan import Node

#: Retried so often as the settings say, and counted until a state beyond is saved.
CHARGED = frozenset({FailureClass.USER, FailureClass.MEMORY, FailureClass.STALLED})
#: Counted until a state beyond the step is saved, as its training may well succeed without that.
LASTING = frozenset({*CHARGED, FailureClass.STORAGE})


def fail_path(decision: Decision, lease: Lease, item: FailedReport) -> None:
    """A path could not be trained further, as its worker says."""
    node = decision.state.nodes[item.node]
    count = count_failure(decision, lease, item.failure, item.node, item.step, item.message, item.traceback)
    spent = item.failure in CHARGED and count > decision.settings.user_retries
    if item.failure is FailureClass.PROGRAM:
        _fail_untrained(decision, node, item.message)
    if item.failure in {FailureClass.INVALID, FailureClass.PROGRAM} or spent:
        tries = f" It failed {count} times" if item.failure in CHARGED and count > 1 else ""
        if tries and item.failure is FailureClass.MEMORY:
            tries += ", the last time alone on its host"
        for study, trial in _waiting_for(decision, node, item.step):
            too_large = item.failure is FailureClass.MEMORY
            advice = _batch_advice(trial, item.step) if too_large else ""
            reason = f"{_sentence(item.message)}{tries}.{advice}" if tries else f"{item.message}{advice}"
            fail(decision, study, trial, reason, infeasible=too_large)
        decision.emit(FailuresForgotten(node=node.id))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _fail_untrained(decision: Decision, node: Node, reason: str) -> None:
    """Fails the studies of a node's program of which nothing was trained."""
    for number in sorted(decision.state.plans[node.plan].studies):
        study = decision.state.studies[number]
        if study.open and not any(trial.reached for trial in study.all_members()):
            fail_study(decision, study, reason)


def note_death(decision: Decision, lease: Lease, reason: str) -> None:
    """The worker that trained a lease has died, or is given up; perhaps because of what it trained.

    Args:
        decision: The lease stands no more.
        lease: The lease, which had steps yet to train.
        reason: What is known of the death, in words.
    """
    index = lease.index
    if lease.step >= lease.stages[index][2] and index + 1 < len(lease.stages):
        index += 1
    node = decision.state.nodes[lease.stages[index][0]]
    message = f"worker {lease.worker}: {reason}"
    count_failure(
        decision, lease, FailureClass.INFRASTRUCTURE, node.id, lease.step, message, "", died=lease.worker
    )
    why = quarantine_in_words(decision, node)
    if why and node.failures is not None:
        for study, trial in _waiting_for(decision, node, max(node.failures.deaths.values())):
            fail(decision, study, trial, why)


def count_failure(
    decision: Decision,
    lease: Lease,
    failure: FailureClass,
    number: int,
    step: int,
    message: str,
    traceback: str,
    *,
    died: str = "",
) -> int:
    """Notes a failure, and holds the node back a while where it was the infrastructure's.

    Args:
        decision: What is decided.
        lease: Of which lease.
        failure: Whose fault.
        number: The node.
        step: The step of it that failed.
        message: One line for people.
        traceback: Trace of the user's code; may be empty.
        died: The worker that died of it.

    Returns:
        How often this class has failed there without progress.
    """
    node = decision.state.nodes[number]
    known = node.failures.counts if node.failures is not None else {}
    count = known.get(failure.value, 0) + 1
    decision.emit(
        PathFailed(
            fence=lease.fence,
            node=number,
            step=step,
            failure=failure,
            count=count,
            message=message,
            traceback=traceback,
            died=died,
        )
    )
    # A worker that has died was waited for already.
    doublings = count - 2 if died else count - 1
    if failure is FailureClass.INFRASTRUCTURE and doublings >= 0:
        settings = decision.settings
        pause = min(settings.backoff_limit_seconds, settings.backoff_seconds * 2.0 ** min(doublings, 30))
        tree = decision.state.plans[node.plan].tree
        for held_back in (number, lease.stages[0][0]):
            decision.volatile.unblock[held_back] = decision.now + pause
            tree.blocked.add(held_back)
    elif failure is FailureClass.STORAGE:
        _hold(decision, node.plan)
    return count


def forget_if_passed(decision: Decision, node: Node) -> None:
    """After steps were committed: a failure of the infrastructure before them is overcome."""
    failures = node.failures
    if failures is None or node.trained <= failures.step:
        return
    if not any(each.value in failures.counts for each in LASTING):
        decision.emit(FailuresForgotten(node=node.id))


def _waiting_for(decision: Decision, node: Node, step: int) -> list[tuple[Study, Trial]]:
    """The open trials that need a step of a node trained."""
    studies = [decision.state.studies[number] for number in sorted(decision.state.plans[node.plan].studies)]
    return [(study, trial) for study in studies for trial in through(study, node, step + 1)]


def _batch_advice(trial: Trial, step: int) -> str:
    """Which hyper-parameter of a trial is most likely to help against a lack of memory."""
    values = trial.sequence.values(step)
    for name in sorted(values):
        if "batch" in name.lower():
            return f" Its {name} is {values[name]} there: take a smaller one, or leave such out of the space."
    return ""


def _hold(decision: Decision, plan: int) -> None:
    """Lets no path of the plan begin for a while: what it would train could not be saved either."""
    volatile, settings = decision.volatile, decision.settings
    if plan in volatile.held:
        return
    volatile.full[plan] = volatile.full.get(plan, 0) + 1
    pause = settings.full_seconds * 2.0 ** min(volatile.full[plan] - 1, 30)
    volatile.held[plan] = decision.now + min(settings.full_limit_seconds, pause)
