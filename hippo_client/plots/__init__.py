"""Plots of a study: ``from hippo_client import plots``.

``plots.curves(run)`` and all others take a study on a server, or one that ``run.export()`` or
``simulation.load(file)`` gave, and return a figure of matplotlib's (``pip install 'hippo-hpo[plots]'``); with
``backend="plotly"`` one of plotly's (``pip install plotly``). Failed and diverged trials are left out, which is told
below; stopped ones are faint, and are left out with ``stopped=False``. Parameters that are searched on a logarithmic
scale have a logarithmic axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from hippo_core.errors import InvalidStudy
from hippo_core.words import known

if TYPE_CHECKING:
    from hippo_client.handles.study import StudyHandle
    from hippo_core.charts.chart import Chart
    from hippo_core.charts.selection import Selection
    from hippo_core.simulation.recording import Recording

    Source: TypeAlias = StudyHandle | Recording

Backend = Literal["matplotlib", "plotly"]
Trials = Iterable[int] | None

__all__ = [
    "contour", "curves", "edf", "intermediate_values", "optimization_history", "parallel_coordinate",
    "param_importances", "pareto_front", "rank", "rungs", "savings", "schedules", "slice", "slots", "stage_tree",
    "timeline",
]  # fmt: skip


def optimization_history(
    study: Source, *, metric: str | None = None, trials: Trials = None, stopped: bool = True,
    backend: Backend = "matplotlib",
) -> Any:  # fmt: skip
    """The value of each trial by its number, and the best so far among those that completed."""
    from hippo_core.charts.progress_charts import optimization_history as chart

    return _drawn(chart(_selected(study, metric, trials, stopped)), backend)


def curves(
    study: Source, *, metric: str | None = None, trials: Trials = None, stopped: bool = True,
    backend: Backend = "matplotlib",
) -> Any:  # fmt: skip
    """A metric over the steps, a line for each trial, the best one in front."""
    from hippo_core.charts.progress_charts import curves as chart

    return _drawn(chart(_selected(study, metric, trials, stopped)), backend)


def intermediate_values(
    study: Source, *, trials: Trials = None, stopped: bool = True, backend: Backend = "matplotlib"
) -> Any:
    """The first objective over the steps: Optuna's name for ``curves``."""
    return curves(study, trials=trials, stopped=stopped, backend=backend)


def edf(
    study: Source, *, metric: str | None = None, trials: Trials = None, backend: Backend = "matplotlib"
) -> Any:
    """Which share of the trials that completed has at most a value: the empirical distribution function."""
    from hippo_core.charts.progress_charts import edf as chart

    return _drawn(chart(_selected(study, metric, trials, False)), backend)


def slice(
    study: Source, params: Sequence[str] | None = None, *, metric: str | None = None, trials: Trials = None,
    stopped: bool = True, backend: Backend = "matplotlib",
) -> Any:  # fmt: skip
    """The value by each parameter; ``params`` are names of domains, by default all of which trials differ in."""
    from hippo_core.charts.parameter_charts import slices as chart

    return _drawn(chart(_selected(study, metric, trials, stopped), params), backend)


def parallel_coordinate(
    study: Source, params: Sequence[str] | None = None, *, metric: str | None = None, trials: Trials = None,
    stopped: bool = True, backend: Backend = "matplotlib",
) -> Any:  # fmt: skip
    """A line for each trial through its parameters to its value; the better, the darker."""
    from hippo_core.charts.parameter_charts import parallel_coordinate as chart

    return _drawn(chart(_selected(study, metric, trials, stopped), params), backend)


def contour(
    study: Source, params: Sequence[str] | None = None, *, metric: str | None = None, trials: Trials = None,
    stopped: bool = False, backend: Backend = "matplotlib",
) -> Any:  # fmt: skip
    """The value over pairs of parameters, and what it may be between the trials.

    ``params``: by default the first four of which trials have different values.
    """
    from hippo_core.charts.pair_charts import contour as chart

    return _drawn(chart(_selected(study, metric, trials, stopped), params), backend)


def rank(
    study: Source, params: Sequence[str] | None = None, *, metric: str | None = None, trials: Trials = None,
    stopped: bool = False, backend: Backend = "matplotlib",
) -> Any:  # fmt: skip
    """Trials over pairs of parameters, the better ones darker by their rank.

    ``params``: by default the first four of which trials have different values.
    """
    from hippo_core.charts.pair_charts import rank as chart

    return _drawn(chart(_selected(study, metric, trials, stopped), params), backend)


