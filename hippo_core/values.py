"""The values of hyper-parameters: which there are, how they are normalised, compared and written as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeAlias

Scalar: TypeAlias = int | float | bool | str | tuple["Scalar", ...] | None

ValueKey: TypeAlias = tuple[Any, ...]
"""Hashable; equal exactly if the same names have values that are equal and of one type."""

SHOWN_CHARACTERS = 80
INTEGRAL_IN_JSON = 1e16  # from here on, a JSON store may give an integral float back as an int


class Kind(StrEnum):
    """What a hyper-parameter's values are, whatever the trial."""

    INT = "int"
    FLOAT = "float"
    CATEGORICAL = "categorical"


def normalise_float(value: float) -> float:
    """A float as it is compared and handed out: 12 significant digits, and no negative zero."""
    return float(f"{value:.11e}") + 0.0


def normalise(value: Scalar, kind: Kind) -> Scalar:
    """A value as a hyper-parameter of some kind hands it out.

    Args:
        value: As written, or as a schedule's formula gives it.
        kind: The hyper-parameter's kind.

    Returns:
        An int for INT, a float of 12 significant digits for FLOAT; for CATEGORICAL the value as written,
        where a float that is a value of its own is normalised.

    Raises:
        ValueError: The value cannot be of that kind.
    """
    if kind is Kind.CATEGORICAL:
        return normalise_float(value) if isinstance(value, float) else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")
    if kind is Kind.FLOAT:
        try:
            return normalise_float(float(value))
        except OverflowError:
            raise ValueError(f"{value!r} is too large for a float") from None
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is not an int")
    return value


def clean(value: Any) -> Scalar:
    """A value as a person wrote it, made plain: NumPy scalars become Python's, negative zeros zero.

    Raises:
        ValueError: It is not a scalar, or not finite, or is text that a database cannot hold.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value!r} is not finite")
        return float(value) + 0.0
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            raise ValueError(f"{value!r} is not valid text")
        return str(value)
    if isinstance(value, tuple):
        return tuple(clean(each) for each in value)
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return clean(value.item())
    text = repr(value)
    short = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
    raise ValueError(f"{short} is a {type(value).__name__}")


def typed(value: Scalar) -> Any:
    """A stand-in for a value that equals another's exactly if both are equal and of one type.

    Python has ``1 == True == 1.0``. Floats, text and None stand for themselves, being the most frequent.
    """
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, int):
        return ("int", value)
    if isinstance(value, tuple):
        return ("tuple", *(typed(each) for each in value))
    return value


def scalar_to_json(value: Scalar) -> Any:
    """A value as JSON, such that :func:`scalar_from_json` gives back the same value of the same type.

    A database may store ``1e+22`` as digits without a point, which would be read back as an int: such floats
    are written as ``{"float": "1e+22"}``.
    """
    if isinstance(value, tuple):
        return [scalar_to_json(each) for each in value]
    if isinstance(value, float) and abs(value) >= INTEGRAL_IN_JSON:
        return {"float": repr(value)}
    return value


def scalar_from_json(json: Any) -> Scalar:
    """The inverse of :func:`scalar_to_json`.

    Raises:
        ValueError: It is not a scalar's JSON.
    """
    if isinstance(json, list | tuple):
        return tuple(scalar_from_json(each) for each in json)
    if isinstance(json, Mapping):
        if set(json) == {"float"} and isinstance(json["float"], str):
            return clean(float(json["float"]))
        raise ValueError(f"{dict(json)!r} is not a value")
    return clean(json)
