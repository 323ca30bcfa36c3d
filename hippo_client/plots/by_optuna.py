"""What Optuna reckons and draws, of a study whose failed trials are left out and whose options have short names."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hippo_client.optuna_study import convert
from hippo_core.charts.chart import told_apart
from hippo_core.charts.selection import Selection
from hippo_core.errors import HippoError, InvalidStudy

if TYPE_CHECKING:
    import optuna


#: So many characters of a tick do not fit beside each other.
LONG = 8
#: Of more parameters no pair can be seen.
MOST = 4
#: How long the names of options are at most.
SHORT = 22


def reduced(selection: Selection) -> optuna.Study:
    """The selected trials that have a value, all as completed, with that value and no other."""
    import optuna
    from optuna.distributions import CategoricalDistribution

    whole = convert(selection.recording)
    values = {trial.number: value for trial, value in selection.valued}
    with _quiet():
        study = optuna.create_study(direction="maximize" if selection.maximize else "minimize")
    for trial in whole.get_trials():
        number = trial.user_attrs["hippo_trial"]
        if number not in values or not trial.state.is_finished():
            continue
        params, distributions = dict(trial.params), dict(trial.distributions)
        for name, found in trial.distributions.items():
            if isinstance(found, CategoricalDistribution) and any(
                isinstance(each, str) for each in found.choices
            ):
                short = told_apart([str(each) for each in found.choices], most=SHORT)
                params[name] = short[found.choices.index(params[name])]
                distributions[name] = CategoricalDistribution(short)
        study.add_trial(
            optuna.trial.create_trial(
                value=values[number], params=params, distributions=distributions,
                user_attrs={"hippo_trial": number},
            )
        )  # fmt: skip
    return study


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna says that its plots are experimental, and logs what it cannot draw, which is drawn empty."""
    import optuna

    told = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(told)


def importances(selection: Selection, params: Sequence[str] | None, evaluator: str) -> dict[str, float]:
    """The importance of each parameter; none where there are fewer than two trials, or all have one value.

    Raises:
        InvalidStudy: There is no such evaluator or parameter.
        HippoError: Optuna or scikit-learn is not installed.
    """
    _check(selection, params)
    try:
        from optuna.importance import (
            FanovaImportanceEvaluator,
            PedAnovaImportanceEvaluator,
            get_param_importances,
        )
    except ImportError as error:
        raise HippoError("Importances need Optuna.", "pip install 'hippo-hpo[plots]'") from error
    makers: dict[str, Any] = {
        "fanova": lambda: FanovaImportanceEvaluator(seed=0),
        "ped-anova": PedAnovaImportanceEvaluator,
    }
    if evaluator not in makers:
        raise InvalidStudy("evaluator", f"must be 'fanova' or 'ped-anova', not {evaluator!r}")
    study = reduced(selection)
    if len({trial.value for trial in study.trials}) < 2:
        return {}
    with _quiet():
        try:
            found = get_param_importances(
                study, evaluator=makers[evaluator](), params=None if params is None else list(params)
            )
        except ImportError as error:
            raise HippoError("Importances need scikit-learn.", "pip install 'hippo-hpo[plots]'") from error
    return dict(found)


def draw(kind: str, selection: Selection, params: Sequence[str] | None, backend: str) -> Any:
    """Optuna's plot of that name.

    Raises:
        InvalidStudy: There is no such backend or parameter.
        HippoError: Something is not installed.
    """
    from hippo_client.plots import checked

    _check(selection, params)
    package = checked(backend)
    if package == "plotly":
        _needed("plotly", "backend='plotly' needs plotly.", "pip install plotly, or use matplotlib.")
    else:
        _needed("matplotlib.pyplot", "Plots need matplotlib.", "pip install 'hippo-hpo[plots]'")
    _needed("optuna", f"{kind}() needs Optuna.", "pip install 'hippo-hpo[plots]'")
    study = reduced(selection)
    if params is None:
        params = _varying(study)[:MOST]
    options: dict[str, Any] = {"params": list(params), "target_name": selection.metric}
    with _quiet():
        if package == "plotly":
            import optuna.visualization

            figure = getattr(optuna.visualization, f"plot_{kind}")(study, **options)
            figure.update_layout(title=f"{selection.recording.name}: {kind}", template="plotly_white")
            return figure
        return _on_matplotlib(kind, study, options, selection)


def _on_matplotlib(kind: str, study: optuna.Study, options: dict[str, Any], selection: Selection) -> Any:
    import matplotlib
    import numpy
    import optuna.visualization.matplotlib
    from matplotlib import pyplot

    from hippo_client.plots.on_matplotlib import STYLE

    count = max(1, len(options["params"]))
    before: Any = {"text.parse_math": False, "font.size": STYLE["font.size"]}
    with matplotlib.rc_context(before):
        axes = getattr(optuna.visualization.matplotlib, f"plot_{kind}")(study, **options)
        figure = numpy.ravel(axes)[0].figure
        side = 6.5 if count <= 2 else max(6.5, 3.0 * count)
        figure.set_size_inches(side + 1.5, side)
        for each in figure.axes:
            each.tick_params(labelsize=7)
            if each.get_title():
                each.set_title("")
            each.tick_params(
                axis="x",
                labelrotation=30 if any(len(t.get_text()) > 8 for t in each.get_xticklabels()) else 0,
            )
        figure.suptitle(f"{selection.recording.name}: {kind}", fontsize=11)
        figure.set_layout_engine("none")  # Optuna has made room for its bar of colours
        pyplot.close(figure)
    return figure


def _varying(study: optuna.Study) -> list[str]:
    """The parameters of which trials have different values."""
    found: dict[str, set[Any]] = {}
    for trial in study.get_trials():
        for name, value in trial.params.items():
            found.setdefault(name, set()).add(value)
    return [name for name, values in found.items() if len(values) > 1] or list(found)


def _check(selection: Selection, params: Sequence[str] | None) -> None:
    known = selection.spec.space.domains
    for name in params or ():
        if name not in known:
            raise InvalidStudy("params", f"{name!r} is not searched", f"Known are: {', '.join(known)}.")


def _needed(package: str, what: str, remedy: str) -> None:
    from importlib import import_module

    try:
        import_module(package)
    except ImportError as error:
        raise HippoError(what, remedy) from error
