"""One point of a sampler: a function of the task, within the space, and better than chance where it has learnt."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from hippo_core import policies, samplers, space
from hippo_core.engine.proposals import PastTrial, ProposalTask
from hippo_core.engine.states import TrialState
from hippo_core.errors import InvalidStudy
from hippo_core.objective import Objective
from hippo_core.proposing import points
from hippo_core.study import StudySpec
from hippo_server.proposals import sampling
from hippo_server.proposals.history import study_of
from hippo_server.proposals.messages import encode, task_message, task_of
from hippo_server.proposals.sampling import build, make_point, require
from tests.studies import study

EVERYTHING = {
    "x": space.uniform(-5, 5),
    "y": space.loguniform(1e-3, 1e3),
    "n": space.integer(1, 20),
    "k": space.logint(1, 4096),
    "q": space.quniform(0, 1, 0.1),
    "one": space.integer(2, 2),
    "c": space.choice(["a", "b", "c"]),
    "o": space.choice([{"name": "sgd", "momentum": space.uniform(0, 1)}, {"name": "adam"}]),
    "rule": space.constraint("x + n < 20"),
}
SAMPLERS: list[tuple[samplers.Learning, int]] = [
    (samplers.tpe(startup_trials=4), 1),
    (samplers.tpe(multivariate=False, startup_trials=4), 1),
    (samplers.tpe(startup_trials=4), 2),
    (samplers.bohb(min_points=3), 1),
    (samplers.gp(startup_trials=4), 1),
    (samplers.gp(startup_trials=4), 2),
    (samplers.cma_es(population=4), 1),
    (samplers.nsga2(population=4), 2),
    (samplers.nsga3(population=4), 2),
    (samplers.optuna("TPESampler", n_startup_trials=4), 1),
]
Cost = Callable[[Mapping[str, Any]], float]


def spec(
    sampler: samplers.Learning, objectives: int = 1, entries: Any = EVERYTHING, **changes: Any
) -> StudySpec:
    goals = tuple(Objective(metric=f"m{index}", maximize=index == 1) for index in range(objectives))
    return study(
        entries,
        sampler=sampler,
        objectives=goals,
        max_trials=1000,
        max_steps=9,
        policy=policies.full(),
        **changes,
    )


def past(number: int, point: tuple[Any, Any], values: tuple[float, ...], **changes: Any) -> PastTrial:
    made = PastTrial(
        trial=number,
        assignment=point[0],
        notes=point[1],
        state=TrialState.COMPLETED,
        values={9: values},
        reached=9,
        sequence=number + 1,
    )
    return replace(made, **changes)


def task(study_spec: StudySpec, history: list[PastTrial]) -> ProposalTask:
    return ProposalTask(spec=study_spec, trial=len(history), history=tuple(history))


def bowl(assignment: Mapping[str, Any]) -> float:
    return float(assignment["x"] ** 2 + math.log10(assignment["y"]) ** 2 + (assignment["n"] - 7) ** 2 / 10)


def searched(study_spec: StudySpec, trials: int, cost: Cost = bowl) -> list[PastTrial]:
    history: list[PastTrial] = []
    for number in range(trials):
        point = make_point(task(study_spec, history))
        values = (cost(point[0]), float(point[0]["x"]))[: len(study_spec.objectives)]
        history.append(past(number, point, values))
    return history


def test_what_probes_came_to_goes_with_a_task() -> None:
    study_spec = spec(samplers.tpe(), 2)
    history = [
        past(0, ({"x": 0.5}, {"phase": 1}), (0.25, 0.5), probes={9: (0.125, 1.5), 18: (0.0625, 1.0)}),
        past(1, ({"x": 1.5}, {}), (0.75, 1.5)),
    ]
    message = json.loads(encode(task_message(task(study_spec, history))))
    read = task_of(message, StudySpec.from_json(message["spec"]))
    assert read.history == tuple(history)


@pytest.mark.parametrize(("sampler", "objectives"), SAMPLERS, ids=str)
def test_a_proposal_is_a_point_of_the_space_and_a_function_of_the_task(
    sampler: samplers.Learning, objectives: int
) -> None:
    """1. A search. 2. Each of its proposals, made again from a task that went through JSON, is the same."""
    study_spec = spec(sampler, objectives)
    history = searched(study_spec, 7 if isinstance(sampler, samplers.Gp) else 18)
    for number in {0, 3, 6, len(history) - 1}:
        message = json.loads(encode(task_message(task(study_spec, history[:number]))))
        again = make_point(task_of(message, StudySpec.from_json(message["spec"])))
        assert again == (history[number].assignment, history[number].notes)
    for each in history:
        assert study_spec.space.checked(each.assignment) == each.assignment
    assert len({json.dumps(each.assignment) for each in history}) == len(history)


@pytest.mark.parametrize(("sampler", "objectives"), SAMPLERS, ids=str)
def test_trials_that_run_failed_diverged_or_were_stopped_are_no_obstacle(
    sampler: samplers.Learning, objectives: int
) -> None:
    study_spec = spec(sampler, objectives)
    if isinstance(sampler, samplers.Gp):  # it is slow, and notes nothing
        history = [
            past(number, (study_spec.point(number), {}), (1.0 / (number + 1),) * objectives)
            for number in range(14)
        ]
    else:
        history = searched(study_spec, 14)
    ends = [
        {"state": TrialState.WAITING, "values": {}, "sequence": 0},
        {"state": TrialState.WAITING},
        {"state": TrialState.STOPPED},
        {"state": TrialState.DIVERGED, "reached": 4, "values": {}},
        {"state": TrialState.DIVERGED, "reached": 10},
        {"state": TrialState.FAILED, "values": {}},
    ]
    for index, end in enumerate(ends):
        history[2 * index] = replace(history[2 * index], **end)  # type: ignore[arg-type]
    assignment, _ = make_point(task(study_spec, history))
    assert study_spec.space.checked(assignment) == assignment


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """As in the processes that make points."""
    import torch

    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("sampler", "trials"),
    [
        (samplers.tpe(), 50),
        (samplers.bohb(random_fraction=0.0), 50),
        (samplers.gp(), 20),
        (samplers.cma_es(), 50),
    ],
    ids=str,
)
def test_what_was_learnt_is_better_than_chance(sampler: samplers.Learning, trials: int) -> None:
    """The last five lie deeper in a bowl than random points do, the median of three seeds."""
    entries = {"x": space.uniform(-5, 5), "y": space.loguniform(1e-3, 1e3), "n": space.integer(1, 20)}

    def late(chosen: samplers.Learning | None, seed: int) -> float:
        study_spec = spec(chosen or sampler, 1, entries, program_changes={"seed": seed})
        if chosen is None:
            points = [dict(study_spec.point(number)) for number in range(trials)]
        else:
            points = [dict(each.assignment) for each in searched(study_spec, trials)]
        return sum(bowl(point) for point in points[-5:]) / 5

    learnt, random = (sorted(late(chosen, seed) for seed in range(3))[1] for chosen in (sampler, None))
    assert learnt < random / 2


@pytest.mark.parametrize("sampler", [samplers.tpe(), samplers.gp()], ids=str)
def test_a_proposal_keeps_away_from_what_is_pending(sampler: samplers.Learning) -> None:
    """1. A search on one axis. 2. Its next proposal is pending: the one after it is another point."""
    study_spec = spec(sampler, 1, {"x": space.uniform(-5, 5)})
    history = searched(study_spec, 14, lambda point: float(point["x"]) ** 2)
    apart = []
    for _ in range(4):
        point = make_point(task(study_spec, history))
        without = make_point(replace(task(study_spec, history[:14]), trial=len(history)))
        apart.append(point != without)
        waits = replace(past(len(history), point, (0.0,)), state=TrialState.WAITING, values={}, sequence=0)
        history.append(waits)
    assert apart == [False, True, True, True]


CONSTRAINED: list[tuple[samplers.Learning, int]] = [
    each for each in SAMPLERS if not isinstance(each[0], samplers.CmaEs)
]
BOUNDS = ("latency <= 1", "memory <= 1")


def constrained(
    study_spec: StudySpec, trials: int, margins: Callable[[Any], tuple[float, ...]]
) -> list[PastTrial]:
    """A search for the bottom of a bowl, or for two of them, with what constraints come to."""
    history: list[PastTrial] = []
    for number in range(trials):
        point = make_point(task(study_spec, history))
        values = (bowl(point[0]), float(point[0]["x"]))[: len(study_spec.objectives)]
        history.append(past(number, point, (*values, *margins(point[0]))))
    return history


@pytest.mark.parametrize(("sampler", "objectives"), CONSTRAINED, ids=str)
def test_with_constraints_a_proposal_is_a_function_of_the_task(
    sampler: samplers.Learning, objectives: int
) -> None:
    """1. Margins are of both signs, and some infinite; trials run, were stopped, diverged, failed. 2. The same."""
    # A Gaussian process is slow, and slower with each axis; its points of all kinds of axes are tested without bounds.
    axes = ("x", "n", "c") if isinstance(sampler, samplers.Gp) else EVERYTHING
    study_spec = spec(sampler, objectives, {name: EVERYTHING[name] for name in axes}, constraints=BOUNDS)

    def margins(point: Any) -> tuple[float, ...]:
        return (math.inf if point["n"] % 5 == 0 else point["x"] - 1.0, 0.25 * (point["n"] - 10))

    if isinstance(sampler, samplers.Gp):  # it notes nothing
        points = [study_spec.point(number) for number in range(7)]
        history = [
            past(number, (each, {}), (1.0,) * objectives + margins(each))
            for number, each in enumerate(points)
        ]
    else:
        history = constrained(study_spec, 14, margins)
    ends = [
        {"state": TrialState.WAITING, "values": {}, "sequence": 0},
        {"state": TrialState.STOPPED},
        {"state": TrialState.DIVERGED, "reached": 4, "values": {}},
        {"state": TrialState.FAILED, "values": {}},
    ]
    for _ in range(2):
        point = make_point(task(study_spec, history))
        message = json.loads(encode(task_message(task(study_spec, history))))
        assert make_point(task_of(message, StudySpec.from_json(message["spec"]))) == point
        for index, end in enumerate(ends):
            history[index] = replace(history[index], **end)  # type: ignore[arg-type]


@pytest.mark.parametrize("sampler", [samplers.tpe(), samplers.bohb(random_fraction=0.0)], ids=str)
def test_what_is_infeasible_is_kept_away_from(sampler: samplers.Learning) -> None:
    """The bottom of the bowl is infeasible, and so are 7 of 10 random points. The search finds what is not."""
    entries = {"x": space.uniform(-5, 5), "y": space.loguniform(1e-3, 1e3), "n": space.integer(1, 20)}

    def margins(point: Any) -> tuple[float, ...]:
        return (2.0 - point["x"],)

    def feasible(*bounds: str) -> int:
        study_spec = spec(sampler, 1, entries, constraints=bounds)
        found = constrained(study_spec, 60, margins if bounds else lambda point: ())
        return sum(margins(each.assignment)[0] <= 0 for each in found)

    assert feasible(BOUNDS[0]) > 24
    assert feasible() < 12


def test_a_gaussian_process_models_constraints() -> None:
    """Whether the best of some points is feasible changes what is proposed next."""
    study_spec = spec(samplers.gp(startup_trials=8), 1, {"x": space.uniform(-5, 5)}, constraints=BOUNDS[:1])
    points = [study_spec.point(number) for number in range(9)]

    def proposed(margin: Callable[[float], float]) -> Any:
        history = [
            past(number, (each, {}), (float(each["x"]) ** 2, margin(each["x"])))
            for number, each in enumerate(points)
        ]
        return make_point(task(study_spec, history))[0]["x"]

    assert abs(proposed(lambda x: -1.0)) < 1
    assert proposed(lambda x: 3.0 - x) > 1


def test_a_sampler_of_optuna_s_that_knows_no_constraints_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling.optuna.samplers, "PlainSampler", Plain, raising=False)
    require(samplers.optuna("PlainSampler"))
    with pytest.raises(InvalidStudy, match="PlainSampler takes no constraints_func") as caught:
        require(samplers.optuna("PlainSampler"), constrained=True)
    assert caught.value.field == "constraints"


class Plain(sampling.optuna.samplers.RandomSampler):
    """A sampler of Optuna's kind that learns from objectives alone."""


