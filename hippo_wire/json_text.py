"""JSON as fields of messages hold it: checked as it comes in."""

from __future__ import annotations

import json
from typing import Any

from hippo_core.errors import InvalidStudy

DEEPEST = 100  #: levels of a JSON object that a client sends; people write less than ten


def dump(value: object) -> str:
    """JSON text, without spaces; what is not finite does not exist in it."""
    return _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def load_object(text: str, field: str) -> dict[str, Any]:
    """The JSON object in a field.

    Raises:
        InvalidStudy: The field holds something else.
    """
    value = _load(text, field)
    if not isinstance(value, dict):
        raise InvalidStudy(field, f"is a JSON {type(value).__name__}, not an object", "Send an object.")
    return value


def load_list(text: str, field: str) -> list[Any]:
    """The JSON array in a field.

    Raises:
        InvalidStudy: The field holds something else.
    """
    value = _load(text, field)
    if not isinstance(value, list):
        raise InvalidStudy(field, f"is a JSON {type(value).__name__}, not an array", "Send an array.")
    return value


def _load(text: str, field: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidStudy(field, f"is no JSON: {error}", "Send JSON.") from error
    if _is_deeper(value, DEEPEST):
        raise InvalidStudy(field, f"is nested deeper than {DEEPEST} levels", "Write it flatter.")
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether JSON is nested so deeply that functions which call themselves on its parts might not come back."""
    level = [value]
    for _ in range(levels):
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
