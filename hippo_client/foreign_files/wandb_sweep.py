"""Sweep configurations of Weights & Biases.

After their documentation, "Sweep configuration options" (https://docs.wandb.ai/models/sweeps/sweep-config-keys), and
the schema of their package ``sweeps`` (src/sweeps/config/schema.json):

- Without ``distribution``: ``values`` are a choice, ``value`` a constant, whole ``min`` and ``max`` ``int_uniform``,
  others ``uniform``.
- ``log_uniform`` is between exp(min) and exp(max), ``log_uniform_values`` between min and max.
- ``q_uniform`` rounds to multiples of q, so that the values at the two ends come half as often as the others; here all
  are equally likely.
- ``bayes`` is a Gaussian process: ``samplers.gp()``.
- ``early_terminate: {type: hyperband}`` stops a run at min_iter * eta**k iterations, or max_iter / eta**k for k up to
  s, unless it is among the best 1/eta there: ASHA that stops. An iteration is a step here.
"""

from __future__ import annotations

import math
from typing import Any

from hippo_client.foreign_files.taking import Taking, constant, holds_dicts, is_int, is_number

SAMPLERS = {"grid": "grid", "random": "random", "bayes": "gp"}
ETA = 3  #: where the file says none


def is_one(value: Any) -> bool:
    """Whether a file's content is such a configuration."""
    return isinstance(value, dict) and "parameters" in value and "method" in value


def read(taking: Taking) -> None:
    """Takes what has a counterpart."""
    study = taking.study
    taking.take("program", become="the trainer, which takes its place")
    name = taking.take("name", become="name")
    if name is not None:
        study["name"] = name
    _metric(taking)
    method = taking.look("method")
    if method in SAMPLERS:
        study["sampler"] = {"sampler": SAMPLERS[method]}
        taking.take("method", become=f"the sampler {SAMPLERS[method]}")
    else:
        taking.refuse("method", why=f"{method!r} is not grid, random or bayes")
    cap = taking.take("run_cap", become="max_trials")
    if cap is not None:
        study["max_trials"] = cap
    _early_terminate(taking)
    study["space"] = _parameters(taking, ("parameters",))


def _metric(taking: Taking) -> None:
    name, goal = taking.take("metric", "name"), taking.look("metric", "goal")
    if name is None:
        return
    if goal not in (None, "minimize", "maximize"):
        taking.refuse("metric", "goal", why=f"{goal!r} is neither minimize nor maximize")
        return
    taking.take("metric", "goal")
    taking.study[goal or "minimize"] = name
    taking.notes.append(f"metric -> {goal or 'minimize'}: {name}")
    target = taking.take("metric", "target", become="an ending, target")
    if target is not None:
        taking.study["endings"] = [{"ending": "target", "value": target}]


def _early_terminate(taking: Taking) -> None:
    kind = taking.look("early_terminate", "type")
    if kind is None:
        return
    if kind != "hyperband":
        taking.refuse("early_terminate", why=f"{kind!r} is not hyperband")
        return
    eta = taking.look("early_terminate", "eta")
    factor = ETA if eta is None else eta
    least, most, brackets = (taking.look("early_terminate", each) for each in ("min_iter", "max_iter", "s"))
    if not is_int(factor):
        taking.refuse("early_terminate", "eta", why="is no whole number")
        return
    if least is None and is_int(most) and is_int(brackets) and most % factor**brackets == 0:
        least = most // factor**brackets
        taking.take("early_terminate", "s")
    if not is_int(least):
        taking.refuse(
            "early_terminate", why="its first bracket, min_iter or max_iter / eta**s, is no whole number"
        )
        return
    for each in ("type", "min_iter", "eta"):
        taking.take("early_terminate", each)
    if taking.take("early_terminate", "max_iter", become="max_steps") is not None:
        taking.study["max_steps"] = most
    policy = {"policy": "asha", "min_steps": least, "reduction_factor": factor, "stopping": True}
    taking.study["policy"] = policy
    taking.notes.append(f"early_terminate -> the policy asha, from step {least}, stopping")


def _parameters(taking: Taking, path: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, given in taking.entries(*path).items():
        where = (*path, name)
        if isinstance(given, dict) and "parameters" in given:
            found[name] = _parameters(taking, (*where, "parameters"))
            continue
        if not isinstance(given, dict):
            taking.refuse(*where, why="says neither value, values nor min and max")
            continue
        part = _part(taking, where, given)
        if part is not None:
            found[name] = part[0]
    return found


def _part(taking: Taking, path: tuple[str, ...], given: dict[str, Any]) -> tuple[Any] | None:
    """What a parameter is in a study file, as a tuple of one; None where it has no counterpart."""
    low, high = given.get("min"), given.get("max")
    word = given.get("distribution") or _default(given, low, high)
    values = given.get("values")
    keys: dict[str, tuple[str, ...]] = {
        "constant": ("value",), "categorical": ("values",), "q_uniform": ("min", "max", "q"),
        **dict.fromkeys(("int_uniform", "uniform", "log_uniform", "log_uniform_values"), ("min", "max")),
    }  # fmt: skip
    if word not in keys:
        taking.refuse(*path, why=f"the distribution {word!r} has no counterpart")
        return None
    part: Any = None
    if word == "constant" and "value" in given and not holds_dicts(given["value"]):
        part = constant(given["value"])
    elif word == "categorical" and isinstance(values, list) and not holds_dicts(values):
        part = {"choice": values}
    elif is_number(low) and is_number(high):
        part = _range(word, low, high, given.get("q", 1.0))
    if part is None and not (word == "constant" and "value" in given and given["value"] is None):
        taking.refuse(*path, why=f"cannot be taken as {word}")
        return None
    for key in ("distribution", *keys[word]):
        taking.take(*path, key)
    taking.notes.append(f"{'.'.join(each for each in path[1:] if each != 'parameters')} -> {_in_words(part)}")
    return (part,)


def _default(given: dict[str, Any], low: Any, high: Any) -> str | None:
    if "values" in given:
        return "categorical_w_probabilities" if "probabilities" in given else "categorical"
    if "value" in given:
        return "constant"
    if low is None or high is None:
        return None
    return "int_uniform" if is_int(low) and is_int(high) else "uniform"


def _range(word: str, low: float, high: float, q: Any) -> dict[str, Any] | None:
    if word == "int_uniform":
        return {"integer": [low, high]} if is_int(low) and is_int(high) else None
    if word == "uniform":
        return {"uniform": [low, high]}
    if word == "log_uniform_values":
        return {"loguniform": [low, high]}
    if word == "log_uniform":
        try:
            return {"loguniform": [math.exp(low), math.exp(high)]}
        except OverflowError:
            return None
    multiples = is_number(q) and q > 0 and abs(low / q - round(low / q)) < 1e-9
    return {"quniform": [low, high, q]} if word == "q_uniform" and multiples else None


def _in_words(part: Any) -> str:
    return next(iter(part)) if isinstance(part, dict) and "schedule" not in part else "a constant"
