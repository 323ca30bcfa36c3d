"""Values as a person reads them: hyper-parameters, metrics, durations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Style:
    """How much is written.

    Attributes:
        named: Whether arguments have their names.
        digits: Significant digits at most; None: all.
        longest_list: Values of a list at most; None: all.
    """

    named: bool
    digits: int | None
    longest_list: int | None


_READABLE = _Style(named=True, digits=6, longest_list=6)
_SHORT = _Style(named=False, digits=6, longest_list=6)
_EXACT = _Style(named=True, digits=None, longest_list=None)


def hyperparameter(value: Any) -> str:
    """A hyper-parameter's JSON as it is written in a study file: ``cosine(0.1, 0, period=24)``."""
    return _written(value, _READABLE)


def short_hyperparameter(value: Any) -> str:
    """The same for a narrow column: without the arguments' names."""
    return _written(value, _SHORT)


def exact_hyperparameter(value: Any) -> str:
    """The same for programs: with every digit, and every value of a list."""
    return _written(value, _EXACT)


def number(value: float | None, digits: int | None = 6) -> str:
    """A number with at most so many significant digits, None: all; a dash for none."""
    if value is None:
        return "-"
    return repr(value) if digits is None else f"{value:.{digits}g}"


def measured(value: float | None, spread: float | None, digits: int | None = 6) -> str:
    """A metric; of repeats their mean and standard deviation: ``0.972 ± 0.004``."""
    if spread is None:
        return number(value, digits)
    return f"{number(value, digits)} ± {number(spread, None if digits is None else 2)}"


def percent(fraction: float) -> str:
    """``62%``; ``0%`` is nothing at all, and ``100%`` the whole."""
    rounded = round(100 * fraction)
    if 0 < fraction < 1:
        rounded = min(max(rounded, 1), 99)
    return f"{rounded}%"


def duration(seconds: float) -> str:
    """``0:01:30``."""
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def time_taken(seconds: float) -> str:
    """``1.5 s``, ``2 h 05 min``, ``3 d 4 h``: of a span of any length, the parts that matter."""
    if seconds < 120:
        return f"{seconds:.4g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def counts(by_name: Mapping[str, int]) -> str:
    """``7 completed, 57 stopped``: what there is, in the given order."""
    return ", ".join(f"{count} {name}" for name, count in by_name.items() if count) or "none"


def plural(count: int, word: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def known(name: str, names: Iterable[str]) -> str:
    """The remedy for a name that is none: the one that was probably meant, and all that there are."""
    found = list(names)
    near = get_close_matches(name, found, n=1)
    meant = f"Did you mean {near[0]!r}? " if near else ""
    return f"{meant}Known are: {', '.join(found)}."


def probe_line(probe: Mapping[str, Any]) -> str:
    """A probe, given its JSON: ``Probe from step 9 to 10 at lr x 0.1: val_loss 0.41``."""
    from hippo_core.probes import in_words

    what = f"Probe {in_words(probe['at'], probe['to'], probe['factors'])}"
    if not probe["metrics"]:
        return f"{what}: {', '.join(filter(None, [probe['state'], probe['failure']]))}"
    spread = probe.get("spread", {})
    metrics = (f"{name} {measured(value, spread.get(name))}" for name, value in probe["metrics"].items())
    return f"{what}: {', '.join(metrics)}"


def _written(value: Any, style: _Style) -> str:
    if isinstance(value, Mapping) and "schedule" in value:
        return _schedule(value, style)
    if isinstance(value, Mapping) and "domain" in value:
        return _domain(value, style)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_written(each, style)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return _list(value, style)
    if isinstance(value, float):
        return number(value, style.digits)
    return str(value)


def _schedule(value: Mapping[str, Any], style: _Style) -> str:
    name = str(value["schedule"])
    first = [each for each in _POSITIONAL.get(name, ()) if each in value]
    rest = [each for each in value if each not in first and each != "schedule"]
    arguments = [_written(value[each], style) for each in first]
    arguments += [
        f"{each}={_written(value[each], style)}" if style.named else _written(value[each], style)
        for each in rest
    ]
    return f"{name}({', '.join(arguments)})"


def _domain(value: Mapping[str, Any], style: _Style) -> str:
    """What is drawn: ``uniform(0.1, 0.9)``; a name says nothing of it."""
    arguments = [
        f"type={each}" if name == "type" else _written(each, style)
        for name, each in value.items()
        if name not in ("domain", "name") and each is not None
    ]
    return f"{value['domain']}({', '.join(arguments)})"


def _list(values: Sequence[Any], style: _Style) -> str:
    words = [_written(value, style) for value in values]
    longest = style.longest_list
    if longest is None or len(words) <= longest:
        return f"[{', '.join(words)}]"
    return f"[{', '.join([*words[: longest - 2], '...', words[-1]])}; {len(words)} values]"
