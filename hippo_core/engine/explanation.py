"""Why a trial is where it is: what happened to it, in order, in words and numbers.

Made of what the journal and the rows keep of one trial: its events, and the stretches of its path that were trained.
Reasons of promotions and stops are the policy's own, as it gave them when it decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hippo_core.engine.commands import CreateTrials
from hippo_core.engine.events import (
    CheckpointLost,
    Event,
    LeaseBlocked,
    PathFailed,
    ProposalFailed,
    ProposalWanted,
    RequestClosed,
    RequestOpened,
    TrialCreated,
    TrialLimited,
    TrialStateChanged,
    TrialStopped,
    TrialWanted,
)
from hippo_core.engine.probe_views import ProbeView
from hippo_core.engine.states import LeaseState, RequestState, TrialState
from hippo_core.engine.user_words import AS_ASKED, ENDED, is_a_users_word
from hippo_core.metric_constraints import feasibility
from hippo_core.plan import Metrics
from hippo_core.probes import in_words
from hippo_core.probes import number_of as probe_number
from hippo_core.study import StudySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event as the journal has it.

    Attributes:
        position: Its place in the journal.
        at: When it was committed, seconds since 1970 in UTC.
        cause: The command that it followed from.
        actor: The user or worker who gave the command; ``server`` where several did, or nobody.
        event: What happened.
    """

    position: int
    at: float
    cause: str
    actor: str
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a lease has trained of a node.

    Attributes:
        position: Place of the lease's grant in the journal.
        at: When it was granted, seconds since 1970 in UTC.
        fence: The lease.
        worker: To whom.
        slot: Which of its slots.
        study: For which study, above all.
        node: The node.
        start: The first step.
        stop: One past the last step trained.
        state: What became of the lease.
        reason: Why, in words; may be empty.
    """

    position: int
    at: float
    fence: int
    worker: str
    slot: int
    study: int
    node: int
    start: int
    stop: int
    state: LeaseState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A stretch of a trial's path, and who else's path goes through it.

    Attributes:
        node: The node.
        start: The first step.
        stop: One past the last step.
        others: Of the other trials whose paths begin to go through it, by their study's name, where each leaves it.
    """

    node: int
    start: int
    stop: int
    others: Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that happened to a trial.

    Attributes:
        at: When, seconds since 1970 in UTC.
        event: What, in a word or two.
        step: The step that it is about; None: no step in particular.
        reason: Why, or how, in words and numbers; may be empty.
        by: Who brought it about: a user, the sampler, the policy or a worker; empty where nobody in particular did.
    """

    at: float
    event: str
    step: int | None
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStory:
    """All that an explanation is made of.

    Attributes:
        study: The study's number.
        trial: The trial's number.
        spec: Its specification.
        names: Names of studies by number; those of deleted ones are missing.
        path: The trial's path, root-most first.
        told: The trial's own events, the creation of those that it was forked from, one from another, and what befell
            its path: failures, lost checkpoints, saves that the storage held up; by position.
        trained: What leases have trained of the nodes of its path.
        measured: The metrics on its path, by step.
        probes: Its probes, in order.
        probed: The creation of its probes and the ends of their requests, by position.
    """

    study: int
    trial: int
    spec: StudySpec
    names: Mapping[int, str]
    path: Sequence[Stretch]
    told: Sequence[Told]
    trained: Sequence[Training]
    measured: Mapping[int, Metrics]
    probes: Sequence[ProbeView] = ()
    probed: Sequence[Told] = ()


def explain(story: TrialStory) -> tuple[Happening, ...]:
    """What happened to a trial and why, in the order of the journal."""
    placed = [*_own(story), *_trained(story), *_probed(story)]
    return tuple(happening for _, happening in sorted(placed, key=lambda each: each[0]))


Place = tuple[int, int]
Placed = tuple[Place, Happening]


def _own(story: TrialStory) -> Iterator[Placed]:
    """The trial's events. A failure on its path is its own only while it waits for what failed."""
    waits_for: int | None = None
    for told in story.told:
        event = told.event
        if isinstance(event, PathFailed) and (waits_for is None or event.step >= waits_for):
            continue
        if isinstance(event, CheckpointLost) and not _goes_through(story, event.node, event.step):
            continue
        for happening in _happenings(story, told, is_open=waits_for is not None):
            yield (told.position, 0), happening
        if isinstance(event, RequestOpened):
            waits_for = event.step
        elif isinstance(event, RequestClosed):
            waits_for = None


def _goes_through(story: TrialStory, node: int, step: int) -> bool:
    """Whether a state lies on a trial's path."""
    return any(stretch.node == node and stretch.start < step <= stretch.stop for stretch in story.path)


