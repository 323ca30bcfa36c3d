"""A study as it is written in a study file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hippo_client import study_arguments as given
from hippo_client.class_reference import refer
from hippo_client.origin import find_origin
from hippo_core.endings import Ending
from hippo_core.endings import checked as checked_endings
from hippo_core.errors import InvalidStudy
from hippo_core.metric_constraints import checked as checked_constraints
from hippo_core.policies import OwnSpec, PolicySpec
from hippo_core.policies.policy import round_up
from hippo_core.program import Program, Resources
from hippo_core.retention import Keep
from hippo_core.samplers import Sampler
from hippo_core.space import EndOf, Space
from hippo_core.study import StudySpec


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
        horizons: Several lengths in place of ``max_steps``: each point gives one trial of each length, and counts once
            in ``max_trials``. ``schedules.wsd`` without ``stable`` follows from the length, so that the trials of a
            point are trained once up to where the shortest begins to decay.
        name: Of the study: up to 128 letters, digits, dots, dashes and underscores, a letter or digit first; by default
            the study file's name without ``.py``.
        sampler: Which points to try; by default ``samplers.grid()`` where the space is finite and
            ``max_trials`` is left out, else ``samplers.random()``. ``policies.dehb`` brings its own.
        policy: How far to train whom; by default ``policies.full()``: everything to ``max_steps``.
        unit: What a step is: ``"epoch"``, ``"iteration"``, ...
        evaluate_every: Evaluate after so many steps; 1 for epochs, to be given for other units.
        seed: Of all random generators, and of the sampler.
        repeats: How often each point is trained, with the seeds seed, seed + 1, ...: a trial's metrics are the means,
            and it counts once in ``max_trials``.
        options: Plain data for the trainer, as ``context.options``.
        data_version: A word for the data that is trained on: another word, another program.
        deterministic: Whether torch is asked for deterministic algorithms.
        checkpoint_every: Save after so many steps; by default as often as the cost allows.
        keep: Which checkpoints stay whatever the budgets say: the last states of the best trial (``"best"``), of the
            three best (``"best:3"``), of every trial (``"ends"``), or all states (``"all"``).
        checkpoint_budget: How much its checkpoints may hold, e.g. ``"20GiB"``; by default there is only the server's
            budget for all studies. Beyond, those go that are cheapest to train again for their bytes, and least likely
            to be needed.
        resources: What training one trial takes.
        priority: Studies with a higher one are trained first.
        initial: Points to try first, whatever the sampler: each a dict by hyper-parameter of values as a trial has
            them, an option of a choice as it is written in the space; or ``trial.hyperparameters`` of an earlier one
            that was not forked.
        endings: What ends the study before all its trials have come to their end, e.g.
            ``[endings.timeout(hours=2), endings.target(0.97)]``: the first that holds.
        constraints: What a result must keep to be feasible: bounds on metrics that ``evaluate`` reports, e.g.
            ``["latency_ms <= 10", "memory <= 2e9"]``. What is feasible is better than what is not.
        code: Further folders with code, relative to the study file.
        code_version: A word of yours for the version of the code, in place of the digest of its files.
        env: Environment variables for the trainer. They are kept with the study: secrets are refused here.
        secrets: Names of the workers' secrets that the trainer gets as environment variables. Their values are in a
            file of each worker's, and are kept nowhere else.

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
        horizons: Sequence[int] = (),
        name: str | None = None,
        sampler: Sampler | None = None,
        policy: PolicySpec | None = None,
        unit: str = given.DEFAULT_UNIT,
        evaluate_every: int | None = None,
        seed: int = 0,
        repeats: int = 1,
        options: Mapping[str, Any] | None = None,
        data_version: str = "",
        deterministic: bool = True,
        checkpoint_every: int | None = None,
        keep: str = "best",
        checkpoint_budget: int | str | None = None,
        resources: Resources | None = None,
        priority: int = 0,
        initial: Sequence[Mapping[str, Any]] = (),
        endings: Sequence[Ending] = (),
        constraints: Sequence[str] = (),
        code: Sequence[str | Path] = (),
        code_version: str | None = None,
        env: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
        **unknown: Any,
    ) -> None:
        given.refuse_unknown(unknown)
        self.origin = find_origin()
        self.is_named = name is not None
        self.trainer = refer(trainer, self.origin)
        self.code_paths = given.code_paths(code, self.origin.folder)
        self.code_version = given.word(code_version, "code_version")
        searched = Space(space)
        lengths = given.horizons(horizons)
        # What is handed on as it was given is checked by the values that it becomes a part of.
        program = Program(
            trainer=self.trainer, code_digest="", kinds=searched.kinds,
            evaluate_every=given.evaluate_every(evaluate_every, unit), resources=given.resources(resources),
            options=options or {}, env=env or {}, data_version=data_version, seed=seed, unit=unit,
            deterministic=deterministic,
        )  # fmt: skip
        fixed = searched.at(round_up(lengths[-1], program.evaluate_every)) if lengths else searched
        how_far = given.policy(policy)
        drawn = given.sampler(sampler, fixed, max_trials, how_far)
        first = given.initial(initial, searched)
        self._spec = StudySpec(
            program=program, space=searched, sampler=drawn, policy=how_far,
            name=given.name(name, self.origin.file), objectives=given.objectives(maximize, minimize),
            max_trials=given.max_trials(max_trials, drawn, fixed, len(first)),
            max_steps=given.max_steps(max_steps, lengths), horizons=lengths,
            secrets=given.names(secrets, "secrets"), checkpoint_every=checkpoint_every, priority=priority,
            initial=first, endings=checked_endings(endings), constraints=checked_constraints(constraints),
            repeats=repeats, keep=Keep.parse(keep),
            checkpoint_budget=given.size(checkpoint_budget, "checkpoint_budget"),
        )  # fmt: skip

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

        Where the trainer's module does not exist yet, its folders stand for the code: studies beside each other are
        planned as sharing it, others are not.

        Raises:
            InvalidStudy: A file that the trainer imports does not parse, or does not travel.
        """
        from hippo_storage.code import TrainerMissing

        def digest(find: Callable[[], str]) -> str:
            try:
                return find()
            except TrainerMissing:
                folders = [self.origin.folder, *self.code_paths]
                return f"missing:{os.pathsep.join(str(folder.resolve()) for folder in folders)}"

        policy = self._spec.policy
        if isinstance(policy, OwnSpec):
            policy = replace(policy, code=digest(self.policy_digest))
        program = replace(self._spec.program, code_digest=digest(self.code_digest))
        return replace(self._spec, policy=policy, program=program)

    def code_digest(self) -> str:
        """What stands for the trainer's code in the program: the digest of its files, or the user's word.

        Raises:
            TrainerMissing: The trainer's module is not in the study's folder.
            InvalidStudy: A file that it imports does not parse, or does not travel.
        """
        return self._digest(self.trainer, "trainer")

    def policy_digest(self) -> str:
        """What stands for the code of one's own policy in the study: as :meth:`code_digest`, of its module.

        Raises:
            TrainerMissing: The policy's module is not in the study's folder.
            InvalidStudy: A file that it imports does not parse, or does not travel; or the policy is a built-in one.
        """
        policy = self._spec.policy
        if not isinstance(policy, OwnSpec):
            raise InvalidStudy("policy", f"{policy.name} has no code of the study's.", "It is built in.")
        return self._digest(policy.reference, "policy")

    def _digest(self, reference: str, field: str) -> str:
        if self.code_version is not None:
            return f"version:{self.code_version}"
        from hippo_client.submission import folders_that_stay
        from hippo_storage.code import code_digest

        return code_digest(
            self.origin.folder,
            reference.partition(":")[0],
            self.code_paths,
            self.origin.file,
            folders_that_stay(),
            field,
        )

    def __repr__(self) -> str:
        spec = self._spec
        goals = ", ".join(
            f"{'maximize' if each.maximize else 'minimize'} {each.metric}" for each in spec.objectives
        )
        steps = f"end of {spec.max_steps.name}" if isinstance(spec.max_steps, EndOf) else str(spec.max_steps)
        if spec.horizons:
            steps = f"each of {', '.join(map(str, spec.lengths))}"
        return f"<Study {spec.name!r}: {self.trainer}, {goals}, {spec.max_trials} trials to step {steps}>"

    def _repr_html_(self) -> str:
        from hippo_client.notebook import study_html

        return study_html(self._spec)
