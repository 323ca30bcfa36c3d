"""Brute force over spaces in their JSON form. Shares no code with what it checks, on purpose."""

import itertools
import math


def raw(schedule, t):
    """The formula's value at local step t, from the table of schedules, written down straight."""
    if not isinstance(schedule, dict):
        return schedule
    s = schedule
    name = s["schedule"]
    if name == "piecewise":
        index = sum(1 for m in s["milestones"] if m <= t)
        begin = s["milestones"][index - 1] if index else 0
        return raw(s["values"][index], t - begin)
    if name == "multistep":
        return float(s["initial"]) * float(s["gamma"]) ** sum(1 for m in s["milestones"] if m <= t)
    if name == "step_decay":
        return float(s["initial"]) * float(s["gamma"]) ** (t // s["every"])
    if name == "exponential":
        return float(s["initial"]) * float(s["gamma"]) ** t
    if name == "warmup":
        p, first = s["period"], raw(s["after"], 0)
        if t < p:
            return float(s["initial"]) + (float(first) - float(s["initial"])) * (t + 1) / (p + 1)
        return raw(s["after"], t - p)
    if name == "wsd":
        peak, final, w, d = float(s["peak"]), float(s["final"]), s["warmup"], s["decay"]
        if "horizon" in s:
            d = round(d * s["horizon"]) if isinstance(d, float) else d
        k = s["stable"] if "stable" in s else s["horizon"] - w - d
        if t < w:
            return peak * (t + 1) / (w + 1)
        if t < w + k:
            return peak
        u = t - w - k
        return peak + (final - peak) * (u + 1) / (d + 1) if u < d else final
    if name == "table":
        return s["values"][min(t, len(s["values"]) - 1)]
    if name == "rounded":
        return round(digits(raw(s["of"], t)))
    return smooth(name, s, t)


def smooth(name, s, t):
    if name == "cyclic":
        low, high, rise, fall = float(s["low"]), float(s["high"]), s["rise"], s["fall"]
        u = t % (rise + fall)
        return low + (high - low) * (u / rise if u <= rise else (rise + fall - u) / fall)
    if name == "one_cycle":
        return one_cycle(s, t)
    initial, final, period = float(s["initial"]), float(s["final"]), s["period"]
    if name == "linear":
        return initial + (final - initial) * min(t, period) / period
    if name == "polynomial":
        return final + (initial - final) * (1 - min(t, period) / period) ** float(s["power"])
    if name == "cosine":
        return final + (initial - final) * (1 + math.cos(math.pi * min(t, period) / period)) / 2
    assert name == "cosine_restarts"
    start, length = 0, period
    while start + length <= t:
        start, length = start + length, length * s["multiplier"]
    return final + (initial - final) * (1 + math.cos(math.pi * (t - start) / length)) / 2


def one_cycle(s, t):
    """After the source of torch.optim.lr_scheduler.OneCycleLR, which tests compare with as well."""
    peak, total = float(s["peak"]), s["period"]
    first = peak / float(s["start_divisor"])
    last = first / float(s["end_divisor"])
    middle = float(s["warmup_fraction"]) * total - 1.0
    t = min(t, total - 1)
    if t <= middle:
        if middle == 0.0:
            return peak
        begin, end, share = first, peak, (t - 0.0) / (middle - 0.0)
    else:
        start = middle if middle < 0 or t > middle else 0.0
        begin, end, share = peak, last, (t - start) / ((total - 1) - start)
    return end + (begin - end) / 2.0 * (math.cos(math.pi * share) + 1)


def digits(value):
    """12 significant digits, no negative zero."""
    return float(format(value, ".11e")) + 0.0


def written(schedule):
    """Which kinds of values are written for a name: "int", "float", "other"."""
    if isinstance(schedule, dict):
        if schedule["schedule"] in {"piecewise", "table"}:
            return set().union(*(written(each) for each in schedule["values"]))
        return {"int"} if schedule["schedule"] == "rounded" else {"float"}
    if isinstance(schedule, float):
        return {"float"}
    return {"int"} if type(schedule) is int else {"other"}


def kind(options):
    """The kind of a hyper-parameter, given all that may be written for it."""
    found = set().union(*(written(option) for option in options))
    if "other" in found:
        return "categorical"
    return "float" if "float" in found else "int"


def value(schedule, t, kind):
    """What is handed out at step t."""
    found = raw(schedule, t)
    if kind == "float":
        return digits(float(found))
    return digits(found) if isinstance(found, float) else found


def exact(value):
    """A stand-in that differs for values that are equal but of different types."""
    if isinstance(value, (list, tuple)):
        return ("tuple", tuple(exact(each) for each in value))
    return (type(value).__name__, value)


def histories(space, stops):
    """All trials of a grid over ``{name: options}``: for each, the values at every step, exactly.

    Args:
        space: By name, the options as JSON; names are combined in sorted order, the last one fastest.
        stops: How many steps a trial takes, given its schedules by name.
    """
    names = sorted(space)
    kinds = {name: kind(space[name]) for name in names}
    for options in itertools.product(*(space[name] for name in names)):
        chosen = dict(zip(names, options, strict=True))
        yield [
            tuple((name, exact(value(chosen[name], t, kinds[name]))) for name in names)
            for t in range(stops(chosen))
        ]


def distinct_prefixes(all_histories):
    """How many different non-empty prefixes there are: the steps to train when everything is shared."""
    return len({tuple(history[: n + 1]) for history in all_histories for n in range(len(history))})
