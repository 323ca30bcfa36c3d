"""Makes one point of a sampler that learns: a function of the task alone."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from hippo_core.domains import Choice, Domain, Integer, Stepped, Uniform
from hippo_core.drawing import name_of
from hippo_core.engine.proposals import ProposalTask
from hippo_core.errors import InvalidStudy
from hippo_core.proposing import Exhausted, Point, first_unseen, own_point, seed_of
from hippo_core.proposing.draws import digest
from hippo_core.samplers import Bohb, CmaEs, Gp, Nsga2, Nsga3, Optuna, Sampler, Tpe
from hippo_core.samplers.optuna import NOT_TAKEN
from hippo_core.values import Scalar
from hippo_server.proposals.history import CONSTRAINTS, from_optuna, notes_of, study_of
from hippo_server.proposals.known import KnownTrials

Margins = Callable[[FrozenTrial], Sequence[float]]

#: What some samplers need beside Optuna, and the extra that brings it.
NEEDS: Mapping[type[Sampler], tuple[str, str]] = {CmaEs: ("cmaes", "server"), Gp: ("scipy torch", "gp")}
MODULES = ("optuna.samplers", "optuna_integration")


def make_point(task: ProposalTask, known: KnownTrials | None = None) -> Point | Exhausted:
    """The first of a sampler's proposals for a trial that can be trained and is no copy of an earlier one.

    Args:
        task: The study, and what has come of its trials.
        known: What was made of its trials before, which costs less than to make it anew, and has the same point.

    Raises:
        InvalidStudy: None of many can; or the sampler notes too much.
    """
    return own_point(task) or first_unseen(task, _proposals(task, known))


def _proposals(task: ProposalTask, known: KnownTrials | None) -> Iterator[Point]:
    sampler = task.spec.sampler
    if isinstance(sampler, CmaEs):
        yield from _by_evolution(task, sampler)
        return
    # Of the tries before, Optuna sees trials that still run: those that know what is pending keep away from them.
    constrained = bool(task.spec.constraints)
    study = study_of(task, build(sampler, seed_of(task, 0), constrained=constrained), known)
    for attempt in count():
        study.sampler = build(sampler, seed_of(task, attempt), constrained=constrained)
        with warnings.catch_warnings():
            # A margin that is infinite is the largest finite one to its Gaussian process, as it may be.
            warnings.filterwarnings("ignore", "Clip non-finite values")
            asked = study.ask()
            assignment = task.spec.space.decide(lambda domain, asked=asked: _suggest(asked, domain))  # type: ignore[misc]
        yield assignment, notes_of(study, task)


def _by_evolution(task: ProposalTask, sampler: CmaEs) -> Iterator[Point]:
    from hippo_server.proposals.evolution import Evolution

    evolution = Evolution(task, sampler)
    for attempt in count():
        seed = seed_of(task, attempt)
        drawn = evolution.draw(seed)

        def decide(domain: Domain, seed: int = seed, drawn: Mapping[str, Scalar] = drawn) -> Scalar:
            name = name_of(domain)
            return drawn[name] if name in drawn else domain.draw(digest(seed, name) / 2.0**32)

        yield task.spec.space.decide(decide), {"generation": evolution.generation}


def build(sampler: Sampler, seed: int, *, constrained: bool = False) -> BaseSampler:
    """A sampler of Optuna's, which looks at what constraints came to if there are any.

    Raises:
        InvalidStudy: There is none of that name, or it does not take the arguments, or knows no constraints.
    """
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ExperimentalWarning
        )  # what is experimental is named in our arguments, too
        return _built(sampler, seed, _known_margins if constrained else None)


def _known_margins(trial: FrozenTrial) -> Sequence[float]:
    """What a trial's constraints came to. It is with each trial that is handed over, and never asked for."""
    margins: Sequence[float] = trial.system_attrs[CONSTRAINTS]
    return margins


