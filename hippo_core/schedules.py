"""Schedules: the values of one hyper-parameter over steps.

``t`` is the trial's step from 0; a schedule inside ``piecewise`` or ``warmup`` counts from the start of its
part. Wherever a value is expected, a domain may stand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.domains import Domain, Horizon
from hippo_core.errors import InvalidStudy
from hippo_core.schedule_forms import Schedule as Schedule
from hippo_core.values import Scalar

Number = float | Domain
Count = int | Domain
Part = Scalar | Schedule | Domain

START = {
    "base_lr": "initial",
    "initial_lr": "initial",
    "initial_value": "initial",
    "start": "initial",
    "lr": "initial",
}
END = {"eta_min": "final", "end": "final", "final_value": "final", "min_lr": "final"}
PERIOD = {
    "T_max": "period",
    "T_0": "period",
    "t_max": "period",
    "steps": "period",
    "total_steps": "period",
    "total_iters": "period",
    "epochs": "period",
}
LINE = {**START, **END, **PERIOD}


@worded("schedules.constant")
def constant(value: Part) -> Any:
    """``value`` at every step: the same as the plain value."""
    if isinstance(value, Schedule | Domain):
        return value
    return arguments.scalar(value, "schedules.constant.value")


@worded("schedules.piecewise", {"boundaries": "milestones", "steps": "milestones", "schedules": "values"})
def piecewise(values: Sequence[Part], milestones: Sequence[Count]) -> Schedule:
    """``values[i]`` with i = number of milestones <= t.

    Args:
        values: Values or schedules, one more than there are milestones.
        milestones: Steps from 1 on, increasing; they may lie beyond the end of training.
    """
    return Schedule("piecewise", {"values": values, "milestones": milestones})


@worded("schedules.multistep", {**START, "factor": "gamma", "boundaries": "milestones"})
def multistep(initial: Number, gamma: Number, milestones: Sequence[Count]) -> Schedule:
    """``initial * gamma ** (number of milestones <= t)``; milestones are steps from 1 on, increasing."""
    return Schedule("multistep", {"initial": initial, "gamma": gamma, "milestones": milestones})


@worded("schedules.step_decay", {**START, "step_size": "every", "factor": "gamma"})
def step_decay(initial: Number, gamma: Number, every: Count) -> Schedule:
    """``initial * gamma ** (t // every)``."""
    return Schedule("step_decay", {"initial": initial, "gamma": gamma, "every": every})


@worded("schedules.exponential", {**START, "decay": "gamma", "decay_rate": "gamma"})
def exponential(initial: Number, gamma: Number) -> Schedule:
    """``initial * gamma ** t``."""
    return Schedule("exponential", {"initial": initial, "gamma": gamma})


@worded("schedules.linear", LINE)
def linear(initial: Number, final: Number, period: Count) -> Schedule:
    """``initial + (final - initial) * min(t, period) / period``."""
    return Schedule("linear", {"initial": initial, "final": final, "period": period})


@worded("schedules.polynomial", LINE)
def polynomial(initial: Number, final: Number, period: Count, power: Number) -> Schedule:
    """``final + (initial - final) * (1 - min(t, period) / period) ** power``."""
    return Schedule("polynomial", {"initial": initial, "final": final, "period": period, "power": power})


@worded("schedules.cosine", LINE)
def cosine(initial: Number, final: Number, period: Count) -> Schedule:
    """``final + (initial - final) * (1 + cos(pi * min(t, period) / period)) / 2``."""
    return Schedule("cosine", {"initial": initial, "final": final, "period": period})


@worded("schedules.cosine_restarts", {**LINE, "T_mult": "multiplier"})
def cosine_restarts(initial: Number, final: Number, period: Count, multiplier: Count = 1) -> Schedule:
    """As ``cosine`` within each cycle; the cycles' lengths are period, period * multiplier, ..."""
    return Schedule(
        "cosine_restarts",
        {"initial": initial, "final": final, "period": period, "multiplier": multiplier},
    )


@worded(
    "schedules.cyclic",
    {"base_lr": "low", "max_lr": "high", "step_size_up": "rise", "step_size_down": "fall"},
)
def cyclic(low: Number, high: Number, rise: Count, fall: Count) -> Schedule:
    """Up from ``low`` to ``high`` in ``rise`` steps and down again in ``fall``, for ever.

    With u = t % (rise + fall): ``low + (high - low) * (u / rise if u <= rise else (rise + fall - u) /
    fall)``.
    """
    return Schedule("cyclic", {"low": low, "high": high, "rise": rise, "fall": fall})


@worded(
    "schedules.one_cycle",
    {
        **PERIOD,
        "max_lr": "peak",
        "pct_start": "warmup_fraction",
        "div_factor": "start_divisor",
        "final_div_factor": "end_divisor",
    },
)
def one_cycle(
    peak: Number,
    period: Count,
    warmup_fraction: Number = 0.3,
    start_divisor: Number = 25,
    end_divisor: Number = 1e4,
) -> Schedule:
    """As PyTorch's ``OneCycleLR`` with two phases and cosine annealing; then the last value.

    Args:
        peak: The highest value.
        period: How many steps both phases have together.
        warmup_fraction: The part of them that rises.
        start_divisor: The first value is ``peak / start_divisor``.
        end_divisor: The last value is the first one divided by this.
    """
    return Schedule(
        "one_cycle",
        {
            "peak": peak,
            "period": period,
            "warmup_fraction": warmup_fraction,
            "start_divisor": start_divisor,
            "end_divisor": end_divisor,
        },
    )


@worded(
    "schedules.warmup",
    {"steps": "period", "warmup_steps": "period", "total_iters": "period", "start": "initial"},
)
def warmup(period: Count, after: Part, initial: Number = 0.0) -> Schedule:
    """A straight way from ``initial`` to the first value of ``after`` in ``period`` steps, then ``after``.

    ``initial + (after(0) - initial) * (t + 1) / (period + 1)`` for t < period; then ``after(t - period)``.
    """
    return Schedule("warmup", {"period": period, "after": after, "initial": initial})


@worded(
    "schedules.wsd",
    {
        "lr": "peak",
        "max_lr": "peak",
        "warmup_steps": "warmup",
        "min_lr": "final",
        "total_steps": "horizon",
        "decay_fraction": "decay, as a float",
    },
)
def wsd(
    peak: Number,
    warmup: Count,
    stable: Count | None = None,
    decay: Count | float | None = None,
    final: Number = 0.0,
    horizon: Count | None = None,
) -> Schedule:
    """Warm-up, stable, decay: trunks that many cool-downs can share.

    ``peak * (t + 1) / (warmup + 1)`` for t < warmup; ``peak`` for ``stable`` steps; then with u = t - warmup
    - stable < decay ``peak + (final - peak) * (u + 1) / (decay + 1)``; then ``final``. Each part may have no
    steps.

    Args:
        peak: The value of the stable part.
        warmup: Steps.
        stable: Steps. By default what the horizon leaves.
        decay: Steps; or, as a float from 0 to 1, a share of the horizon.
        final: What it comes down to.
        horizon: The length of all parts together, in place of ``stable``. By default each of the study's ``horizons``.
    """
    where = "schedules.wsd"
    if decay is None:
        raise InvalidStudy(
            where, "needs the argument 'decay'", "Give it in steps, or as a share of the horizon."
        )
    given = {
        "peak": peak,
        "warmup": warmup,
        "stable": stable,
        "decay": decay,
        "final": final,
        "horizon": horizon,
    }
    if stable is None and horizon is None:
        given["horizon"] = Horizon()
    return Schedule("wsd", {name: value for name, value in given.items() if value is not None})


@worded("schedules.table")
def table(values: Sequence[Scalar | Domain]) -> Schedule:
    """``values[min(t, len(values) - 1)]``."""
    return Schedule("table", {"values": values})


@worded("schedules.from_function", {**PERIOD, "function": "f", "fn": "f", "lr_lambda": "f"})
def from_function(f: Callable[[int], Scalar], period: int) -> Schedule:
    """The table of ``f(0), ..., f(period - 1)``: ``f`` is called here, and never again."""
    where = "schedules.from_function"
    if not callable(f):
        raise InvalidStudy(f"{where}.f", f"must be a function of the step, not {f!r}")
    rows = arguments.integer(period, f"{where}.period", 1)
    values = [arguments.scalar(f(step), f"{where}.f({step})") for step in range(rows)]
    return Schedule("table", {"values": values})


@worded("schedules.rounded")
def rounded(schedule: Part) -> Schedule:
    """The value of another schedule as an int, half to even."""
    return Schedule("rounded", {"of": schedule})