def _happenings(story: TrialStory, told: Told, *, is_open: bool) -> Iterator[Happening]:
    spec, event = story.spec, told.event
    sampler = f"sampler {spec.sampler.to_json()['sampler']}"

    def happening(word: str, step: int | None, reason: str, by: str) -> Happening:
        return Happening(at=told.at, event=word, step=step, reason=reason, by=by)

    match event:
        case ProposalWanted():
            seen = f"it may see what was known of {event.trial} trials" if event.trial else "the first trial"
            training = f", {len(event.pending)} of them in training" if event.pending else ""
            yield happening("wanted", None, f"{seen}{training}", "a slot that would idle")
        case ProposalFailed():
            yield happening("not proposed", None, event.reason, sampler)
        case TrialCreated():
            step, reason, by = _creation(story, told, event)
            if event.trial == story.trial:
                yield happening("created", step, f"{reason}; at most {event.max_steps} steps", by)
            else:
                yield happening("ancestor", step, f"trial {event.trial}: {reason}", by)
        case TrialLimited():
            yield happening("limit", event.max_steps, "may be trained so far", f"user {told.actor}")
        case TrialWanted():
            if event.step:
                yield happening("extended", event.step, "to be trained so far", f"user {told.actor}")
        case TrialStopped():
            return  # the change of state says so
        case RequestOpened():
            there = f"trained already up to step {event.trained}" if event.trained else ""
            reason = "; ".join(filter(None, [event.reason, there]))
            by = "a user's word" if event.by_user else _decider(spec, told, event.reason)
            yield happening("requested", event.step, reason, by)
        case RequestClosed():
            value = _values(story, event.value, story.measured.get(event.reached, {}))
            word = "reached" if event.state is RequestState.REACHED else f"request {event.state.value}"
            yield happening(word, event.reached, value, _reporter(told))
        case TrialStateChanged():
            if event.state is TrialState.WAITING:
                return  # the request says so
            word = "rests" if event.state is TrialState.PAUSED else event.state.value
            yield happening(word, None, event.reason, _decider(spec, told, event.reason, event.state))
        case PathFailed():
            again = f"{event.failure.value} failure {event.count} in a row: {event.message}"
            yield happening("failure", event.step, again, f"worker {told.actor}")
        case CheckpointLost():
            lost = f"{event.reason.rstrip('.')}; what follows is trained again from the nearest good one"
            finder = "the server" if told.actor == "server" else f"worker {told.actor}"
            yield happening("checkpoint lost", event.step, lost, finder)
        case LeaseBlocked():
            word = "blocked" if event.reason else "saved again"
            yield happening(word, None, event.reason and f"storage: {event.reason}", f"worker {told.actor}")
        case _:
            raise AssertionError(f"{type(event).__name__} is not of a trial")


def _reporter(told: Told) -> str:
    """The worker whose report it was, and not what followed from those of several."""
    is_reported = told.cause.startswith("Report") and told.actor != "server"
    return f"worker {told.actor}" if is_reported else ""


def _values(story: TrialStory, leading: float | None, there: Metrics) -> str:
    """What a request came to: all objectives, the first as its end has it, and whether that is feasible.

    Of repeats the means, once all have come there; the end of the request is the first one's, and has its value alone.
    """
    if story.spec.repeats > 1 and not there:
        return "" if leading is None else f"repeat 0: {story.spec.objectives[0].metric} {leading:.6g}"
    first, *others = (objective.metric for objective in story.spec.objectives)
    if story.spec.repeats > 1 and leading is not None:
        leading = there.get(first)
    values = {first: leading, **{metric: there.get(metric) for metric in others}}
    found = ", ".join(f"{metric} {value:.6g}" for metric, value in values.items() if value is not None)
    if not found:
        return ""
    told = f"mean of {story.spec.repeats} repeats: {found}" if story.spec.repeats > 1 else found
    return f"{told}; {feasibility(story.spec.constraints, there)}" if story.spec.constraints else told


def _creation(story: TrialStory, told: Told, event: TrialCreated) -> tuple[int | None, str, str]:
    """The step at which a trial parts from another, where it comes from, and who made it."""
    fork = event.fork
    if fork is None and event.enqueued:
        return None, "enqueued", f"user {told.actor}"
    if fork is None:
        how = f"point {event.trial}, as {told.actor} submitted the study"
        if told.cause == CreateTrials.__name__:  # its number may be another's by then
            how = "one of the study's points"
        elif told.cause.startswith("ProposeTrial"):
            how = "proposed"
        return None, how, f"sampler {story.spec.sampler.to_json()['sampler']}"
    if "instead_of" not in fork:
        return fork["at"], f"forked from trial {fork['trial']}", f"user {told.actor}"
    how = f"forked from trial {fork['trial']} in place of trial {fork['instead_of']}: {fork['reason']}"
    return fork["at"], how, f"policy {story.spec.policy.name}"


