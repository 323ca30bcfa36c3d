"""Values as a person reads them: hyper-parameters, metrics, durations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

# What is written without its name, as in the study file.
_POSITIONAL: Mapping[str, tuple[str, ...]] = {
    "constant": ("value",),
    "piecewise": ("values",),
    "multistep": ("initial",),
    "step_decay": ("initial",),
    "exponential": ("initial",),
    "linear": ("initial", "final"),
    "polynomial": ("initial", "final"),
    "cosine": ("initial", "final"),
    "cosine_restarts": ("initial", "final"),
    "cyclic": ("low", "high"),
    "one_cycle": ("peak",),
    "warmup": ("period", "after"),
    "wsd": ("peak",),
    "table": ("values",),
    "rounded": ("of",),
}
_LONGEST_LIST = 6


def hyperparameter(value: Any) -> str:
    """A hyper-parameter's JSON as it is written in a study file: ``cosine(0.1, 0, period=24)``."""
    if isinstance(value, Mapping) and "schedule" in value:
        return _schedule(value, hyperparameter)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {hyperparameter(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return _list(value)
    if isinstance(value, float):
        return number(value)
    return str(value)


def short_hyperparameter(value: Any) -> str:
    """The same for a narrow column: without the arguments' names."""
    if isinstance(value, Mapping) and "schedule" in value:
        return _schedule(value, short_hyperparameter, named=False)
    return hyperparameter(value)


def number(value: float | None, digits: int = 6) -> str:
    """A number with at most so many significant digits; nothing for none."""
    return "-" if value is None else f"{value:.{digits}g}"


def duration(seconds: float) -> str:
    """``0:01:30``."""
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def counts(by_name: Mapping[str, int]) -> str:
    """``7 completed, 57 stopped``: what there is, in the given order."""
    return ", ".join(f"{count} {name}" for name, count in by_name.items() if count) or "none"


def plural(count: int, word: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _schedule(value: Mapping[str, Any], word: Callable[[Any], str], named: bool = True) -> str:
    name = str(value["schedule"])
    first = [each for each in _POSITIONAL.get(name, ()) if each in value]
    rest = [each for each in value if each not in first and each != "schedule"]
    arguments = [word(value[each]) for each in first]
    arguments += [f"{each}={word(value[each])}" if named else word(value[each]) for each in rest]
    return f"{name}({', '.join(arguments)})"


def _list(values: Sequence[Any]) -> str:
    if len(values) <= _LONGEST_LIST:
        return "[" + ", ".join(map(hyperparameter, values)) + "]"
    shown = [*map(hyperparameter, values[: _LONGEST_LIST - 2]), "...", hyperparameter(values[-1])]
    return f"[{', '.join(shown)}; {len(values)} values]"
