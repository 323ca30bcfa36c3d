"""A study as it is written in a study file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hippo_client.origin import find_origin
from hippo_client.trainer_reference import refer
from hippo_core import policies, samplers
from hippo_core.arguments import suggestion
from hippo_core.errors import InvalidStudy
from hippo_core.policies import PolicySpec
from hippo_core.program import Program, Resources
from hippo_core.samplers import Sampler
from hippo_core.space import EndOf, Space
from hippo_core.study import Objective, StudySpec

_DEFAULT_UNIT = "epoch"
_PEERS = {
    "metric": "maximize, or minimize",
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
    "eval_every": "evaluate_every",
}
_ARGUMENTS = (
    "trainer", "space", "maximize", "minimize", "max_trials", "max_steps", "name", "sampler", "policy", "unit",
    "evaluate_every", "seed", "repeats", "options", "data_version", "deterministic", "checkpoint_every", "resources",
    "priority", "initial", "code", "code_version", "env", "secrets",
)  # fmt: skip


class Study:
    """One search: what is trained, over which space, how far, and what counts as better.

    Everything is checked at once; nothing is imported, started or sent.

    Args:
        trainer: ``"module:Class"``, found beside the study file, or the class itself.
        space: Hyper-parameters by name: values, schedules, domains, or dicts of these.
        maximize: The metric that ``evaluate`` reports and that is to be large; a name or a list of names.
        minimize: The same for one that is to be small.
        max_trials: How many trials the study has in all. Needed where the space is not finite.
        max_steps: How far any one trial may be trained; or ``space.end_of(name)``.
        name: Of the study; by default the study file's name without ``.py``.
        sampler: Which points to try; by default ``samplers.grid()`` where the space is finite and
            ``max_trials`` is left out, else ``samplers.random()``.
        policy: How far to train whom; by default ``policies.full()``: everything to ``max_steps``.
        unit: What a step is: ``"epoch"``, ``"iteration"``, ...
        evaluate_every: Evaluate after so many steps; 1 for epochs, to be given for other units.
        seed: Of all random generators, and of the sampler.
        repeats: How often each point is trained, with seeds of its own. Only 1 so far.
        options: Plain data for the trainer, as ``context.options``.
        data_version: A word for the data that is trained on: another word, another program.
        deterministic: Whether torch is asked for deterministic algorithms.
        checkpoint_every: Save after so many steps; by default as often as the cost allows.
        resources: What training one trial takes.
        priority: Studies with a higher one are trained first.
        initial: Points to try first. None so far.
        code: Further folders with code, relative to the study file.
        code_version: A word of yours for the version of the code, in place of the digest of its files.
        env: Environment variables for the trainer.
        secrets: Names of environment variables of the workers that the trainer may see.

    Raises:
        InvalidStudy: An argument is wrong; names it and the remedy.
    """

    def __init__(
        self,
        trainer: str | type,
        space: Mapping[str, Any],
        *,
        maximize: str | Sequence[str] | None = None,
        minimize: str | Sequence[str] | None = None,
        max_trials: int | None = None,
        max_steps: int | EndOf | None = None,
        name: str | None = None,
        sampler: Sampler | None = None,
        policy: PolicySpec | None = None,
        unit: str = _DEFAULT_UNIT,
        evaluate_every: int | None = None,
        seed: int = 0,
        repeats: int = 1,
        options: Mapping[str, Any] | None = None,
        data_version: str = "",
        deterministic: bool = True,
        checkpoint_every: int | None = None,
        resources: Resources | None = None,
        priority: int = 0,
        initial: Sequence[Mapping[str, Any]] = (),
        code: Sequence[str | Path] = (),
        code_version: str | None = None,
        env: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
        **unknown: Any,
    ) -> None:
        _refuse_unknown(unknown)
        _refuse_later(repeats, initial)
        self.origin = find_origin()
        self.trainer = refer(trainer, self.origin)
        self.code_paths = _code_paths(code, self.origin.folder)
        self.code_version = _word(code_version, "code_version")
        searched = Space(space)
        chosen_sampler = _sampler(sampler, searched, max_trials)
        chosen_policy = _policy(policy)
        objectives = _objectives(maximize, minimize)
        program = Program(
            trainer=self.trainer,
            code_digest="",
            options=options or {},
            env=env or {},
            data_version=data_version,
            seed=seed,
            unit=unit,
            evaluate_every=_evaluate_every(evaluate_every, unit),
            deterministic=deterministic,
            resources=_resources(resources),
            kinds=searched.kinds,
        )
        self._spec = StudySpec(
            name=_name(name, self.origin.file),
            space=searched,
            objectives=objectives,
            max_trials=_max_trials(max_trials, chosen_sampler, searched),
            max_steps=_max_steps(max_steps),
            sampler=chosen_sampler,
            policy=chosen_policy,
            program=program,
            checkpoint_every=checkpoint_every,
            priority=priority,
            secrets=_names(secrets, "secrets"),
        )

    @property
    def name(self) -> str:
        """Its name within the project."""
        return self._spec.name

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is worth knowing, though it is no error: steps that are rounded up, say."""
        return self._spec.warnings

    def spec(self) -> StudySpec:
        """The study as a value, as it is submitted, without the bundle.

        The code digest is empty where the trainer's module does not exist yet.

        Raises:
            InvalidStudy: A file that the trainer imports does not parse, or does not travel.
        """
        from hippo_storage.code import TrainerMissing

        try:
            digest = self.code_digest()
        except TrainerMissing:
            return self._spec
        return replace(self._spec, program=replace(self._spec.program, code_digest=digest))

    def code_digest(self) -> str:
        """What stands for the trainer's code in the program: the digest of its files, or the user's word.

        Raises:
            TrainerMissing: The trainer's module is not in the study's folder.
            InvalidStudy: A file that it imports does not parse, or does not travel.
        """
        if self.code_version is not None:
            return f"version:{self.code_version}"
        from hippo_client.submission import folders_that_stay
        from hippo_storage.code import code_digest

        return code_digest(
            self.origin.folder,
            self.trainer.partition(":")[0],
            self.code_paths,
            self.origin.file,
            folders_that_stay(),
        )

    def __repr__(self) -> str:
        spec = self._spec
        goals = ", ".join(
            f"{'maximize' if each.maximize else 'minimize'} {each.metric}" for each in spec.objectives
        )
        steps = f"end of {spec.max_steps.name}" if isinstance(spec.max_steps, EndOf) else str(spec.max_steps)
        return f"<Study {spec.name!r}: {self.trainer}, {goals}, {spec.max_trials} trials to step {steps}>"

    def _repr_html_(self) -> str:
        from hippo_client.notebook import study_html

        return study_html(self._spec)