def param_importances(
    study: Source, params: Sequence[str] | None = None, *, evaluator: Literal["fanova", "ped-anova"] = "fanova",
    metric: str | None = None, trials: Trials = None, stopped: bool = False, backend: Backend = "matplotlib",
) -> Any:  # fmt: skip
    """How much of the differences in value each parameter makes, as Optuna reckons it.

    Args:
        study: The study.
        params: Only of trials that have all of these; by default the parameters that all trials have.
        evaluator: ``"fanova"``: functional analysis of variance over a random forest (Hutter et al., ICML 2014);
            ``"ped-anova"``: what sets the best tenth apart (Watanabe et al., IJCAI 2023).
        metric: By name; the first objective by default.
        trials: Their numbers.
        stopped: Whether to count stopped trials with the value that they had reached.
        backend: What draws it.
    """
    from hippo_client.plots.importances import importances as reckoned
    from hippo_core.charts.parameter_charts import importances as chart

    selection = _selected(study, metric, trials, stopped)
    return _drawn(chart(reckoned(selection, params, evaluator), selection, evaluator), backend)


def pareto_front(
    study: Source,
    metrics: tuple[str, str] | None = None,
    *,
    trials: Trials = None,
    backend: Backend = "matplotlib",
) -> Any:
    """Two metrics of each completed trial, by default the first two objectives, and those that no other one beats."""
    from hippo_core.charts.parameter_charts import pareto_front as chart

    return _drawn(chart(_selected(study, None, trials, False), metrics), backend)


def timeline(
    study: Source, *, trials: Trials = None, stopped: bool = True, backend: Backend = "matplotlib"
) -> Any:
    """From when to when each trial was trained for, also of those that failed or diverged."""
    from hippo_core.charts.slot_charts import timeline as chart

    return _drawn(chart(_selected(study, None, trials, stopped)), backend)


def slots(study: Source, *, backend: Backend = "matplotlib") -> Any:
    """What each slot did when (a Gantt chart), for how many trials, and how much of the time it trained."""
    from hippo_core.charts.slot_charts import slots as chart

    return _drawn(chart(_selected(study, None, None, True)), backend)


def savings(study: Source, *, backend: Backend = "matplotlib") -> Any:
    """Steps trained over time, beside those that training each trial alone would have taken."""
    from hippo_core.charts.sharing_charts import savings as chart

    return _drawn(chart(_selected(study, None, None, True)), backend)


def stage_tree(
    study: Source, *, trials: Trials = None, stopped: bool = True, backend: Backend = "matplotlib"
) -> Any:
    """What was trained once for how many trials, and where they part; the path of the best one is marked."""
    from hippo_core.charts.sharing_charts import stage_tree as chart

    return _drawn(chart(_selected(study, None, trials, stopped)), backend)


def schedules(
    study: Source, names: Sequence[str] | None = None, *, metric: str | None = None, trials: Trials = None,
    stopped: bool = True, backend: Backend = "matplotlib",
) -> Any:  # fmt: skip
    """The values of hyper-parameters by step, all trials above one another; ``names``: by default all that vary."""
    from hippo_core.charts.schedule_charts import schedules as chart

    return _drawn(chart(_selected(study, metric, trials, stopped), names), backend)


def rungs(
    study: Source, *, metric: str | None = None, trials: Trials = None, stopped: bool = True,
    backend: Backend = "matplotlib",
) -> Any:  # fmt: skip
    """At each step at which trials were compared: how many came there, who went on, and who did not."""
    from hippo_core.charts.schedule_charts import rungs as chart

    return _drawn(chart(_selected(study, metric, trials, stopped)), backend)


def named(kind: str) -> Callable[..., Any]:
    """The function of that name.

    Raises:
        InvalidStudy: There is none.
    """
    if kind not in __all__:
        raise InvalidStudy("kind", f"there is no plot {kind!r}", known(kind, __all__))
    function: Callable[..., Any] = globals()[kind]
    return function


def summary(kind: str) -> str:
    """What a plot shows, in a line."""
    return (named(kind).__doc__ or "").partition("\n")[0]


def options(kind: str) -> tuple[str, ...]:
    """The names of what a plot's function takes, beside the study."""
    return tuple(signature(named(kind)).parameters)[1:]


def _selected(study: Source, metric: str | None, trials: Trials, stopped: bool) -> Selection:
    from hippo_core.charts.selection import Selection
    from hippo_core.simulation.recording import Recording

    recording = study if isinstance(study, Recording) else study.export()
    return Selection(recording, metric, trials, stopped)


def _drawn(chart: Chart, backend: Backend) -> Any:
    from hippo_client.plots import on_matplotlib, on_plotly

    return (on_plotly if checked(backend) == "plotly" else on_matplotlib).draw(chart)


def checked(backend: str) -> Backend:
    """A backend that there is.

    Raises:
        InvalidStudy: There is no such one.
    """
    if backend not in ("matplotlib", "plotly"):
        raise InvalidStudy("backend", f"must be 'matplotlib' or 'plotly', not {backend!r}")
    return backend  # type: ignore[return-value]
