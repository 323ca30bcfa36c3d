"""Studies and trials in a notebook: escaped HTML without scripts, and one table that is updated while a study runs.

Every text that a user or a program chose is escaped here, once, in ``_cell``. A front end that cannot show
HTML gets the same in plain text.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from html import escape
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from hippo_core.engine.states import ENDED_STUDY_STATES, ENDED_TRIAL_STATES, TrialState
from hippo_core.words import hyperparameter, measured
from hippo_wire import json_shapes
from hippo_wire.summaries import best_words, saved_fraction

if TYPE_CHECKING:
    from hippo_client.explanation import TrialEvent
    from hippo_client.watching import StudySnapshot
    from hippo_core.study import StudySpec
    from hippo_wire.v1 import study_pb2

_SHOWN_TRIALS = 10
#: Rows of a list that is shown.
_LISTED = 100
_SECONDS_BETWEEN = 0.5


class Display(Protocol):
    """Shows one output of a notebook's cell, and replaces it from then on."""

    def __call__(self, html: str, text: str) -> None:
        """Show this now."""
        ...


def display_of_notebook() -> Display | None:
    """The current cell's output, or None outside a notebook. Imports nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    # A terminal's IPython has a shell, too, but no kernel, and cannot replace what it has shown.
    if shell is None or getattr(shell, "kernel", None) is None:
        return None
    return _Output()


class _Output:
    def __init__(self) -> None:
        self._handle: Any = None

    def __call__(self, html: str, text: str) -> None:
        display = import_module("IPython.display").display  # not a dependency: a notebook brings it
        bundle = {"text/html": html, "text/plain": text}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


class NotebookProgress:
    """One table, drawn again while the study runs; implements ``hippo_client.watching.Progress``.

    Args:
        display: Shows the table.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._notice = ""
        self._warnings: tuple[str, ...] = ()
        self._snapshot: StudySnapshot | None = None
        self._drawn = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self._notice = ""
        self._draw()

    def notice(self, message: str) -> None:
        """Tell it above the table."""
        self._notice = message
        self._draw()

    def submitted(self, study: study_pb2.Study, outcome: str, warnings: Sequence[str]) -> None:
        """Keep the warnings on show."""
        self._notice = ""
        self._warnings = tuple(filter(None, [json_shapes.choice_in_words(study), *warnings]))

    def show(self, snapshot: StudySnapshot) -> None:
        """Draw the table, at most twice a second; the last one is drawn at the end."""
        self._snapshot = snapshot
        if time.monotonic() - self._drawn >= _SECONDS_BETWEEN:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        said = [*self._warnings, *([self._notice] if self._notice else [])]
        html = "".join(f"<div>{_cell(each)}</div>" for each in said)
        text = "\n".join(said)
        if self._snapshot is not None:
            study, trials = self._snapshot.study, list(self._snapshot.trials.values())
            html += handle_html(study, trials)
            text += ("\n" if text else "") + "\n".join(f"{name}: {value}" for name, value in _summary(study))
        if html:
            self._display(html, text)


def study_html(spec: StudySpec) -> str:
    """A study that is not submitted yet."""
    goals = ", ".join(
        f"{'maximize' if each.maximize else 'minimize'} {each.metric}" for each in spec.objectives
    )
    content = spec.to_json()
    rows = [
        ("study", spec.name),
        ("trainer", spec.program.trainer),
        ("objective", goals),
        *((("constraints", "; ".join(content["constraints"])),) if spec.constraints else ()),
        ("trials", str(spec.max_trials)),
        ("steps", f"{_words(list(spec.lengths) or content['max_steps'])} ({spec.program.unit})"),
        ("sampler", _words(content["sampler"])),
        ("policy", _words(content["policy"])),
        *((name, _part(part)) for name, part in content["space"].items()),
    ]
    return _listing(rows)


def handle_html(study: study_pb2.Study, trials: Sequence[study_pb2.Trial] = ()) -> str:
    """A study on a server, with those of its trials that matter most."""
    shown = _foremost(study, trials)
    html = _listing(_summary(study)) + (_trials_table(shown) if shown else "")
    return html + _more(len(trials) - len(shown))


def trials_html(trials: Sequence[study_pb2.Trial]) -> str:
    """Trials of a study, a row each."""
    return _trials_table(trials[:_LISTED]) + _more(len(trials) - _LISTED)


def studies_html(studies: Sequence[study_pb2.Study]) -> str:
    """Studies, a row each."""
    rows = [
        (
            study.name,
            json_shapes.study_state(study).value,
            f"{study.trial_counts.get('completed', 0)}/{sum(study.trial_counts.values())}",
            best_words(study),
            _steps(study),
        )
        for study in studies[:_LISTED]
    ]
    return _table(("study", "state", "completed", "best", "steps"), rows) + _more(len(studies) - _LISTED)


