"""The JSON shapes of studies and trials, made of the server's messages: of commands, the SDK and the HTTP API.

These shapes are a promise to scripts: names and nesting change only together with the documentation. A metric
that is not a finite number is null.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC
from typing import TYPE_CHECKING, cast

from hippo_core.engine.states import ENDED_STUDY_STATES, StudyState, TrialState
from hippo_core.metric_constraints import feasibility_json
from hippo_wire import json_types as types

if TYPE_CHECKING:
    from hippo_wire.v1 import study_pb2

#: A merge rate below which next to nothing was shared.
FEW = 1.05
#: Fewer trials have nobody to share with.
FEWEST_TRIALS = 2


def study_state(study: study_pb2.Study) -> StudyState:
    """The study's state."""
    from hippo_wire import enums

    return enums.study_state(study.state)


def is_over(study: study_pb2.Study) -> bool:
    """Whether nothing comes of waiting: it has ended, or the server has paused it, as it does not get on."""
    return (study.given_up and not study.slots_busy) or study_state(study) in ENDED_STUDY_STATES


def trial_state(trial: study_pb2.Trial) -> TrialState:
    """The trial's state."""
    from hippo_wire import enums

    return enums.trial_state(trial.state)


def study_json(study: study_pb2.Study) -> types.Study:
    """The study as ``hippo run --json`` and ``hippo study show --json`` print it."""
    return {
        "study": study.name,
        "state": study_state(study).value,
        "trials": {state.value: study.trial_counts.get(state.value, 0) for state in TrialState},
        "best": best_json(study.best_trial) if study.HasField("best_trial") else None,
        "best_trials": [best_json(trial) for trial in study.best_trials],
        **_best_by_horizon(study),
        "savings": savings_json(study.savings),
        "hint": sharing_hint(study) or None,
        **search_json(study),
        "reason": study.reason,
        "over_budget": study.over_budget or None,
        "ending": study.ending or None,
        "endings": list(study.endings),
        "changes": [change_json(each) for each in study.changes],
    }


def search_json(study: study_pb2.Study) -> types.Search:
    """How it searches: its policy and sampler; and, where policies.auto() chose them, for how many slots and why."""
    spec = json.loads(study.spec_json or "{}")
    policy, sampler = (spec.get(key, {}).get(key) for key in ("policy", "sampler"))
    return {"policy": policy, "sampler": sampler, "chosen": spec.get("chosen")}


def choice_in_words(study: study_pb2.Study) -> str:
    """What policies.auto() chose, and why; empty where it had nothing to choose."""
    search = search_json(study)
    if search["chosen"] is None:
        return ""
    slots, reason = search["chosen"]["slots"], search["chosen"]["reason"]
    for_slots = "1 slot" if slots == 1 else f"{slots} slots"
    return f"policies.auto() chose {search['policy']} for {for_slots}: {reason}"


def _best_by_horizon(study: study_pb2.Study) -> types.Horizons:
    """The best trials of each horizon; nothing where there are none."""
    found = [best_json(trial) for trial in study.best_by_horizon]
    return {"best_by_horizon": found} if json.loads(study.spec_json or "{}").get("horizons") else {}


def change_json(change: study_pb2.StudyChange) -> types.Change:
    """How a study was extended or edited: when (ISO 8601, in UTC), by whom, and in lines what."""
    at = change.time.ToDatetime(UTC).isoformat(timespec="seconds")
    return {"at": at, "by": change.by, "differences": list(change.differences)}


def best_json(trial: study_pb2.Trial) -> types.BestTrial:
    """The best trial, or one of the Pareto front, within a study's JSON."""
    return {
        "trial": trial.number,
        "step": trial.step,
        "metrics": metrics_json(trial.metrics),
        **_feasibility(trial),
        "hyperparameters": json.loads(trial.hyperparameters_json),
        **_horizon(trial),
        **_spread(trial.spread),
    }


def violation(trial: study_pb2.Trial) -> float | None:
    """By how much a trial violates its study's constraints; None: there are none, or it has no value."""
    return trial.violation if trial.HasField("violation") else None


def _feasibility(trial: study_pb2.Trial) -> types.Feasibility:
    return cast(types.Feasibility, feasibility_json(violation(trial)))


def feasibility(trial: study_pb2.Trial) -> str:
    """Whether a trial is feasible, in words; empty where nobody knows, or its study has no constraints."""
    violated = violation(trial)
    if violated is None:
        return ""
    return f"infeasible by {violated:.3g}" if violated else "feasible"


def sharing_hint(study: study_pb2.Study) -> str:
    """That next to nothing was shared in a study that is over, and where to look; empty: it is no matter."""
    savings = study.savings
    fresh = savings.steps_trained - savings.steps_retrained
    if fresh <= 0 or sum(study.trial_counts.values()) < FEWEST_TRIALS or not is_over(study):
        return ""
    rate = savings.steps_without_sharing / fresh
    if rate >= FEW:
        return ""
    fairly = " without what was trained again" if savings.steps_retrained else ""
    return f"next to nothing was shared (merge rate {rate:.2f}{fairly}): hippo plan says where trials part"


