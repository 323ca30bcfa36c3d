"""A naive simulation of small trees, tick by tick. Shares no code with what it checks, on purpose.

All trials are known, every step is evaluated, and a slot that is free takes the longest path that is ready, down to
its leaf. A state is saved where other paths leave, where a trial ends, and at a path's end. At one time, states become
durable before paths end. Where more paths will begin at states that are to be saved than slots idle that have trained,
others that idle are made ready.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Prefix = tuple[int, ...]


class Tie(Exception):
    """Two paths are equally long: which one comes first is not said."""


@dataclass
class Price:
    step: int = 1
    evaluation: int = 0
    save: int = 0
    load: int = 0
    setup: int = 0


@dataclass
class Outcome:
    makespan: int = 0
    spent: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(["training", "evaluation", "save", "load", "setup"], 0)
    )
    steps: int = 0


def simulate(trials: list[Prefix], slots: int, price: Price) -> Outcome:
    """Trains all trials, each given by its values."""
    prefixes = {trial[: length + 1] for trial in trials for length in range(len(trial))}
    children: dict[Prefix, list[Prefix]] = {}
    for prefix in sorted(prefixes):
        children.setdefault(prefix[:-1], []).append(prefix)
    ends = set(trials)
    outcome = Outcome()
    durable: set[Prefix] = {()}
    claimed: set[Prefix] = set()
    work: list[list[tuple[str, int, Prefix]]] = [[] for _ in range(slots)]
    memory: list[Prefix | None] = [None] * slots
    ready_for_program = [False] * slots
    preparing = [0] * slots
    time = 0
    while True:
        idle = [number for number in range(slots) if not work[number]]
        saved = finish(work, durable)
        late = [each for each in prefixes - claimed if each[:-1] in durable]
        if len(saved & {each[:-1] for each in late}) > 1 and 0 < len(idle) < len(late):
            raise Tie
        for free in (idle, list(range(slots))):
            assign(
                work,
                free,
                memory,
                ready_for_program,
                preparing,
                prefixes,
                children,
                ends,
                durable,
                claimed,
                price,
            )
        prepare(work, memory, ready_for_program, preparing, prefixes, claimed, price)
        if not any(work):
            outcome.makespan = time
            assert claimed == prefixes
            return outcome
        time += 1
        for actions in work:
            if actions:
                kind, left, prefix = actions[0]
                outcome.spent[kind] += 1
                outcome.steps += kind == "training" and left == 1
                actions[0] = (kind, left - 1, prefix)
        for number, left in enumerate(preparing):
            if left:
                outcome.spent["setup"] += 1
                preparing[number] = left - 1


def finish(work: list[list[tuple[str, int, Prefix]]], durable: set[Prefix]) -> set[Prefix]:
    """Takes what is done off the slots; tells which states have become durable."""
    saved = set()
    for actions in work:
        while actions and actions[0][1] == 0:
            kind, _, prefix = actions.pop(0)
            if kind == "save":
                saved.add(prefix)
    durable |= saved
    return saved


def prepare(work, memory, ready_for_program, preparing, prefixes, claimed, price) -> None:  # type: ignore[no-untyped-def]
    """Makes slots ready that idle, for paths that will begin."""
    idle = [number for number in range(len(work)) if not work[number]]
    coming = sum(each[:-1] in claimed for each in prefixes - claimed)
    warm = [number for number in idle if memory[number]]
    bare = [number for number in idle if not memory[number]]
    for number in bare[: max(0, coming - len(warm))]:
        if not ready_for_program[number]:
            ready_for_program[number], preparing[number] = True, price.setup


def assign(
    work, slots, memory, ready_for_program, preparing, prefixes, children, ends, durable, claimed, price
) -> None:  # type: ignore[no-untyped-def]
    """Gives every free one of some slots the longest path that is ready."""
    while True:
        free = [number for number in slots if not work[number]]
        ready = [each for each in sorted(prefixes - claimed) if each[:-1] in durable]
        # Below what is not claimed itself nothing can be ready.
        if not free or not ready:
            return
        first = longest(ready, children, ambiguous=len(free) < len(ready))
        holding = [number for number in free if memory[number] == first[:-1] and first[:-1]]
        trained = [number for number in free if memory[number]]
        slot = (holding or trained or free)[0]
        if not ready_for_program[slot] and price.setup:
            work[slot].append(("setup", price.setup, ()))
        if preparing[slot]:
            work[slot].append(("setup", preparing[slot], ()))
        ready_for_program[slot], preparing[slot] = True, 0
        if first[:-1] and not holding and price.load:
            work[slot].append(("load", price.load, ()))
        here: Prefix | None = first
        while here is not None:
            claimed.add(here)
            work[slot].append(("training", price.step, here))
            if price.evaluation:
                work[slot].append(("evaluation", price.evaluation, here))
            onward = children.get(here, [])
            if len(onward) != 1 or here in ends:
                work[slot].append(("save", price.save, here))
            memory[slot] = here
            here = longest(onward, children, ambiguous=len(onward) > 1) if onward else None
        finish([work[slot]], durable)


def longest(options: list[Prefix], children: dict[Prefix, list[Prefix]], ambiguous: bool) -> Prefix:
    """The option below which the most steps follow one another."""
    heights = sorted(((height(each, children), each) for each in options), reverse=True)
    if ambiguous and len(heights) > 1 and heights[0][0] == heights[1][0]:
        raise Tie
    return heights[0][1]


def height(prefix: Prefix, children: dict[Prefix, list[Prefix]]) -> int:
    return 1 + max((height(each, children) for each in children.get(prefix, [])), default=0)
