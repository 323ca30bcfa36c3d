"""Experiment configurations of Determined.

After their documentation, "Experiment Configuration Reference"
(https://docs.determined.ai/latest/reference/experiment-config-reference.html) and "Adaptive (Asynchronous) Method":

- ``log`` is between base**minval and base**maxval; ``int`` and ``double`` have both ends. In a grid, ``count`` points
  lie evenly between them.
- ``smaller_is_better`` is true where nothing is said.
- ``adaptive_asha``: of ``max_rungs`` (5) rungs a factor of ``divisor`` (4) apart the last is at ``max_length``; its
  brackets leave out the first rungs, one more each: one bracket where ``mode`` is aggressive, all rungs' where it is
  conservative, and by default those of at least half of the rungs (master/pkg/searcher/adaptive_asha.go). With
  ``stop_once`` nothing that was stopped is taken up again. Where the length or the trials are too few for so many
  rungs, there are fewer.
"""

from __future__ import annotations

from typing import Any

from hippo_client.foreign_files.taking import Taking, constant, holds_dicts, is_int, is_number

TYPES = {"const": ("val",), "categorical": ("vals",), "int": ("minval", "maxval"), "double": ("minval", "maxval"),
         "log": ("base", "minval", "maxval")}  # fmt: skip
UNITS = {"epochs": "epoch", "batches": "batch"}
DIVISOR, RUNGS, BASE = 4, 5, 10.0  #: where the file says none
MOST_POINTS = 1000
KEEP = {"best": "best", "all": "all"}


def is_one(value: Any) -> bool:
    """Whether a file's content is such a configuration."""
    return isinstance(value, dict) and "searcher" in value


def read(taking: Taking) -> None:
    """Takes what has a counterpart."""
    study = taking.study
    taking.take("entrypoint", become="the trainer, which takes its place")
    for key, argument in (("name", "name"), ("data", "options")):
        found = taking.take(key, become=argument)
        if found is not None:
            study[argument] = {"data": found} if key == "data" else found
    seed = taking.take("reproducibility", "experiment_seed", become="seed")
    if seed is not None:
        study["seed"] = seed
    policy = taking.look("checkpoint_policy")
    if policy in tuple(KEEP):
        study["keep"] = KEEP[taking.take("checkpoint_policy", become="keep")]
    _resources(taking)
    _environment(taking)
    _searcher(taking)
    grid = taking.look("searcher", "name") == "grid"
    study["space"] = _hyperparameters(taking, ("hyperparameters",), grid)


def _resources(taking: Taking) -> None:
    slots = taking.look("resources", "slots_per_trial")
    if slots in (0, 1) and is_int(slots):
        taking.take("resources", "slots_per_trial", become="resources.gpus")
        taking.study["resources"] = {"gpus": slots}
    elif slots is not None:
        taking.refuse("resources", "slots_per_trial", why="a trial has one GPU at most")


def _environment(taking: Taking) -> None:
    given = taking.look("environment", "environment_variables")
    pairs = [str(each).partition("=") for each in given] if isinstance(given, list) else []
    if pairs and all(equals for _, equals, _ in pairs):
        taking.take("environment", "environment_variables", become="env")
        taking.study["env"] = {name: value for name, _, value in pairs}


def _searcher(taking: Taking) -> None:
    study = taking.study
    metric = taking.take("searcher", "metric")
    if metric is not None:
        smaller = taking.take("searcher", "smaller_is_better")
        goal = "maximize" if smaller is False else "minimize"
        study[goal] = metric
        taking.notes.append(f"searcher.metric -> {goal}: {metric}")
    _length(taking)
    trials = taking.take("searcher", "max_trials", become="max_trials")
    if trials is not None:
        study["max_trials"] = trials
    name = taking.look("searcher", "name")
    if name in ("random", "grid", "single"):
        study["sampler"] = {"sampler": "grid" if name == "grid" else "random"}
        if name == "single":
            study["max_trials"] = 1
        taking.take("searcher", "name", become=f"the sampler {study['sampler']['sampler']}")
    elif name in ("adaptive_asha", "asha"):
        _asha(taking, name)
    else:
        taking.refuse("searcher", "name", why=f"{name!r} has no counterpart")
    steps = study.get("max_steps")
    if "evaluate_every" not in study and study.get("unit", "epoch") != "epoch" and is_int(steps):
        study["evaluate_every"] = study.get("policy", {}).get("min_steps", steps)
        taking.notes.append(f"no min_validation_period -> evaluate_every: {study['evaluate_every']}")


def _length(taking: Taking) -> None:
    given = taking.look("searcher", "max_length")
    unit = next(iter(given)) if isinstance(given, dict) and len(given) == 1 else None
    if unit is None or unit not in UNITS or not is_int(given[unit]):
        if given is not None:
            taking.refuse("searcher", "max_length", why="is in neither epochs nor batches")
        return
    taking.take("searcher", "max_length", become=f"max_steps, unit: {UNITS[unit]}")
    taking.study |= {"max_steps": given[unit], "unit": UNITS[unit]}
    for key, argument in (
        ("min_validation_period", "evaluate_every"),
        ("min_checkpoint_period", "checkpoint_every"),
    ):
        period = taking.look(key)
        if isinstance(period, dict) and set(period) == {unit} and is_int(period[unit]) and period[unit]:
            taking.take(key, become=argument)
            taking.study[argument] = period[unit]
        elif period is not None:
            taking.refuse(key, why=f"is not in {unit}, as max_length is")