def explanation_html(events: Iterable[TrialEvent]) -> str:
    """What happened to a trial."""
    rows = [
        (
            each.at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            each.event,
            "" if each.step is None else str(each.step),
            each.reason,
            each.by,
        )
        for each in events
    ]
    return _table(("at", "event", "step", "reason", "by"), rows)


def _more(count: int) -> str:
    return f"<div>and {count} more</div>" if count > 0 else ""


def trial_html(trial: study_pb2.Trial) -> str:
    """One trial."""
    told = json_shapes.trial_json(trial)
    rows = [
        ("trial", str(told["trial"])),
        ("state", f"{told['state']}: {trial.reason}" if trial.reason else told["state"]),
        ("step", f"{told['step']} of {trial.max_steps}"),
        *((("constraints", feasible),) if (feasible := json_shapes.feasibility(trial)) else ()),
        *(
            (name, measured(value, told.get("spread", {}).get(name)))
            for name, value in told["metrics"].items()
        ),
        *((name, hyperparameter(value)) for name, value in told["hyperparameters"].items()),
    ]
    return _listing(rows)


def _summary(study: study_pb2.Study) -> list[tuple[str, str]]:
    told = json_shapes.study_json(study)
    counts = ", ".join(f"{count} {state}" for state, count in told["trials"].items() if count)
    rows = [
        ("study", told["study"]),
        ("state", f"{told['state']}: {study.reason}" if study.reason else told["state"]),
        ("trials", counts or "none"),
        ("steps", _steps(study)),
    ]
    if json_shapes.study_state(study) not in ENDED_STUDY_STATES:
        rows.append(("slots busy", f"{study.slots_busy} of {study.slots_total}"))
    for best, message in zip(told["best_trials"][:_SHOWN_TRIALS], study.best_trials, strict=False):
        spread = best.get("spread", {})
        feasible = json_shapes.feasibility(message)
        metrics = ", ".join(
            f"{name} {measured(value, spread.get(name))}" for name, value in best["metrics"].items()
        )
        remark = f"; {feasible}" if feasible else ""
        rows.append(("best", f"trial {best['trial']} at step {best['step']}: {metrics}{remark}"))
    return rows


def _steps(study: study_pb2.Study) -> str:
    savings = study.savings
    trained = f"{savings.steps_trained} trained"
    if saved_fraction(study) is None:
        return trained
    rate = f", merge rate {savings.merge_rate:.3f}" if savings.HasField("merge_rate") else ""
    return f"{trained}, {savings.steps_without_sharing} without sharing{rate}"


def _foremost(study: study_pb2.Study, trials: Iterable[study_pb2.Trial]) -> list[study_pb2.Trial]:
    """The best trial, then those that run, then those that wait, then the rest, the furthest first."""
    best = study.best_trial.number if study.HasField("best_trial") else None

    def rank(trial: study_pb2.Trial) -> tuple[int, int, int]:
        state = json_shapes.trial_state(trial)
        if trial.number == best:
            order = 0
        elif state is TrialState.RUNNING:
            order = 1
        else:
            order = 3 if state in ENDED_TRIAL_STATES else 2
        return order, -trial.step, trial.number

    return sorted(trials, key=rank)[:_SHOWN_TRIALS]


def _trials_table(trials: Sequence[study_pb2.Trial]) -> str:
    told = [json_shapes.trial_json(trial) for trial in trials]
    metrics = list(dict.fromkeys(name for each in told for name in each["metrics"]))
    names = list(dict.fromkeys(name for each in told for name in each["hyperparameters"]))
    reasons = ("reason",) if any(each["reason"] for each in told) else ()
    rows = [
        (
            str(each["trial"]),
            each["state"],
            str(each["step"]),
            *(measured(each["metrics"].get(name), each.get("spread", {}).get(name)) for name in metrics),
            *((each["reason"],) if reasons else ()),
            *(hyperparameter(each["hyperparameters"].get(name, "")) for name in names),
        )
        for each in told
    ]
    return _table(("trial", "state", "step", *metrics, *reasons, *names), rows)


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{_cell(name)}</th>" for name in headings)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(text)}</td>' for text in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _listing(rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(
        f'<tr><th style="text-align:left">{_cell(name)}</th>'
        f'<td style="text-align:left">{_cell(value)}</td></tr>'
        for name, value in rows
    )
    return f"<table><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    return escape(text, quote=True)


def _words(value: Any) -> str:
    """A sampler, policy or limit: its name, then its arguments."""
    if not isinstance(value, dict):
        return str(value)
    kind = next((str(value[key]) for key in ("sampler", "policy") if key in value), "")
    rest = {key: each for key, each in value.items() if key not in ("sampler", "policy")}
    arguments = ", ".join(f"{key}={each}" for key, each in rest.items())
    return f"{kind}({arguments})" if kind else arguments


def _part(part: Any) -> str:
    """A part of a space, in the words of a study file."""
    if isinstance(part, dict) and "constraint" in part:
        return str(part["constraint"])
    return hyperparameter(part)
