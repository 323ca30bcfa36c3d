"""What a server made by hand answers to the commands, and what it kept of their requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hippo_core.allowance import Allowance
from hippo_wire.v1 import account_pb2, admin_pb2, checkpoint_pb2, study_pb2
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

ADA = account_pb2.Account(
    project="vision",
    user="ada",
    allowance_json=json.dumps(Allowance(weight=2.0, max_slots=4, max_slot_seconds=7200.0).to_json()),
    slot_microseconds=3_600_000_000,
    gpu_microseconds=7_200_000_000,
    study_count=1,
    open_trial_count=12,
    slot_count=3,
    waits="waits for its turn",
)


def bill(project: str, user: str, study: str, seconds: float, **more: Any) -> account_pb2.Bill:
    return account_pb2.Bill(
        project=project, user=user, study=study, slot_microseconds=round(seconds * 1e6), **more
    )


BILLS = [
    bill("vision", "ada", "first", 10.5, gpu_microseconds=21_000_000, seconds_saved=4.0),
    bill("vision", "bo", "second", 2.25, deleted=True),
    bill("vision", "ada", "third", 1.0, seconds_saved=1.0),
    bill("audio", "ada", "first", 0.25),
]
KEPT = [
    checkpoint_pb2.KeptCheckpoint(
        node=7, step=3, fence=2, size_bytes=3 << 19, need="kept", reason="keep= says so", steps=3, seconds=1.5,
        trials=[0, 4], trial_count=2,
    ),
    checkpoint_pb2.KeptCheckpoint(
        node=7, step=9, fence=5, size_bytes=12, need="pinned", reason="pinned", steps=6, seconds=600.0,
        trials=[0], trial_count=12,
    ),
]  # fmt: skip
FIRST, SECOND = "ab12" * 16, "abff" * 16
KNOWN = [
    study_pb2.KnownProgram(
        key=FIRST, trainer="trainer:Digits", environment_json='{"cuda":null,"device":"cpu","torch":"2.9"}',
        studies=["digits", "wider"], node_count=12, checkpoint_count=3, checkpoint_bytes=3 << 19,
    ),
    study_pb2.KnownProgram(key=SECOND, trainer="other:Trainer", studies=["new"], open_studies=["new"]),
]  # fmt: skip
TOKEN = admin_pb2.Token(name="ada", role="editor", project="default")
TOKEN.create_time.FromSeconds(86_400)
TOKEN.expire_time.FromSeconds(2 * 86_400)
CALL = admin_pb2.AuditedCall(
    id=7, actor="ada", role="editor", project="default", peer="127.0.0.1", method="StudyService/PauseStudy",
    subject="digits", request_id="r", digest="d", result="OK",
)  # fmt: skip


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
            "ForgetProgram": study_pb2.ForgetProgramResponse(study_count=2),
            "ListCheckpoints": checkpoint_pb2.ListCheckpointsResponse(
                checkpoints=KEPT, study=checkpoint_pb2.CheckpointBudget(used_bytes=2048, limit_bytes=4096)
            ),
            "PinCheckpoint": checkpoint_pb2.PinCheckpointResponse(trial=3, step=9, size_bytes=12),
            "UnpinCheckpoints": checkpoint_pb2.UnpinCheckpointsResponse(pin_count=2),
            "CollectCheckpoints": checkpoint_pb2.CollectCheckpointsResponse(
                checkpoints=KEPT, checkpoint_count=2, size_bytes=3 << 19
            ),
            "CordonWorker": admin_pb2.CordonWorkerResponse(worker=WORKER),
            "UncordonWorker": admin_pb2.UncordonWorkerResponse(worker=WORKER),
            "CreateToken": admin_pb2.CreateTokenResponse(token=TOKEN),
            "ListTokens": admin_pb2.ListTokensResponse(tokens=[TOKEN]),
            "RevokeToken": admin_pb2.RevokeTokenResponse(),
            "ListCalls": admin_pb2.ListCallsResponse(calls=[CALL]),
            "CreateLoginLink": admin_pb2.CreateLoginLinkResponse(http_port=7441),
            "ListProjects": account_pb2.ListProjectsResponse(accounts=[ADA]),
            "ListUsers": account_pb2.ListUsersResponse(accounts=[ADA]),
            "EditAccount": account_pb2.EditAccountResponse(account=ADA),
            "CreateProject": account_pb2.CreateProjectResponse(account=ADA, created=True),
            "DeleteProject": account_pb2.DeleteProjectResponse(),
            "ListBills": account_pb2.ListBillsResponse(bills=BILLS),
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
