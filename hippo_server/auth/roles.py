"""Roles, and the table of who may call what. A method without an entry is denied to everybody.

A worker's role is apart from the people's: its token trains, and neither submits nor reads results. A token to join
with does nothing but to get a worker a token of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """What a token's holder is."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"
    WORKER = "worker"
    JOIN = "join"


JOINERS = frozenset({Role.JOIN})
WORKERS = frozenset({Role.WORKER})
ADMINS = frozenset({Role.ADMIN})
EDITORS = ADMINS | {Role.EDITOR}
VIEWERS = EDITORS | {Role.VIEWER}
EVERYBODY = VIEWERS | WORKERS

#: Who reads, submits or manages, and so is a user.
PEOPLE = frozenset({Role.VIEWER, Role.EDITOR, Role.ADMIN})

REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

#: Answered without a token: they show no data.
OPEN_METHODS = frozenset({"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"})

METHOD_ROLES: Mapping[str, frozenset[Role]] = {
    "/hippo.v1.StudyService/SubmitStudy": EDITORS,
    "/hippo.v1.StudyService/GetStudy": VIEWERS,
    "/hippo.v1.StudyService/ListStudies": VIEWERS,
    "/hippo.v1.StudyService/WatchStudy": VIEWERS,
    "/hippo.v1.StudyService/PauseStudy": EDITORS,
    "/hippo.v1.StudyService/ResumeStudy": EDITORS,
    "/hippo.v1.StudyService/StopStudy": EDITORS,
    "/hippo.v1.StudyService/ExtendStudy": EDITORS,
    "/hippo.v1.StudyService/EditStudy": EDITORS,
    "/hippo.v1.StudyService/RetryTrials": EDITORS,
    "/hippo.v1.StudyService/StopTrial": EDITORS,
    "/hippo.v1.StudyService/ExtendTrial": EDITORS,
    "/hippo.v1.StudyService/ForkTrial": EDITORS,
    "/hippo.v1.StudyService/EnqueueTrial": EDITORS,
    "/hippo.v1.StudyService/AskPoints": EDITORS,
    "/hippo.v1.StudyService/ListResults": VIEWERS,
    "/hippo.v1.StudyService/DeleteStudy": EDITORS,
    "/hippo.v1.StudyService/ListPrograms": VIEWERS,
    "/hippo.v1.StudyService/ForgetProgram": EDITORS,
    "/hippo.v1.StudyService/ListTrials": VIEWERS,
    "/hippo.v1.StudyService/GetTrial": VIEWERS,
    "/hippo.v1.StudyService/ExplainTrial": VIEWERS,
    "/hippo.v1.StudyService/GetStageTree": VIEWERS,
    "/hippo.v1.StudyService/ExportStudy": VIEWERS,
    "/hippo.v1.StudyService/ExportArchive": EDITORS,
    "/hippo.v1.StudyService/ImportStudy": EDITORS,
    "/hippo.v1.StudyService/ReadTrialLog": VIEWERS,
    "/hippo.v1.StudyService/FindBundle": EDITORS | WORKERS,
    "/hippo.v1.StudyService/UploadBundle": EDITORS,
    "/hippo.v1.StudyService/DownloadBundle": EDITORS | WORKERS,
    "/hippo.v1.StudyService/DownloadCheckpoint": VIEWERS,
    "/hippo.v1.WorkerService/JoinPool": JOINERS,
    "/hippo.v1.WorkerService/RegisterWorker": WORKERS,
    "/hippo.v1.WorkerService/Work": WORKERS,
    "/hippo.v1.WorkerService/AppendLog": WORKERS,
    "/hippo.v1.AccountService/CreateProject": ADMINS,
    "/hippo.v1.AccountService/ListProjects": VIEWERS,
    "/hippo.v1.AccountService/DeleteProject": ADMINS,
    "/hippo.v1.AccountService/ListUsers": VIEWERS,
    "/hippo.v1.AccountService/EditAccount": ADMINS,
    "/hippo.v1.AccountService/ListBills": VIEWERS,
    "/hippo.v1.AdminService/GetServer": EVERYBODY,
    "/hippo.v1.AdminService/ListWorkers": VIEWERS,
    "/hippo.v1.AdminService/DrainWorker": ADMINS,
    "/hippo.v1.AdminService/CordonWorker": ADMINS,
    "/hippo.v1.AdminService/UncordonWorker": ADMINS,
    "/hippo.v1.AdminService/CreateToken": ADMINS,
    "/hippo.v1.AdminService/ListTokens": ADMINS,
    "/hippo.v1.AdminService/RevokeToken": ADMINS,
    "/hippo.v1.AdminService/ListCalls": ADMINS,
    "/hippo.v1.AdminService/CreateLoginLink": VIEWERS,
    "/hippo.v1.CheckpointService/ListCheckpoints": VIEWERS,
    "/hippo.v1.CheckpointService/PinCheckpoint": EDITORS,
    "/hippo.v1.CheckpointService/UnpinCheckpoints": EDITORS,
    "/hippo.v1.CheckpointService/CollectCheckpoints": EDITORS,
    REFLECTION: EVERYBODY,
}

#: Calls that change something for somebody, and are written down; those of workers are in the journal.
AUDITED = frozenset(
    method
    for method, roles in METHOD_ROLES.items()
    if (roles in (EDITORS, ADMINS, JOINERS) and "List" not in method) or "Login" in method
)


def least_words(allowed: frozenset[Role]) -> str:
    """Which role would do, in words."""
    order = (Role.VIEWER, Role.EDITOR, Role.ADMIN, Role.WORKER, Role.JOIN)
    return next((role.value for role in order if role in allowed), "none")
