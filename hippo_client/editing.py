"""A study as it is to be: the one that a server has, with other parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hippo_client.request_ids import new_request_id
from hippo_client.study_arguments import checked_policy, checked_sampler
from hippo_core.arguments import suggestion
from hippo_core.byte_sizes import parse_bytes
from hippo_core.errors import InvalidStudy
from hippo_core.retention import Keep

if TYPE_CHECKING:
    from hippo_client.client import Client
    from hippo_client.study import Study
    from hippo_core.space import Space
    from hippo_core.study import StudySpec
    from hippo_wire.v1 import study_pb2

_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "sampler": checked_sampler,
    "policy": checked_policy,
    "keep": Keep.parse,
    "checkpoint_budget": partial(parse_bytes, field="checkpoint_budget"),
}
"""Of those parts that a specification does not check itself."""


def edit_request(
    client: Client,
    present: study_pb2.Study,
    study: Study | None,
    space: Mapping[str, Any] | None,
    parts: Mapping[str, Any],
    *,
    dry_run: bool,
) -> study_pb2.EditStudyRequest:
    """What a server is asked for; the code of a study is uploaded before.

    Args:
        client: The server's.
        present: The study as it is.
        study: The whole study as it is to be; without a name of its own it is that of the present one. None: as it
            is, but for what else is given.
        space: By name, other values, schedules or domains.
        parts: Other arguments of the study by name; None leaves one as it is.
        dry_run: Whether to ask only what would change.

    Raises:
        InvalidStudy: Nothing is given, or it would not be a valid study.
    """
    from hippo_client.study import Study
    from hippo_client.submission import prepare, upload
    from hippo_core.study import StudySpec
    from hippo_wire.v1 import study_pb2

    if isinstance(study, Study):
        submission = prepare(study)
        upload(client.connection, submission.bundle)
        spec = submission.spec
        if not study.is_named:
            spec = replace(spec, name=present.name)
    elif study is not None:
        raise InvalidStudy("edit", f"{study!r} is no Study.", "Write space={...}, policy=... or priority=...")
    elif space is None and all(part is None for part in parts.values()):
        raise InvalidStudy("edit", "nothing is given.", "Give a study, or what is to change.")
    else:
        spec = StudySpec.from_json(json.loads(present.spec_json))
    return study_pb2.EditStudyRequest(
        request_id=new_request_id(),
        name=present.name,
        spec_json=json.dumps(with_parts(spec, space, parts).to_json(), ensure_ascii=False, allow_nan=False),
        change_count=present.change_count,
        dry_run=dry_run,
    )


def with_parts(spec: StudySpec, space: Mapping[str, Any] | None, parts: Mapping[str, Any]) -> StudySpec:
    """A specification with other domains of its space, and other parts; None leaves one as it is.

    A grid over another space is tried whole, unless ``max_trials`` is given. Initial points that lie outside another
    space are left out of it: they are trials, and stay so.

    Raises:
        InvalidStudy: It would not be a valid study, or a name is not of the space.
    """
    given = {
        name: _CHECKS[name](value) if name in _CHECKS else value
        for name, value in parts.items()
        if value is not None
    }
    if space is not None:
        edited = _with_entries(spec.space, space)
        given["space"] = edited
        given["program"] = replace(spec.program, kinds=edited.kinds)
        given["initial"] = tuple(_places(spec, edited))
        sampler = given.get("sampler", spec.sampler)
        if sampler.enumerates and "max_trials" in given:
            given["earlier"] = spec.max_trials  # they count, and the grid need not have so many points
        elif sampler.enumerates:
            given["max_trials"] = len(given["initial"]) + (sampler.count(edited) or spec.max_trials)
            given["earlier"] = 0
    return replace(spec, **given)


def _with_entries(space: Space, given: Mapping[str, Any]) -> Space:
    from hippo_core.space import Space

    if not isinstance(given, Mapping):
        raise InvalidStudy("space", f"must be a dict by name, not {given!r}")
    entries = dict(space.entries)
    for name, part in _flat(given, ""):
        if name not in entries:
            raise InvalidStudy(
                f"space[{name!r}]", "the study has no such name", suggestion(name, sorted(entries))
            )
        entries[name] = part
    return Space(entries)


def _flat(given: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, part in given.items():
        if isinstance(part, Mapping) and "schedule" not in part:
            yield from _flat(part, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", part


def _places(spec: StudySpec, space: Space) -> Iterator[Mapping[str, Any]]:
    from hippo_core.points import read_point

    for point in spec.initial:
        try:
            yield read_point(space, spec.hyperparameters(point), "initial")
        except InvalidStudy:
            continue