def test_seeds_and_trials_differ() -> None:
    tpe = samplers.tpe()
    one, two = (make_point(task(spec(tpe, program_changes={"seed": seed}), []))[0] for seed in (0, 1))
    assert one != two
    assert make_point(replace(task(spec(tpe), []), trial=1))[0] != one


def test_constraints_are_kept_by_drawing_again() -> None:
    """A tenth of the space is allowed; the sampler is not told which."""
    entries = {"x": space.uniform(0, 1), "y": space.uniform(0, 1), "rule": space.constraint("x < 0.1")}
    for sampler in (samplers.tpe(), samplers.bohb(), samplers.cma_es()):
        for each in searched(spec(sampler, 1, entries), 15, lambda point: -float(point["x"])):
            assert each.assignment["x"] < 0.1


def test_a_sampler_that_does_not_come_upon_what_is_allowed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "TRIES", 2)
    entries = {"x": space.uniform(0, 1), "rule": space.constraint("x < 0.02")}
    words = r"2 proposals in a row cannot be trained; the last one: assignment: does not satisfy 'x < 0\.02'"
    with pytest.raises(InvalidStudy, match=words):
        make_point(task(spec(samplers.tpe(), 1, entries), []))


def test_generations_follow_the_order_of_arrival() -> None:
    """CMA-ES: the first four of a generation to end decide on the next, whatever ends later."""
    study_spec = spec(samplers.cma_es(population=4), 1, {"x": space.uniform(0, 1), "y": space.uniform(0, 1)})
    history = [
        past(
            number,
            make_point(replace(task(study_spec, []), trial=number)),
            (float(number),),
            sequence=9 - number,
        )
        for number in range(6)
    ]
    assert {each.notes["generation"] for each in history} == {0}
    first = make_point(task(study_spec, history))
    assert first[1] == {"generation": 1}
    late = [replace(each, state=TrialState.WAITING) if each.sequence > 7 else each for each in history]
    assert make_point(task(study_spec, late)) == first
    assert make_point(task(study_spec, [replace(each, sequence=each.trial + 1) for each in history])) != first