def savings_json(savings: study_pb2.Savings) -> types.Savings:
    """What sharing saved."""
    return {
        "steps_without_sharing": savings.steps_without_sharing,
        "steps_trained": savings.steps_trained,
        "steps_retrained": savings.steps_retrained,
        "steps_in_probes": savings.steps_in_probes,
        "merge_rate": savings.merge_rate if savings.HasField("merge_rate") else None,
        "seconds_trained": savings.seconds_trained,
        "seconds_saved": savings.seconds_saved,
    }


def trial_json(trial: study_pb2.Trial) -> types.Trial:
    """The trial as ``hippo trial ls --json`` prints it."""
    return {
        "trial": trial.number,
        "state": trial_state(trial).value,
        "step": trial.step,
        "metrics": metrics_json(trial.metrics),
        **_feasibility(trial),
        "hyperparameters": json.loads(trial.hyperparameters_json),
        "reason": trial.reason,
        **_horizon(trial),
        **_spread(trial.spread),
    }


def _horizon(trial: study_pb2.Trial) -> types.Length:
    """How long it is among its study's horizons; nothing where there are none."""
    return {"horizon": trial.horizon} if trial.HasField("horizon") else {}


def _spread(spread: Iterable[study_pb2.Metric]) -> types.Spread:
    """How far the metrics of repeats spread; nothing without repeats."""
    found = metrics_json(spread)
    return {"spread": found} if found else {}


def repeats_json(repeats: Iterable[study_pb2.Repeat]) -> list[types.Repeat]:
    """A trial's repeats, each by itself."""
    from hippo_wire import enums

    return [
        {
            "repeat": each.repeat,
            "seed": each.seed,
            "state": enums.trial_state(each.state).value,
            "step": each.step,
            "history": history_json(each.history),
        }
        for each in repeats
    ]


def probes_json(probes: Iterable[study_pb2.Probe]) -> list[types.Probe]:
    """A trial's probes, in the order in which its policy asked for them."""
    from hippo_wire import enums

    return [
        {
            "probe": each.probe,
            "at": each.at,
            "to": each.to,
            "factors": dict(sorted(each.factors.items())),
            "reason": each.reason,
            "state": enums.trial_state(each.state).value,
            "step": each.step,
            "metrics": metrics_json(each.metrics),
            **_spread(each.spread),
            "failure": each.failure,
        }
        for each in probes
    ]


def trial_detail_json(detail: study_pb2.GetTrialResponse) -> types.TrialDetail:
    """The trial as ``hippo trial show --json`` prints it."""
    trial = detail.trial
    fork: types.Fork | None = None
    if trial.HasField("parent"):
        replaced = trial.instead_of if trial.HasField("instead_of") else None
        fork = {"trial": trial.parent, "at": trial.forked_at, "instead_of": replaced}
    return {
        **trial_json(trial),
        "history": history_json(detail.history),
        "values": json.loads(detail.values_json),
        "path": [
            {
                "node": part.node,
                "start": part.start,
                "stop": part.stop,
                "trials": part.trial_count,
                "not_reproducible": part.not_reproducible,
            }
            for part in detail.path
        ],
        "fork": fork,
        "probes": probes_json(detail.probes),
        **_repeats(detail),
    }


def _repeats(detail: study_pb2.GetTrialResponse) -> types.Repeats:
    return {"repeats": repeats_json(detail.repeats)} if detail.repeats else {}


def history_json(evaluations: Iterable[study_pb2.Evaluation]) -> list[types.Evaluation]:
    """Evaluations by step."""
    return [
        {"step": each.step, "metrics": metrics_json(each.metrics), **_spread(each.spread)}
        for each in evaluations
    ]


def metrics_json(metrics: Iterable[study_pb2.Metric]) -> dict[str, float | None]:
    """Metrics by name."""
    return {metric.name: metric.value if metric.HasField("value") else None for metric in metrics}


def stage_tree_json(nodes: Iterable[study_pb2.StageTreeNode]) -> list[types.Node]:
    """The study's part of the search plan as ``hippo study tree --json`` prints it, parents first."""
    return [
        {
            "node": node.node,
            "parent": node.parent if node.HasField("parent") else None,
            "start": node.start,
            "stop": node.stop,
            "trained": node.trained,
            "values": json.loads(node.values_json),
            "trials": list(node.trials),
            "ending": list(node.ending),
            "probes": list(node.probes),
            "metrics": metrics_json(node.metrics),
            "checkpoints": list(node.checkpoints),
            "ends": [{"step": each.step, "state": each.state, "count": each.count} for each in node.ends],
            "state": node.state,
            "reason": node.reason,
            "seconds": node.seconds,
            "steps_saved": node.steps_saved,
            "critical": node.critical,
            "not_reproducible": node.not_reproducible,
        }
        for node in nodes
    ]
