"""The arguments of ``Study``, one function each: what is left out is filled in, what makes no sense is refused.

What passes here unseen, a negative number of steps say, the values check that a study is made of: ``Program``,
``Space`` and ``StudySpec``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hippo_core import policies, samplers
from hippo_core.arguments import suggestion
from hippo_core.byte_sizes import parse_bytes
from hippo_core.domains import HORIZON
from hippo_core.errors import InvalidStudy
from hippo_core.names import FORM, LONGEST_NAME, NAME
from hippo_core.objective import Objective
from hippo_core.own_policy import Policy
from hippo_core.points import read_point
from hippo_core.policies import PolicySpec
from hippo_core.program import Resources
from hippo_core.samplers import Sampler
from hippo_core.samplers.grid import LARGEST, Grid
from hippo_core.space import EndOf, Space
from hippo_core.study_checks import missing_horizons, sorted_horizons
from hippo_core.values import Scalar

DEFAULT_UNIT = "epoch"
# What other systems call them.
_PEERS = {
    "metric": "maximize= or minimize= with the metric's name",
    "mode": "maximize, or minimize",
    "direction": "maximize, or minimize",
    "directions": "maximize, and minimize",
    "objective": "maximize, or minimize",
    "maximise": "maximize",
    "minimise": "minimize",
    "n_trials": "max_trials",
    "num_trials": "max_trials",
    "num_samples": "max_trials",
    "trials": "max_trials",
    "epochs": "max_steps",
    "max_epochs": "max_steps",
    "steps": "max_steps",
    "max_t": "max_steps",
    "lengths": "horizons",
    "durations": "horizons",
    "scheduler": "policy",
    "pruner": "policy",
    "search_alg": "sampler",
    "algorithm": "sampler",
    "search_space": "space",
    "param_space": "space",
    "config": "space",
    "gpus": "resources",
    "cpus": "resources",
    "random_seed": "seed",
    "random_state": "seed",
    "environment": "env",
    "checkpoint_interval": "checkpoint_every",
    "keep_checkpoints": "keep",
    "keep_checkpoints_num": "keep",
    "num_to_keep": "keep",
    "save_top_k": "keep",
    "max_checkpoint_bytes": "checkpoint_budget",
    "eval_every": "evaluate_every",
    "timeout": "endings=[endings.timeout(hours=...)]",
    "timeout_s": "endings=[endings.timeout(seconds=...)]",
    "time_budget_s": "endings=[endings.timeout(seconds=...)]",
    "max_time": "endings=[endings.timeout(hours=...)]",
    "max_slot_hours": "endings=[endings.max_slot_hours(...)]",
    "max_trained_steps": "endings=[endings.max_trained_steps(...)]",
    "budget": "endings=[endings.max_trained_steps(...)], or endings.max_slot_hours(...)",
    "target": "endings=[endings.target(...)]",
    "stop": "endings=[endings.target(...)], or another of endings",
    "plateau": "endings=[endings.plateau(patience=...)]",
    "early_stopping": "endings=[endings.plateau(patience=...)] for the study, policies.patience(...) for each trial",
    "terminator": "endings=[endings.terminator(...)]",
    "constraint": 'constraints=["latency_ms <= 10"]',
    "constraints_func": 'constraints=["latency_ms <= 10"]',
    "constraint_attr": 'constraints=["latency_ms <= 10"]',
    "outcome_constraints": 'constraints=["latency_ms <= 10"]',
    "metric_constraints": 'constraints=["latency_ms <= 10"]',
    "parameter_constraints": 'space={..., "fits": space.constraint("warmup + decay <= 100")}',
}
#: All of them, as they are called.
ARGUMENTS = (
    "trainer", "space", "maximize", "minimize", "max_trials", "max_steps", "horizons", "name", "sampler", "policy",
    "unit",
    "evaluate_every", "seed", "repeats", "options", "data_version", "deterministic", "checkpoint_every", "keep",
    "checkpoint_budget", "resources",
    "priority", "initial", "endings", "constraints", "code", "code_version", "env", "secrets",
)  # fmt: skip


def refuse_unknown(unknown: Mapping[str, Any]) -> None:
    """Refuses arguments that there are not, naming the one that may be meant."""
    for name in unknown:
        raise InvalidStudy(name, "is no argument of Study.", suggestion(name, ARGUMENTS, _PEERS))


def initial(given: Any, space: Space) -> tuple[Mapping[str, Scalar], ...]:
    """The points to try first, as what is drawn at each."""
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise InvalidStudy("initial", f"{given!r} is not a list of points.", "Write initial=[{...}, ...].")
    return tuple(read_point(space, point, f"initial[{index}]") for index, point in enumerate(given))


def objectives(maximize: Any, minimize: Any) -> tuple[Objective, ...]:
    """What is optimised: at least one metric."""
    found = [
        Objective(metric=metric, maximize=larger)
        for field, given, larger in (("maximize", maximize, True), ("minimize", minimize, False))
        for metric in names(given, field)
    ]
    if not found:
        raise InvalidStudy(
            "maximize",
            "no objective is given.",
            'Give maximize="accuracy", minimize="loss", or minimize=["loss", "size"]: metrics of evaluate().',
        )
    return tuple(found)


def names(given: Any, field: str) -> tuple[str, ...]:
    """A name or several."""
    if given is None:
        return ()
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, Iterable) or isinstance(names, Mapping):
        raise InvalidStudy(
            field, f"{given!r} is neither a name nor a list of names.", "Write a name in quotes."
        )
    return tuple(names)


def sampler(given: Any, space: Space, max_trials: int | None, policy: PolicySpec) -> Sampler:
    """The policy's own; else a grid where the space is finite and no number of trials is given, else random."""
    if given is None:
        if policy.proposes:
            return samplers.from_json({"sampler": policy.name})
        finite = space.unlistable() is None
        return samplers.grid() if finite and max_trials is None else samplers.random()
    return checked_sampler(given)


