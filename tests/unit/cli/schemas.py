"""Validators of what commands print."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from hippo_client.cli.output_schema import schema_of
from hippo_client.cli.outputs import OUTPUTS


@cache
def validator(command: str) -> Draft202012Validator:
    """Of a command's output, or of ``error``."""
    return Draft202012Validator(schema_of(command))


def validate(arguments: Sequence[str], found: Any) -> None:
    """Holds what a command printed, which was called with these arguments, to its schema."""
    name = next(name for name in (" ".join(arguments[:2]), arguments[0]) if name in OUTPUTS)
    validator(name).validate(found)