def _refuse_unknown(unknown: Mapping[str, Any]) -> None:
    for name in unknown:
        raise InvalidStudy(name, "is no argument of Study.", suggestion(name, _ARGUMENTS, _PEERS))


def _refuse_later(repeats: Any, initial: Any) -> None:
    if repeats != 1 or isinstance(repeats, bool):
        raise InvalidStudy(
            "repeats",
            f"must be 1, not {repeats!r}: repeated trials are not supported yet.",
            "Submit the study again under another name with another seed.",
        )
    if initial:
        raise InvalidStudy(
            "initial",
            "points to try first are not supported yet.",
            "Leave it out, or list them in the space.",
        )


def _objectives(maximize: Any, minimize: Any) -> tuple[Objective, ...]:
    found = [
        Objective(metric=metric, maximize=larger)
        for field, given, larger in (("maximize", maximize, True), ("minimize", minimize, False))
        for metric in _names(given, field)
    ]
    if not found:
        raise InvalidStudy(
            "maximize",
            "no objective is given.",
            'Give maximize= or minimize= a metric of evaluate(), e.g. "loss".',
        )
    return tuple(found)


def _names(given: Any, field: str) -> tuple[str, ...]:
    if given is None:
        return ()
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, Iterable) or isinstance(names, Mapping):
        raise InvalidStudy(
            field, f"{given!r} is neither a name nor a list of names.", "Write a name in quotes."
        )
    return tuple(names)


def _sampler(given: Any, space: Space, max_trials: int | None) -> Sampler:
    if given is None:
        finite = space.unlistable() is None
        return samplers.grid() if finite and max_trials is None else samplers.random()
    if not isinstance(given, Sampler):
        hint = "Write samplers.grid() or samplers.random()."
        if callable(given):
            hint = f"Call it: samplers.{getattr(given, '__name__', 'random')}()."
        raise InvalidStudy("sampler", f"{given!r} is no sampler.", hint)
    return given


def _policy(given: Any) -> PolicySpec:
    if given is None:
        return policies.full()
    if not isinstance(given, PolicySpec):
        hint = "Write policies.full() or policies.asha(min_steps=1, reduction_factor=3)."
        if callable(given):
            hint = f"Call it: policies.{getattr(given, '__name__', 'full')}(...)."
        raise InvalidStudy("policy", f"{given!r} is no policy.", hint)
    return given


def _max_trials(given: Any, sampler: Sampler, space: Space) -> int:
    if given is not None:
        number: int = given  # checked by StudySpec
        return number
    count = sampler.count(space)
    if count is not None:
        return count
    domain = space.unlistable()
    because = (
        f"{domain.name!r} has too many values to list"
        if domain
        else f"{sampler.to_json()['sampler']} has no end"
    )
    raise InvalidStudy(
        "max_trials", f"must be given: {because}.", "Give the number of trials, e.g. max_trials=100."
    )


def _max_steps(given: Any) -> int | EndOf:
    if given is None:
        raise InvalidStudy(
            "max_steps",
            "must be given.",
            "Give the number of steps that one trial is trained at most, or space.end_of(name).",
        )
    steps: int | EndOf = given  # checked by StudySpec
    return steps


def _evaluate_every(given: Any, unit: Any) -> int:
    if given is not None:
        steps: int = given  # checked by Program
        return steps
    if unit != _DEFAULT_UNIT:
        raise InvalidStudy(
            "evaluate_every",
            f"must be given for unit={unit!r}.",
            "Evaluate after so many steps, e.g. evaluate_every=500.",
        )
    return 1


def _resources(given: Any) -> Resources:
    if given is None:
        return Resources()
    if not isinstance(given, Resources):
        raise InvalidStudy(
            "resources", f"{given!r} is not Resources.", "Write hippo.Resources(cpus=2, gpus=1)."
        )
    return given


def _name(given: Any, file: Path | None) -> str:
    if given is not None:
        name: str = given  # checked by StudySpec
        return name
    if file is None:
        raise InvalidStudy("name", "must be given where there is no study file.", 'Give name="...".')
    return file.stem


def _code_paths(code: Any, folder: Path) -> tuple[Path, ...]:
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


def _word(given: Any, field: str) -> str | None:
    if given is not None and (not isinstance(given, str) or not given):
        raise InvalidStudy(field, f"must be a word, not {given!r}.", 'Write e.g. "v3".')
    return given