def _built(sampler: Sampler, seed: int, margins: Margins | None) -> BaseSampler:
    match sampler:
        case Tpe():
            return optuna.samplers.TPESampler(
                multivariate=sampler.multivariate,
                group=sampler.grouped,
                n_startup_trials=sampler.startup_trials,
                n_ei_candidates=sampler.candidates,
                constant_liar=True,
                constraints_func=margins,
                seed=seed,
            )
        case Gp():
            return optuna.samplers.GPSampler(
                n_startup_trials=sampler.startup_trials,
                deterministic_objective=sampler.noiseless,
                warn_independent_sampling=False,
                constraints_func=margins,
                seed=seed,
            )
        case Nsga2():
            return optuna.samplers.NSGAIISampler(**_genetic(sampler), constraints_func=margins, seed=seed)
        case Nsga3():
            return optuna.samplers.NSGAIIISampler(
                **_genetic(sampler),
                dividing_parameter=sampler.divisions,
                constraints_func=margins,
                seed=seed,
            )
        case Optuna():
            return _by_name(sampler, seed, margins)
        case _:
            raise TypeError(f"{sampler!r} does not learn")


def _genetic(sampler: Nsga2 | Nsga3) -> dict[str, Any]:
    return {
        "population_size": sampler.population,
        "mutation_prob": sampler.mutation,
        "crossover_prob": sampler.crossover,
        "swapping_prob": sampler.swapping,
    }


def _by_name(sampler: Optuna, seed: int, margins: Margins | None) -> BaseSampler:
    made = _find(sampler.name)
    parameters = inspect.signature(made).parameters
    given: dict[str, Any] = {"seed": seed} if "seed" in parameters else {}
    if margins is not None:
        if "constraints_func" not in parameters:
            raise InvalidStudy(
                "constraints",
                f"{sampler.name} takes no constraints_func, and would be drawn to what is not feasible",
                "Use samplers.tpe(), samplers.gp() or samplers.nsga2().",
            )
        given["constraints_func"] = margins
    try:
        return made(**sampler.arguments, **given)
    except (TypeError, ValueError) as error:
        known = ", ".join(name for name in parameters if name not in {"seed", "constraints_func"})
        raise InvalidStudy("sampler", f"{sampler.name}: {error}", f"Its arguments: {known}.") from None


def _find(name: str) -> Callable[..., BaseSampler]:
    for module in MODULES:
        try:
            found = getattr(importlib.import_module(module), name, None)
        except ImportError:
            continue
        if isinstance(found, type) and issubclass(found, BaseSampler):
            return found
    others = {"BaseSampler", *NOT_TAKEN}
    known = [each for each in dir(optuna.samplers) if each.endswith("Sampler") and each not in others]
    raise InvalidStudy(
        "sampler", f"there is no {name} where the server runs", f"Optuna has: {', '.join(known)}."
    )


def require(sampler: Sampler, *, constrained: bool = False) -> None:
    """Checks that a sampler can work here, on a study with constraints or without.

    Raises:
        InvalidStudy: Something is not installed, or the sampler does not take its arguments, or knows no constraints.
    """
    modules, extra = NEEDS.get(type(sampler), ("", ""))
    for module in modules.split():
        try:
            importlib.import_module(module)
        except ImportError:
            raise InvalidStudy(
                "sampler",
                f"{sampler.to_json()['sampler']} needs {module}, which is not installed where the server runs",
                f"Install hippo-hpo[{extra}] there.",
            ) from None
    if not isinstance(sampler, Bohb | CmaEs) and not sampler.brought:
        build(sampler, 0, constrained=constrained)


def _suggest(asked: optuna.Trial, domain: Domain) -> Scalar:
    name = name_of(domain)
    value: Any
    match domain:
        case Choice():
            value = asked.suggest_categorical(name, tuple(range(len(domain.options))))
        case Uniform():
            value = asked.suggest_float(name, domain.low, domain.high, log=domain.log)
        case Stepped():
            assert domain.size is not None
            value = asked.suggest_int(name, 0, domain.size - 1)
        case Integer():
            value = asked.suggest_int(name, domain.low, domain.high, log=domain.log)
        case _:
            raise TypeError(f"{domain!r} is no domain that can be drawn")
    return from_optuna(domain, value)
