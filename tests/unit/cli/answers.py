"""What a server made by hand answers to the commands, and what it kept of their requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hippo_wire.v1 import admin_pb2, study_pb2
from tests.studies import grid
from tests.unit.cli.pictures import snapshot, trial

SCHEDULE = {"schedule": "multistep", "initial": 0.05, "gamma": 0.1, "milestones": [9, 18]}
BEST = trial(3, "completed", 27, 0.9722, {"lr": SCHEDULE, "batch_size": 32})
OTHER = trial(0, "stopped", 3, 0.81, {"lr": 0.1, "batch_size": 64})
STUDY = snapshot([OTHER, BEST], best=3, state=study_pb2.STUDY_STATE_COMPLETED).study
DETAIL = study_pb2.GetTrialResponse(
    trial=BEST,
    history=[
        study_pb2.Evaluation(step=1, metrics=[study_pb2.Metric(name="accuracy", value=0.5)]),
        study_pb2.Evaluation(step=2, metrics=[study_pb2.Metric(name="accuracy")]),
    ],
    values_json='[{"lr": 0.05}, {"lr": 0.005}]',
    path=[
        study_pb2.PathPart(node=7, start=0, stop=9, trial_count=12),
        study_pb2.PathPart(node=8, start=9, stop=27),
    ],
)
EXPLANATION = study_pb2.ExplainTrialResponse(
    trial=BEST,
    events=[
        study_pb2.TrialEvent(event="created", reason="point 3, as u submitted the study", by="sampler grid"),
        study_pb2.TrialEvent(event="requested", step=9, reason="enters at step 9", by="policy asha"),
    ],
)
WORKER = admin_pb2.Worker(
    name="w",
    host="h",
    state=admin_pb2.WORKER_STATE_LIVE,
    slots=[
        admin_pb2.SlotStatus(index=0, device="cpu", model="EPYC", fence=5, study="digits", step=9),
        admin_pb2.SlotStatus(index=1, device="cpu", model="EPYC"),
    ],
    environment_json='{"torch": "2.13.0"}',
    labels={"room": "b"},
)
EDITABLE = study_pb2.Study(
    name="digits",
    state=study_pb2.STUDY_STATE_RUNNING,
    spec_json=json.dumps(grid({"lr": 0.1}, name="digits").to_json()),
)


class Server:
    """Answers each method with what the test gave it, and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.answers: dict[str, Any] = {
            "GetStudy": study_pb2.GetStudyResponse(study=STUDY),
            "ListStudies": study_pb2.ListStudiesResponse(studies=[STUDY]),
            "ListTrials": study_pb2.ListTrialsResponse(trials=[OTHER, BEST]),
            "GetTrial": DETAIL,
            "ExplainTrial": EXPLANATION,
            "PauseStudy": study_pb2.PauseStudyResponse(study=STUDY),
            "ResumeStudy": study_pb2.ResumeStudyResponse(study=STUDY),
            "StopStudy": study_pb2.StopStudyResponse(study=STUDY),
            "ExtendStudy": study_pb2.ExtendStudyResponse(study=STUDY),
            "EditStudy": study_pb2.EditStudyResponse(
                study=STUDY, differences=["priority: 0 -> 3"], warnings=["look here"]
            ),
            "RetryTrials": study_pb2.RetryTrialsResponse(study=STUDY, trial_count=2),
            "ExtendTrial": study_pb2.ExtendTrialResponse(trial=OTHER, extended=True, warnings=["rounded"]),
            "ForkTrial": study_pb2.ForkTrialResponse(trial=OTHER),
            "EnqueueTrial": study_pb2.EnqueueTrialResponse(trial=OTHER),
            "StopTrial": study_pb2.StopTrialResponse(trial=OTHER, stopped=True),
            "DeleteStudy": study_pb2.DeleteStudyResponse(trial_count=2),
            "ReadTrialLog": [
                study_pb2.ReadTrialLogResponse(node=7, fence=1, text="epoch 0\n"),
                study_pb2.ReadTrialLogResponse(node=7, fence=1, text="epoch 1\n"),
            ],
            "ExportStudy": [
                study_pb2.ExportStudyResponse(data=piece)
                for piece in (b'{"hippo_study":1,', b'"name":"digits"}\n')
            ],
            "GetStageTree": study_pb2.GetStageTreeResponse(
                nodes=[
                    study_pb2.StageTreeNode(
                        state="trained",
                        node=7,
                        start=0,
                        stop=9,
                        trained=9,
                        values_json='{"lr": 0.05}',
                        trials=[0, 3],
                        ending=[0],
                    ),
                    study_pb2.StageTreeNode(
                        state="trained",
                        node=8,
                        parent=7,
                        start=9,
                        stop=27,
                        trained=27,
                        values_json='{"lr": 0.005}',
                        trials=[3],
                    ),
                ]
            ),
            "ListWorkers": admin_pb2.ListWorkersResponse(workers=[WORKER]),
            "ListPrograms": study_pb2.ListProgramsResponse(),
            "DrainWorker": admin_pb2.DrainWorkerResponse(worker=WORKER),
        }

    def __getattr__(self, method: str) -> Callable[[Any], Any]:
        def answer(request: Any, **_: Any) -> Any:
            self.requests.append(request)
            given = self.answers[method]
            if isinstance(given, Exception):
                raise given
            return given

        return answer