def checked_sampler(given: Any) -> Sampler:
    """A sampler that is given."""
    if not isinstance(given, Sampler):
        hint = "Write e.g. samplers.grid() or samplers.tpe()."
        if callable(given):
            hint = f"Call it: samplers.{getattr(given, '__name__', 'random')}()."
        raise InvalidStudy("sampler", f"{given!r} is no sampler.", hint)
    return given


def policy(given: Any) -> PolicySpec:
    """The policy; by default everything is trained to the end."""
    if given is None:
        return policies.full()
    return checked_policy(given)


def checked_policy(given: Any) -> PolicySpec:
    """A policy that is given."""
    if not isinstance(given, PolicySpec):
        hint = "Write policies.full() or policies.asha(min_steps=1, reduction_factor=3)."
        if isinstance(given, type) and issubclass(given, Policy):
            hint = f"Write policies.own({given.__name__})."
        elif callable(given):
            hint = f"Call it: policies.{getattr(given, '__name__', 'full')}(...)."
        elif isinstance(given, str) and given in policies.__all__:
            hint = f"Write policies.{given}()."
        raise InvalidStudy("policy", f"{given!r} is no policy.", hint)
    return given


def max_trials(given: Any, sampler: Sampler, space: Space, initial: int) -> int:
    """How many trials there are in all; by default as many as there are initial points and the sampler has points."""
    if given is not None:
        number: int = given  # checked by StudySpec
        return number
    count = sampler.count(space)
    if count is not None:
        return initial + count
    if HORIZON in space.domains:
        raise missing_horizons()
    if isinstance(sampler, Grid):
        found, exactly = space.fewest()
        points = f"{found:,}" if exactly and not space.constraints else f"more than {LARGEST:,}"
        raise InvalidStudy(
            "space",
            f"grid has {points} points (limit {LARGEST:,}).",
            "List fewer values, or give max_trials= and sampler=samplers.random().",
        )
    domain = space.unlistable()
    because = (
        f"{domain.name!r} has too many values to list"
        if domain
        else f"{sampler.to_json()['sampler']} has no end"
    )
    raise InvalidStudy(
        "max_trials", f"must be given: {because}.", "Give the number of trials, e.g. max_trials=100."
    )