def _decider(spec: StudySpec, told: Told, reason: str, state: TrialState | None = None) -> str:
    """Who decided: a user by a word, the policy, or nobody, where training just came to that."""
    if is_a_users_word(reason):
        return f"user {told.actor}"
    if reason.startswith(ENDED):
        return "the study's ending"
    if state in {TrialState.FAILED, TrialState.DIVERGED} or not reason:
        return ""
    if reason.endswith(AS_ASKED):
        return "a user's word"
    return f"policy {spec.policy.name}"


def _probed(story: TrialStory) -> Iterator[Placed]:
    """The trial's probes: what was asked for, and what they came to."""
    probes = {probe_number(story.trial, probe.probe): probe for probe in story.probes}
    for told in story.probed:
        event = told.event
        assert isinstance(event, TrialCreated | RequestClosed)
        probe = probes[event.trial]
        what = in_words(probe.at, probe.to, probe.factors)
        if isinstance(event, TrialCreated):
            word, step, by = "probe", probe.at, f"policy {story.spec.policy.name}"
            reason = f"{what}: {probe.reason}"
        else:
            reached = event.state is RequestState.REACHED
            word = "probed" if reached else f"probe {event.state.value}"
            step, by = event.reached, _reporter(told)
            reason = f"{what}: {_values(story, event.value, probe.metrics) if reached else probe.failure}"
        yield (
            (told.position, 0),
            Happening(at=told.at, event=word, step=step, reason=reason.rstrip(": "), by=by),
        )


def _trained(story: TrialStory) -> Iterator[Placed]:
    """What was trained of the path, each lease's part of it once."""
    created = next(
        (
            told.position
            for told in story.told
            if isinstance(told.event, TrialCreated) and told.event.trial == story.trial
        ),
        0,
    )
    for stretch in story.path:
        covered = stretch.start
        for training in sorted(story.trained, key=lambda each: each.position):
            start, stop = max(training.start, stretch.start), min(training.stop, stretch.stop)
            if training.node != stretch.node or start >= stop:
                continue
            again = max(0, min(covered, stop) - start)
            covered = max(covered, stop)
            words = [f"steps {start} to {stop}", _for_whom(story, training, created)]
            words += [f"{again} of them again"] if again else []
            words += [shared] if (shared := _shared(story, stretch, start, stop)) else []
            words += [_ending(training)] if _ending(training) else []
            yield (
                (training.position, 1 + start),
                Happening(
                    at=training.at,
                    event="trained",
                    step=stop,
                    reason="; ".join(words),
                    by=_by(training),
                ),
            )


def _by(training: Training) -> str:
    if not training.worker:
        return "an import, which brought what was trained elsewhere"
    return f"worker {training.worker}, slot {training.slot}, lease {training.fence}"


def _for_whom(story: TrialStory, training: Training, created: int) -> str:
    if training.study == story.study:
        study = "this study"
    elif training.study in story.names:
        study = f"study {story.names[training.study]}"
    else:
        study = "a study that was deleted"
    return f"for {study}{', before this trial was there' if training.position < created else ''}"


def _shared(story: TrialStory, stretch: Stretch, start: int, stop: int) -> str:
    """Whose steps some steps of a stretch are, too; empty: nobody's."""
    found = " and ".join(_others(story, stretch.others, start, stop))
    return found and f"shared with {found}"


def _others(story: TrialStory, others: Mapping[str, Sequence[int]], start: int, stop: int) -> Iterable[str]:
    for name, leaving in others.items():
        count, to_the_end = sum(step > start for step in leaving), sum(step >= stop for step in leaving)
        if not count:
            continue
        part = "" if to_the_end == count else f", {to_the_end or 'none'} of them to step {stop}"
        trials = f"{count} other trial{'s' if count != 1 else ''}"
        yield f"{trials if name == story.spec.name else f'{count} of study {name}'}{part}"


def _ending(training: Training) -> str:
    """What became of a lease that did not simply end well."""
    if training.state in {LeaseState.TRAINING, LeaseState.SAVING}:
        return "it goes on"
    if training.state is LeaseState.COMPLETED:
        return ""
    return f"{training.state.value}{f': {training.reason}' if training.reason else ''}"
