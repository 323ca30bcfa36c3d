"""What a study came to, for a person: its best trial, and what sharing saved."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import TYPE_CHECKING

from hippo_client.cli.picture import reason_words
from hippo_core.engine.states import TrialState
from hippo_core.words import counts, hyperparameter, measured, percent, plural
from hippo_wire.json_shapes import choice_in_words, feasibility, metrics_json, sharing_hint, study_state
from hippo_wire.summaries import Objective, none_feasible, pareto_front, saved_fraction

if TYPE_CHECKING:
    from hippo_wire.v1 import study_pb2

#: Fewer seconds are told as none, so they are not told.
_TOLD_SECONDS = 0.1
#: So many trials of a Pareto front are shown.
MOST_OF_FRONT = 10


def study_summary(study: study_pb2.Study) -> str:
    """Some lines that say all that most people want to know."""
    parts = [_headline(study), _endings(study), _best(study), sharing_summary(study), _changes(study)]
    return "\n\n".join(part for part in parts if part)


def trial_lines(trial: study_pb2.Trial, indent: str = "  ") -> list[str]:
    """A trial's hyper-parameters, one a line."""
    values = json.loads(trial.hyperparameters_json)
    width = max(map(len, values), default=0)
    return [f"{indent}{name:<{width}}  {hyperparameter(value)}" for name, value in values.items()]


def _headline(study: study_pb2.Study) -> str:
    by_state = {state.value: study.trial_counts.get(state.value, 0) for state in TrialState}
    count = sum(by_state.values())
    spec = json.loads(study.spec_json or "{}")
    horizons = len(spec.get("horizons", ()))
    beside = count - spec.get("max_trials", count) * max(1, horizons)
    total = plural(count, "trial")
    if horizons:
        total = f"{total} at {plural(horizons, 'horizon')}"
    if beside > 0:
        total = f"{total}, {beside} of them beside max_trials={spec['max_trials']}"
    headline = f"Study {study.name} {study_state(study).value}: {total}, {counts(by_state)}."
    over = f"Checkpoints {study.over_budget}." if study.over_budget else ""
    failed = by_state[TrialState.FAILED.value]
    why = f"`hippo trial ls {study.name}` tells why {plural(failed, 'trial')} failed." if failed else ""
    return "\n".join(filter(None, [headline, reason_words(study), why, over, choice_in_words(study)]))


def _endings(study: study_pb2.Study) -> str:
    """How far the endings have come, but for the one that the reason tells of."""
    others = [words for words in study.endings if not study.reason.startswith(words)]
    return "\n".join(["Endings", *(f"  {words}" for words in others)]) if others else ""


def _changes(study: study_pb2.Study) -> str:
    lines = []
    for change in study.changes:
        at = change.time.ToDatetime(UTC).astimezone().strftime("%Y-%m-%d %H:%M")
        lines += [f"Changed {at} by {change.by}", *(f"  {line}" for line in change.differences)]
    return "\n".join(lines)


def _best(study: study_pb2.Study) -> str:
    if study.best_by_horizon:
        told = [_told(f"Best at horizon {best.horizon}", best) for best in study.best_by_horizon]
        return "\n".join(told)
    if not study.HasField("best_trial"):
        return ""
    front = pareto_front(study)
    if front is not None:
        return "\n".join(_front(study, front))
    return _told(_title(study), study.best_trial)


def _told(word: str, best: study_pb2.Trial) -> str:
    """A trial with its metrics and hyper-parameters."""
    spread = metrics_json(best.spread)
    metrics = ", ".join(
        f"{name} {measured(value, spread.get(name))}" for name, value in metrics_json(best.metrics).items()
    )
    feasible = feasibility(best)
    found = f"trial {best.number} at step {best.step}, {metrics}{f'; {feasible}' if feasible else ''}"
    return "\n".join([f"{word}: {found}", *trial_lines(best)])


def _title(study: study_pb2.Study) -> str:
    return "No trial is feasible. The least violating" if none_feasible(study) else "Best"


def _front(study: study_pb2.Study, front: Sequence[study_pb2.Trial]) -> Iterator[str]:
    """The trials of the Pareto front with their objectives, side by side."""
    names = [each.metric for each in Objective.all_of(study)]
    yield (
        f"{_title(study)}: {plural(len(front), 'trial')} in the Pareto front of {', '.join(names[:-1])} and "
        f"{names[-1]}{f', {feasible}' if (feasible := feasibility(front[0])) else ''}; "
        f"`hippo trial best {study.name}` shows all of them"
    )
    rows = []
    for trial in front[:MOST_OF_FRONT]:
        metrics, spread = metrics_json(trial.metrics), metrics_json(trial.spread)
        values = [f"{name} {measured(metrics.get(name), spread.get(name))}" for name in names]
        rows.append([f"trial {trial.number} at step {trial.step}", *values])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if len(front) > MOST_OF_FRONT:
        yield f"  and {len(front) - MOST_OF_FRONT} more"


def sharing_summary(study: study_pb2.Study) -> str:
    """What was trained with sharing, and would have been without; empty before anything is."""
    savings = study.savings
    saved = saved_fraction(study)
    if saved is None:
        return _trained(savings)
    seconds_without = savings.seconds_trained + savings.seconds_saved
    rows = [
        ("Sharing", "with", "without", "saved"),
        ("  steps", str(savings.steps_trained), str(savings.steps_without_sharing), percent(saved)),
    ]
    if seconds_without >= _TOLD_SECONDS:
        spared = savings.seconds_saved / seconds_without
        rows.append(
            ("  slot seconds", f"{savings.seconds_trained:.1f}", f"{seconds_without:.1f}", percent(spared))
        )
    lines = [f"{name:<16}{used:>10}{without:>10}{saved:>8}" for name, used, without, saved in rows]
    if savings.HasField("merge_rate"):
        lines.append(f"{'  merge rate':<16}{savings.merge_rate:>10.2f}")
    if savings.steps_in_probes:
        lines.append(f"  {plural(savings.steps_in_probes, 'step')} of them in probes")
    if savings.steps_retrained:
        lines.append(f"  {plural(savings.steps_retrained, 'step')} of them trained again")
    hint = sharing_hint(study)
    if hint:
        lines.append(f"  {hint}")
    return "\n".join(lines)


def _trained(savings: study_pb2.Savings) -> str:
    if not savings.steps_trained:
        return ""
    return f"Trained: {plural(savings.steps_trained, 'step')} in {savings.seconds_trained:.1f} slot seconds."