def _asha(taking: Taking, name: str) -> None:
    study = taking.study
    steps, trials = study.get("max_steps"), study.get("max_trials")
    given = {each: taking.look("searcher", each) for each in ("divisor", "max_rungs", "mode", "stop_once")}
    factor = DIVISOR if given["divisor"] is None else given["divisor"]
    rungs = RUNGS if given["max_rungs"] is None else given["max_rungs"]
    if not is_int(factor) or factor < 2 or not is_int(rungs) or rungs < 2 or not is_int(steps):
        taking.refuse(
            "searcher", "name", why=f"{name} needs a length, and whole numbers as divisor and max_rungs"
        )
        return
    while rungs > 1 and (
        factor ** (rungs - 1) > steps or (is_int(trials) and factor ** (rungs - 1) > trials)
    ):
        rungs -= 1
    mode = "aggressive" if name == "asha" else given["mode"] or "standard"
    counts = {"aggressive": 1, "standard": rungs - (rungs - 1) // 2, "conservative": rungs}
    if mode not in counts:
        taking.refuse("searcher", "mode", why=f"{mode!r} is not known")
        return
    for each in ("name", *given):
        taking.take("searcher", each)
    study["sampler"] = {"sampler": "random"}
    if rungs == 1:
        taking.notes.append(f"searcher.name -> the policy full: there is no rung below step {steps}")
        return
    policy = {"policy": "asha", "min_steps": steps // factor ** (rungs - 1), "reduction_factor": factor}
    brackets = min(counts[mode], rungs - 1)  # one without a rung below the last compares nothing
    if brackets > 1:
        policy["brackets"] = brackets
    if given["stop_once"] is True:
        policy["stopping"] = True
    study["policy"] = policy
    taking.notes.append(
        f"searcher.name -> the policy asha from step {policy['min_steps']}, brackets: {brackets}"
    )


def _hyperparameters(taking: Taking, path: tuple[str, ...], grid: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, given in taking.entries(*path).items():
        where = (*path, name)
        if isinstance(given, dict) and "type" not in given:
            found[name] = _hyperparameters(taking, where, grid)
        elif not isinstance(given, dict):
            if holds_dicts(given):
                taking.refuse(*where, why="a list of dicts is no value")
                continue
            taking.take(*where)
            found[name] = constant(given)
        else:
            _typed(taking, where, given, grid, found)
    return found


def _typed(
    taking: Taking, path: tuple[str, ...], given: dict[str, Any], grid: bool, found: dict[str, Any]
) -> None:
    kind = given["type"]
    if kind not in tuple(TYPES):
        taking.refuse(*path, why=f"the type {kind!r} has no counterpart")
        return
    part = _grid_points(given) if grid and kind in ("int", "double", "log") else _domain(given)
    if part is None:
        taking.refuse(*path, why=f"cannot be taken as {kind}")
        return
    for key in ("type", *TYPES[kind], *(["count"] if grid else [])):
        taking.take(*path, key)
    found[path[-1]] = part
    word = next(iter(part)) if isinstance(part, dict) else "a constant"
    taking.notes.append(f"{'.'.join(path[1:])} -> {word}")


def _domain(given: dict[str, Any]) -> Any:
    kind, low, high = given["type"], given.get("minval"), given.get("maxval")
    if kind == "const":
        return None if holds_dicts(given.get("val")) else constant(given.get("val"))
    if kind == "categorical":
        values = given.get("vals")
        return {"choice": values} if isinstance(values, list) and not holds_dicts(values) else None
    if not is_number(low) or not is_number(high):
        return None
    if kind == "int":
        return {"integer": [low, high]} if is_int(low) and is_int(high) else None
    if kind == "double":
        return {"uniform": [low, high]}
    base = given.get("base", BASE)
    ends = [_power(base, low), _power(base, high)]
    return None if None in ends else {"loguniform": ends}


def _power(base: Any, exponent: float) -> float | None:
    """base**exponent, if it is a number above 0."""
    try:
        return float(base) ** exponent if is_number(base) and base > 0 else None
    except OverflowError:
        return None


def _grid_points(given: dict[str, Any]) -> Any:
    """The points of a grid; None where they are not told, or would have to be rounded."""
    low, high, count = given.get("minval"), given.get("maxval"), given.get("count")
    if not is_number(low) or not is_number(high) or not is_int(count) or not 2 <= count <= MOST_POINTS:
        return None
    if given["type"] == "int":
        if not is_int(low) or not is_int(high) or (high - low) % (count - 1):
            return None
        step = (high - low) // (count - 1)
        return {"choice": [low + index * step for index in range(count)]}
    points: list[float | None] = [low + (high - low) * index / (count - 1) for index in range(count)]
    if given["type"] == "log":
        points = [None if each is None else _power(given.get("base", BASE), each) for each in points]
    return None if None in points else {"choice": points}
