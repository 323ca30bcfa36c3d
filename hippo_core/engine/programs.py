"""The programs that a project has studies of: listed, and forgotten with all that was trained of them."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core.engine.commands import ForgetProgram
from hippo_core.engine.decision import Decision
from hippo_core.engine.environments import clear_plan
from hippo_core.engine.events import StudyDeleted
from hippo_core.engine.state import EngineState, PlanState
from hippo_core.engine.states import ENDED_STUDY_STATES
from hippo_core.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramView:
    """A program in one environment; an empty one: no lease has bound it yet."""

    key: str
    trainer: str
    environment: str
    studies: tuple[str, ...]
    open_studies: tuple[str, ...]  #: those that have not ended
    nodes: int
    checkpoints: int
    checkpoint_bytes: int


def program_views(state: EngineState, project: str) -> tuple[ProgramView, ...]:
    """The programs that a project has studies of, by key, the environments of each in order of their plans."""
    plans = [plan for plan in state.plans.values() if plan.project == project and plan.studies]
    return tuple(_view(state, plan) for plan in sorted(plans, key=lambda plan: (plan.program_key, plan.id)))


def forget_program(decision: Decision, command: ForgetProgram) -> int:
    """Forgets a program whose studies have all ended, in every environment; returns how many studies went."""
    state = decision.state
    plans = _find(state, command.project, command.key)
    studies = [state.studies[number] for plan in plans for number in plan.studies]
    going_on = [study for study in studies if study.state not in ENDED_STUDY_STATES]
    if going_on:
        named = ", ".join(f"'{study.name}' ({study.state.value})" for study in going_on[:5])
        more = f" and {len(going_on) - 5} more" if len(going_on) > 5 else ""
        raise Conflict(
            f"the program {plans[0].program_key[:12]} has studies that have not ended: {named}{more}.",
            "Stop them first (hippo study stop), or delete them (hippo study delete).",
        )
    for study in studies:
        decision.emit(StudyDeleted(study=study.id))
    for plan in plans:
        clear_plan(decision, plan)
    return len(studies)


def _find(state: EngineState, project: str, key: str) -> list[PlanState]:
    """The plans of the program whose key is, or alone begins with, the given one."""
    plans = [
        plan
        for plan in state.plans.values()
        if key and plan.project == project and plan.studies and plan.program_key.startswith(key)
    ]
    keys = {plan.program_key for plan in plans}
    if not keys:
        raise NotFound(f"no study is of a program '{key}'.", "hippo program ls lists those that there are.")
    if len(keys) > 1:
        raise Conflict(f"the keys of {len(keys)} programs begin with '{key}'.", "Give more of it.")
    return plans


def _view(state: EngineState, plan: PlanState) -> ProgramView:
    studies = [state.studies[number] for number in sorted(plan.studies)]
    kept = [
        copy.size_bytes
        for node in plan.plan.nodes
        for copies in node.checkpoints.values()
        for copy in copies.values()
    ]
    return ProgramView(
        key=plan.program_key,
        trainer=studies[0].spec.program.trainer,
        environment=plan.environment,
        studies=tuple(study.name for study in studies),
        open_studies=tuple(study.name for study in studies if study.state not in ENDED_STUDY_STATES),
        nodes=len(plan.plan.nodes),
        checkpoints=len(kept),
        checkpoint_bytes=sum(kept),
    )
