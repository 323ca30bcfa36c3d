"""Drawing from a space: which domains are drawn, given what others came to, and what a trial then has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from hippo_core.constraints import Constraint
from hippo_core.domains import Choice, Domain
from hippo_core.schedule_forms import Part, Schedule
from hippo_core.values import Scalar

Entries = Mapping[str, Part]
Todo = tuple[Part, "Todo | None"]
"""What is still to be walked: a linked list, so that branches share its rest."""


def name_of(domain: Domain) -> str:
    """The name of a domain in a space in canonical form, where each has one."""
    assert domain.name is not None, "domains of a space have names"
    return domain.name


def list_assignments(entries: Entries) -> Iterator[dict[str, Scalar]]:
    """All assignments of a finite space: names in order, the last domain's values change fastest."""
    return _branches((entries, None), {})


def _branches(todo: Todo | None, drawn: dict[str, Scalar]) -> Iterator[dict[str, Scalar]]:
    found = _next_undrawn(todo, drawn)
    if found is None:
        yield drawn
        return
    domain, rest = found
    assert domain.size is not None, "the space is finite"
    for index in range(domain.size):
        yield from _branches((domain, rest), {**drawn, name_of(domain): domain.item(index)})


def draw_assignment(entries: Entries, decide: Callable[[Domain], Scalar]) -> dict[str, Scalar]:
    """One assignment: a value for each domain that the trial has, given what others came to.

    Args:
        entries: The space's.
        decide: A domain's value.
    """
    drawn: dict[str, Scalar] = {}
    found = _next_undrawn((entries, None), drawn)
    while found is not None:
        domain, rest = found
        drawn[name_of(domain)] = decide(domain)
        found = _next_undrawn((domain, rest), drawn)
    return drawn


def unconditional(part: Part) -> Iterator[Domain]:
    """The domains that are drawn whatever others come to."""
    if isinstance(part, Domain):
        yield part
    elif isinstance(part, Schedule):
        for _, each in part.children():
            yield from unconditional(each)
    elif isinstance(part, Mapping):
        for each in part.values():
            yield from unconditional(each)


def in_order(parts: Entries | Sequence[Part]) -> Iterator[Domain]:
    """The domains that are drawn whatever others come to, in the order of drawing; one that stands twice, twice."""
    todo: list[Part] = [parts] if isinstance(parts, Mapping) else [*reversed(parts)]
    while todo:
        part = todo.pop()
        if isinstance(part, Domain):
            yield part
        elif isinstance(part, Schedule):
            todo.extend(each for _, each in reversed(list(part.children())))
        elif isinstance(part, Mapping):
            todo.extend(each for _, each in sorted(part.items(), reverse=True))


def _next_undrawn(todo: Todo | None, drawn: Mapping[str, Scalar]) -> tuple[Domain, Todo | None] | None:
    """Walks on to the next domain that the trial has and that is not drawn; through options that are."""
    while todo is not None:
        part, todo = todo
        if isinstance(part, Domain):
            name = name_of(part)
            if name not in drawn:
                return part, todo
            if isinstance(part, Choice):
                todo = (_chosen(part, drawn), todo)
        elif isinstance(part, Schedule):
            for _, each in reversed(list(part.children())):
                todo = (each, todo)
        elif isinstance(part, Mapping):
            for _, each in sorted(part.items(), reverse=True):
                todo = (each, todo)
    return None


def resolve(entries: Entries, decide: Callable[[Domain], Scalar]) -> dict[str, Part]:
    """The hyper-parameters of a trial: values and schedules without domains, by full name, sorted."""
    found: dict[str, Part] = {}

    def collect(within: Entries, prefix: str) -> None:
        for key, part in within.items():
            if isinstance(part, Constraint):
                continue
            chosen = _resolved(part, decide)
            if isinstance(chosen, Mapping):
                collect(chosen, f"{prefix}{key}.")
            else:
                found[prefix + key] = chosen

    collect(entries, "")
    return dict(sorted(found.items()))


def _resolved(part: Part, decide: Callable[[Domain], Scalar]) -> Part:
    """The part with its domains replaced by what is drawn; a chosen sub-space as it is."""
    if isinstance(part, Choice):
        index = decide(part)
        assert isinstance(index, int)
        return _resolved(part.options[index], decide)
    if isinstance(part, Domain):
        return decide(part)
    if isinstance(part, Schedule):
        return part.mapped(lambda _, each: _resolved(each, decide)) if part.draws else part
    return part


def plain_values(
    entries: Entries, domains: Mapping[str, Domain], drawn: Mapping[str, Scalar]
) -> dict[str, Scalar]:
    """What constraints may speak of: what was drawn, and the hyper-parameters that are plain values, by name."""
    found = {name: _plain(domains[name], drawn) for name in drawn}

    def collect(within: Entries, prefix: str) -> None:
        for key, part in within.items():
            value = _plain(part, drawn)
            if isinstance(value, Mapping):
                collect(value, f"{prefix}{key}.")
            else:
                found[prefix + key] = value

    collect(entries, "")
    return {name: value for name, value in found.items() if isinstance(value, int | float)}


def _plain(part: Part, drawn: Mapping[str, Scalar]) -> Part:
    while isinstance(part, Choice):
        part = _chosen(part, drawn)
    return drawn[name_of(part)] if isinstance(part, Domain) else part


def _chosen(choice: Choice, drawn: Mapping[str, Scalar]) -> Part:
    index = drawn[name_of(choice)]
    assert isinstance(index, int)
    return choice.options[index]