def horizons(given: Any) -> tuple[int, ...]:
    """How long trials are, ascending."""
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise InvalidStudy("horizons", f"{given!r} is not a list.", "Write horizons=[1000, 2000, 4000].")
    listed = list(given)
    found = sorted_horizons(listed)
    twice = [each for each in found if listed.count(each) > 1]
    if twice:
        raise InvalidStudy("horizons", f"{twice[0]} is given twice")
    return found


def max_steps(given: Any, horizons: tuple[int, ...] = ()) -> int | EndOf:
    """How far one trial is trained, or at the end of which schedule; by default as long as the longest horizon."""
    if given is None and horizons:
        return horizons[-1]
    if given is None:
        raise InvalidStudy(
            "max_steps",
            "must be given.",
            "Give the number of steps that one trial is trained at most, space.end_of(name), or horizons.",
        )
    steps: int | EndOf = given  # checked by StudySpec
    return steps


def evaluate_every(given: Any, unit: Any) -> int:
    """Steps between evaluations: 1 for epochs; of other units nobody can know."""
    if given is not None:
        steps: int = given  # checked by Program
        return steps
    if unit != DEFAULT_UNIT:
        raise InvalidStudy(
            "evaluate_every",
            f"must be given for unit={unit!r}.",
            "Evaluate after so many steps, e.g. evaluate_every=500.",
        )
    return 1


def resources(given: Any) -> Resources:
    """What training one trial takes."""
    if given is None:
        return Resources()
    if not isinstance(given, Resources):
        raise InvalidStudy(
            "resources", f"{given!r} is not Resources.", "Write hippo.Resources(cpus=2, gpus=1)."
        )
    return given


def name(given: Any, file: Path | None) -> str:
    """The study's name; by default that of its file."""
    if given is not None:
        name: str = given  # checked by StudySpec
        return name
    if file is None:
        raise InvalidStudy("name", "must be given where there is no study file.", 'Give name="...".')
    if not NAME.fullmatch(file.stem):
        near = (
            re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem, flags=re.ASCII).strip("._-")[:LONGEST_NAME] or "study"
        )
        raise InvalidStudy(
            "name", f"the file's, {file.stem!r}, cannot be a study's ({FORM}).", f'Give name="{near}".'
        )
    return file.stem


def code_paths(code: Any, folder: Path) -> tuple[Path, ...]:
    """Further folders with code, absolute."""
    if isinstance(code, str | Path):
        raise InvalidStudy("code", f"{str(code)!r} is not a list.", f"Write code=[{str(code)!r}].")
    written: list[str | Path] = list(code) if isinstance(code, Iterable) else []
    if not isinstance(code, Iterable) or not all(isinstance(each, str | Path) for each in written):
        raise InvalidStudy("code", f"{code!r} is not a list of folders.", 'Write e.g. code=["../src/mylib"].')
    paths = tuple((folder / each).resolve() for each in written)
    for path, named in zip(paths, written, strict=True):
        if not path.exists():
            raise InvalidStudy(
                "code",
                f"{str(named)!r} does not exist ({path}).",
                "Folders are relative to the study file.",
            )
    return paths


def word(given: Any, field: str) -> str | None:
    """A word, or none."""
    if given is not None and (not isinstance(given, str) or not given):
        raise InvalidStudy(field, f"must be a word, not {given!r}.", 'Write e.g. "v3".')
    return given


def size(given: Any, field: str) -> int | None:
    """A number of bytes, or none."""
    return None if given is None else parse_bytes(given, field)
