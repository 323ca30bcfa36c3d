"""Questions to users' own policies, and their answers, as core values and as messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from hippo_core.engine.consultations import PolicyQuestion
from hippo_core.errors import InvalidStudy
from hippo_core.own_policy import Decided, PolicyContext
from hippo_core.policies import OwnSpec, from_json
from hippo_core.policies.hosting import (
    Round,
    round_from_json,
    round_to_json,
    verdict_from_json,
    verdict_to_json,
)
from hippo_wire.json_text import dump, load_list, load_object
from hippo_wire.v1 import worker_pb2

PIECE_CHARACTERS = 1 << 20


def question_to_proto(asked: PolicyQuestion, number: int) -> Iterator[worker_pb2.PolicyQuestion]:
    """A question in messages that are not too large; all but the last one say that more follows."""
    message = worker_pb2.PolicyQuestion(
        question=number,
        study=asked.study,
        policy_json=dump(asked.policy.to_json()),
        context_json=dump(asdict(asked.context)),
        bundle=asked.bundle,
        env=asked.env,
        secrets=asked.secrets,
        known=asked.known,
    )
    size = 0
    for told in asked.rounds:
        text = dump(round_to_json(told))
        if size and size + len(text) > PIECE_CHARACTERS:
            message.more = True
            yield message
            message, size = worker_pb2.PolicyQuestion(question=number, study=asked.study), 0
        message.rounds_json.append(text)
        size += len(text)
    yield message


def policy_from_proto(message: worker_pb2.PolicyQuestion) -> tuple[OwnSpec, PolicyContext]:
    """The policy that a question is for, and what it knows of its study."""
    spec = from_json(load_object(message.policy_json, "policy_json"))
    assert isinstance(spec, OwnSpec)
    context = load_object(message.context_json, "context_json")
    return spec, PolicyContext(
        objectives=tuple(context["objectives"]),
        maximize=tuple(context["maximize"]),
        evaluate_every=context["evaluate_every"],
        seed=context["seed"],
        constraints=tuple(context["constraints"]),
    )


def rounds_from_json(texts: Sequence[str]) -> Iterator[Round]:
    """The rounds of a question."""
    for text in texts:
        yield round_from_json(load_object(text, "rounds_json"))


def verdicts_to_json(verdicts: Sequence[Decided]) -> str:
    """Verdicts as JSON text."""
    return dump([verdict_to_json(each) for each in verdicts])


def verdicts_from_json(text: str) -> tuple[Decided, ...]:
    """The inverse of :func:`verdicts_to_json`.

    Raises:
        InvalidStudy: The text holds something else.
    """
    try:
        return tuple(verdict_from_json(each) for each in load_list(text, "verdicts_json"))
    except ValueError as error:
        raise InvalidStudy("verdicts_json", str(error)) from error
