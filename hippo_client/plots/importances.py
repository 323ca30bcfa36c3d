"""How much each parameter matters, as Optuna reckons it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hippo_client.optuna_study import convert
from hippo_core.charts.selection import Selection
from hippo_core.errors import HippoError, InvalidStudy
from hippo_core.words import known

if TYPE_CHECKING:
    import optuna


def reduced(selection: Selection) -> optuna.Study:
    """The selected trials that have a value, all as completed, with that value and no other."""
    import optuna

    whole = convert(selection.recording)
    values = {trial.number: value for trial, value in selection.valued}
    with _quiet():
        study = optuna.create_study(direction="maximize" if selection.maximize else "minimize")
    for trial in whole.get_trials():
        number = trial.user_attrs["hippo_trial"]
        if number not in values or not trial.state.is_finished():
            continue
        study.add_trial(
            optuna.trial.create_trial(
                value=values[number], params=trial.params, distributions=trial.distributions,
                user_attrs={"hippo_trial": number},
            )
        )  # fmt: skip
    return study


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna says that its importances are experimental, and that a study is new."""
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


def _check(selection: Selection, params: Sequence[str] | None) -> None:
    domains = selection.spec.space.domains
    for name in params or ():
        if name not in domains:
            raise InvalidStudy("params", f"{name!r} is not searched", known(name, domains))