def test_a_sampler_s_notes_are_found_again() -> None:
    """NSGA-II notes generations with trials, and parents with the study."""
    history = searched(spec(samplers.nsga2(population=4), 2), 16)
    generations = [each.notes["trial"]["NSGAIISampler:generation"] for each in history]
    assert generations == [number // 4 for number in range(16)]
    assert any("study" in each.notes for each in history)


@pytest.mark.parametrize(
    ("sampler", "words"),
    [
        (
            samplers.optuna("NoSampler"),
            "there is no NoSampler where the server runs. Optuna has: .*TPESampler",
        ),
        (samplers.optuna("BaseSampler"), "BaseSampler"),
        (samplers.optuna("TPESampler", multivar=True), "'multivar'.* Its arguments: .*multivariate"),
        (samplers.optuna("NSGAIISampler", population_size=1), "population_size"),
    ],
)
def test_what_optuna_does_not_have_is_told(sampler: samplers.Learning, words: str) -> None:
    with pytest.raises(InvalidStudy, match=words):
        require(sampler)


def test_of_optuna_s_samplers_those_are_named_that_are_taken() -> None:
    with pytest.raises(InvalidStudy, match="Optuna has: ") as caught:
        require(samplers.optuna("NoSampler"))
    named = re.findall(r"\w+Sampler", str(caught.value).partition("Optuna has: ")[2])
    assert "TPESampler" in named
    for name in named:
        samplers.optuna(name)  # refuses those that are not taken


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(sampling.importlib, "import_module", missing)
    with pytest.raises(
        InvalidStudy, match=r"gp needs scipy, which is not installed where .* Install hippo-hpo\[gp\]"
    ):
        require(samplers.gp())


def without_memory(sampler: samplers.Learning, objectives: int, told: TrialState) -> int:
    """Of 40 points of a search, how many found memory enough; at the bottom of the bowl, and beside it, none does."""
    entries = {"x": space.uniform(-5, 5), "y": space.loguniform(1e-3, 1e3), "n": space.integer(1, 20)}
    study_spec = spec(sampler, objectives, entries)
    history: list[PastTrial] = []
    for number in range(40):
        point = make_point(task(study_spec, history))
        found = past(number, point, (bowl(point[0]), float(point[0]["x"]))[:objectives])
        if point[0]["x"] < 2.0:
            found = replace(found, state=told, values={}, reached=0)
        history.append(found)
    return sum(bool(each.values) for each in history)


@pytest.mark.parametrize(
    ("sampler", "objectives"),
    [
        (samplers.tpe(), 1),
        (samplers.tpe(), 2),
        (samplers.bohb(random_fraction=0.0), 1),
        (samplers.cma_es(population=4), 1),
    ],
    ids=str,
)
def test_points_that_find_no_memory_are_kept_away_from(sampler: samplers.Learning, objectives: int) -> None:
    """Seven of ten random points find none. Were nothing told of them, more would be proposed of them."""
    told = without_memory(sampler, objectives, TrialState.DIVERGED)
    untold = without_memory(sampler, objectives, TrialState.FAILED)
    assert told > 1.3 * untold


@pytest.mark.parametrize(
    "sampler", [samplers.gp(startup_trials=2), samplers.nsga2(), samplers.nsga3(), samplers.tpe()], ids=str
)
def test_who_looks_at_complete_trials_alone_is_told_the_worst_of_points_that_find_no_memory(
    sampler: samplers.Learning,
) -> None:
    study_spec = spec(sampler, 2)
    points = [study_spec.point(number) for number in range(4)]
    history = [past(number, (each, {}), (float(number), 1.0)) for number, each in enumerate(points)]
    history[3] = replace(history[3], state=TrialState.DIVERGED, values={}, reached=0)
    seen = study_of(task(study_spec, history), build(study_spec.sampler, 0)).trials[3]
    goals = [objective.maximize for objective in study_spec.objectives]
    assert (seen.state.name, seen.values) == ("COMPLETE", [0.0 if goals[0] else 2.0, 1.0])
