"""The calls behind the commands, each one a line; what they answer are the server's messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hippo_client.client import Client, new_request_id
from hippo_wire.secrets import secret_hash
from hippo_wire.v1 import account_pb2, admin_pb2, checkpoint_pb2, study_pb2

if TYPE_CHECKING:
    from hippo_wire.streams import Responses

_STUDIES_PER_PAGE = 100
_TRIALS_PER_PAGE = 1000
_CALLS_PER_PAGE = 1000


def get_study(client: Client, name: str) -> study_pb2.Study:
    """One study."""
    return client.connection.studies.GetStudy(study_pb2.GetStudyRequest(name=name)).study


def list_studies(client: Client) -> list[study_pb2.Study]:
    """All studies, newest first."""
    studies: list[study_pb2.Study] = []
    token = ""
    while True:
        page = client.connection.studies.ListStudies(
            study_pb2.ListStudiesRequest(page_size=_STUDIES_PER_PAGE, page_token=token)
        )
        studies.extend(page.studies)
        token = page.next_page_token
        if not token:
            return studies


def list_trials(client: Client, name: str) -> list[study_pb2.Trial]:
    """All trials of a study, by number."""
    trials: list[study_pb2.Trial] = []
    token = ""
    while True:
        page = client.connection.studies.ListTrials(
            study_pb2.ListTrialsRequest(name=name, page_size=_TRIALS_PER_PAGE, page_token=token)
        )
        trials.extend(page.trials)
        token = page.next_page_token
        if not token:
            return trials


def get_trial(client: Client, name: str, trial: int) -> study_pb2.GetTrialResponse:
    """One trial with its history."""
    return client.connection.studies.GetTrial(study_pb2.GetTrialRequest(name=name, trial=trial))


def explain_trial(client: Client, name: str, trial: int) -> study_pb2.ExplainTrialResponse:
    """What happened to a trial, and why."""
    return client.connection.studies.ExplainTrial(study_pb2.ExplainTrialRequest(name=name, trial=trial))


def read_log(client: Client, name: str, trial: int) -> Iterator[study_pb2.ReadTrialLogResponse]:
    """What user code printed on a trial's path, from the beginning."""
    stream: Responses[study_pb2.ReadTrialLogResponse] = client.connection.studies.ReadTrialLog(  # type: ignore[assignment]
        study_pb2.ReadTrialLogRequest(name=name, trial=trial)
    )
    return stream


def get_tree(client: Client, name: str) -> list[study_pb2.StageTreeNode]:
    """The study's part of the search plan, parents first."""
    return list(client.connection.studies.GetStageTree(study_pb2.GetStageTreeRequest(name=name)).nodes)


def pause(client: Client, name: str) -> study_pb2.Study:
    """Grant no further leases."""
    request = study_pb2.PauseStudyRequest(request_id=new_request_id(), name=name)
    return client.connection.studies.PauseStudy(request).study


def resume(client: Client, name: str) -> study_pb2.Study:
    """Take a paused study up again."""
    request = study_pb2.ResumeStudyRequest(request_id=new_request_id(), name=name)
    return client.connection.studies.ResumeStudy(request).study


def stop(client: Client, name: str) -> study_pb2.Study:
    """End a study."""
    request = study_pb2.StopStudyRequest(request_id=new_request_id(), name=name)
    return client.connection.studies.StopStudy(request).study


def retry(client: Client, name: str, trial: int | None = None) -> study_pb2.RetryTrialsResponse:
    """Open one failed trial again, or all."""
    request = study_pb2.RetryTrialsRequest(request_id=new_request_id(), name=name, trial=trial)
    return client.connection.studies.RetryTrials(request)


def stop_trial(client: Client, name: str, trial: int) -> study_pb2.StopTrialResponse:
    """End one trial."""
    request = study_pb2.StopTrialRequest(request_id=new_request_id(), name=name, trial=trial)
    return client.connection.studies.StopTrial(request)


def extend_trial(client: Client, name: str, trial: int, to: int) -> study_pb2.ExtendTrialResponse:
    """Train one trial further."""
    request = study_pb2.ExtendTrialRequest(request_id=new_request_id(), name=name, trial=trial, to=to)
    return client.connection.studies.ExtendTrial(request)


def fork(
    client: Client, name: str, trial: int, at: int, hyperparameters_json: str
) -> study_pb2.ForkTrialResponse:
    """Make a trial of another."""
    request = study_pb2.ForkTrialRequest(
        request_id=new_request_id(), name=name, trial=trial, at=at, hyperparameters_json=hyperparameters_json
    )
    return client.connection.studies.ForkTrial(request)


def enqueue(client: Client, name: str, point_json: str) -> study_pb2.EnqueueTrialResponse:
    """Make a trial of a point."""
    request = study_pb2.EnqueueTrialRequest(request_id=new_request_id(), name=name, point_json=point_json)
    return client.connection.studies.EnqueueTrial(request)


def extend(
    client: Client,
    name: str,
    max_trials: int | None,
    max_steps: int | None,
    priority: int | None,
    endings_json: str,
    horizons: Sequence[int] = (),
) -> study_pb2.Study:
    """Raise or change what is given."""
    request = study_pb2.ExtendStudyRequest(
        request_id=new_request_id(),
        name=name,
        max_trials=max_trials,
        max_steps=max_steps,
        priority=priority,
        endings_json=endings_json,
        horizons=horizons,
    )
    return client.connection.studies.ExtendStudy(request).study


def delete(client: Client, name: str) -> int:
    """Forget a study; how many trials went."""
    request = study_pb2.DeleteStudyRequest(request_id=new_request_id(), name=name)
    return client.connection.studies.DeleteStudy(request).trial_count


def list_programs(client: Client) -> list[study_pb2.KnownProgram]:
    """The programs that the project has studies of, by key."""
    return list(client.connection.studies.ListPrograms(study_pb2.ListProgramsRequest()).programs)


def forget_program(client: Client, key: str) -> int:
    """Forget a program; how many studies went."""
    request = study_pb2.ForgetProgramRequest(request_id=new_request_id(), key=key)
    return client.connection.studies.ForgetProgram(request).study_count


def list_workers(client: Client) -> list[admin_pb2.Worker]:
    """All workers, by name."""
    return list(client.connection.admin.ListWorkers(admin_pb2.ListWorkersRequest()).workers)


def drain_worker(client: Client, worker: str) -> admin_pb2.Worker:
    """Let a worker save, release its leases and leave."""
    request = admin_pb2.DrainWorkerRequest(request_id=new_request_id(), worker=worker)
    return client.connection.admin.DrainWorker(request).worker


def cordon_worker(client: Client, worker: str, slot: int | None, reason: str) -> admin_pb2.Worker:
    """Grant slots of a worker nothing more; no slot: all of them."""
    request = admin_pb2.CordonWorkerRequest(
        request_id=new_request_id(), worker=worker, slot=slot, reason=reason
    )
    return client.connection.admin.CordonWorker(request).worker


def uncordon_worker(client: Client, worker: str, slot: int | None) -> admin_pb2.Worker:
    """Let slots of a worker be granted paths again; no slot: all of them."""
    request = admin_pb2.UncordonWorkerRequest(request_id=new_request_id(), worker=worker, slot=slot)
    return client.connection.admin.UncordonWorker(request).worker


def list_projects(client: Client) -> list[account_pb2.Account]:
    """The projects that the asker may see, by name."""
    return list(client.connection.accounts.ListProjects(account_pb2.ListProjectsRequest()).accounts)


def create_project(client: Client, name: str) -> account_pb2.CreateProjectResponse:
    """Open a project."""
    request = account_pb2.CreateProjectRequest(request_id=new_request_id(), project=name)
    return client.connection.accounts.CreateProject(request)


def delete_project(client: Client, name: str) -> None:
    """Forget a project."""
    request = account_pb2.DeleteProjectRequest(request_id=new_request_id(), project=name)
    client.connection.accounts.DeleteProject(request)


def list_users(client: Client, project: str) -> list[account_pb2.Account]:
    """The users of a project, by name; an empty one is the asker's."""
    return list(client.connection.accounts.ListUsers(account_pb2.ListUsersRequest(project=project)).accounts)


def edit_account(client: Client, project: str, user: str, changes_json: str) -> account_pb2.Account:
    """Give a project, or a user of it, another weight or other limits."""
    request = account_pb2.EditAccountRequest(
        request_id=new_request_id(), project=project, user=user, changes_json=changes_json
    )
    return client.connection.accounts.EditAccount(request).account


def list_bills(client: Client, since: datetime | None) -> list[account_pb2.Bill]:
    """What studies were billed."""
    request = account_pb2.ListBillsRequest()
    if since is not None:
        request.since_time.FromDatetime(since)
    return list(client.connection.accounts.ListBills(request).bills)


def get_server(client: Client) -> admin_pb2.GetServerResponse:
    """Which server answers, and who asks."""
    return client.connection.admin.GetServer(admin_pb2.GetServerRequest())


def create_login_link(client: Client, secret: str) -> admin_pb2.CreateLoginLinkResponse:
    """Make a link known that logs a browser in; only the digest of its secret is sent."""
    request = admin_pb2.CreateLoginLinkRequest(secret_hash=secret_hash(secret))
    return client.connection.admin.CreateLoginLink(request)


def download_bundle(client: Client, digest: str) -> bytes:
    """The archive of a study's code."""
    stream: Responses[study_pb2.DownloadBundleResponse] = client.connection.studies.DownloadBundle(  # type: ignore[assignment]
        study_pb2.DownloadBundleRequest(digest=digest)
    )
    return b"".join(piece.data for piece in stream)


def create_token(
    client: Client,
    name: str,
    role: str,
    project: str,
    secret: str,
    lifetime: timedelta | None,
    uses: int | None,
) -> admin_pb2.Token:
    """Make a token; only the digest of its secret is sent."""
    request = admin_pb2.CreateTokenRequest(
        name=name,
        role=role,
        project=project,
        secret_hash=secret_hash(secret),
        lifetime_seconds=None if lifetime is None else round(lifetime.total_seconds()),
        uses=uses,
    )
    return client.connection.admin.CreateToken(request).token


def list_tokens(client: Client) -> list[admin_pb2.Token]:
    """The tokens that the asker manages, oldest first."""
    return list(client.connection.admin.ListTokens(admin_pb2.ListTokensRequest()).tokens)


def revoke_token(client: Client, name: str) -> None:
    """End a token."""
    client.connection.admin.RevokeToken(admin_pb2.RevokeTokenRequest(name=name))


def pin_checkpoint(
    client: Client, name: str, trial: int | None, step: int | None
) -> checkpoint_pb2.PinCheckpointResponse:
    """Keep a checkpoint, whatever the budgets say."""
    return client.connection.checkpoints.PinCheckpoint(
        checkpoint_pb2.PinCheckpointRequest(request_id=new_request_id(), name=name, trial=trial, step=step)
    )


def unpin_checkpoints(client: Client, name: str, trial: int | None, step: int | None) -> int:
    """Let pins of a study go; how many went."""
    request = checkpoint_pb2.UnpinCheckpointsRequest(
        request_id=new_request_id(), name=name, trial=trial, step=step
    )
    return client.connection.checkpoints.UnpinCheckpoints(request).pin_count


def collect_checkpoints(
    client: Client, name: str | None, to_bytes: int | None, *, dry_run: bool
) -> checkpoint_pb2.CollectCheckpointsResponse:
    """Let checkpoints go that nothing waits for, or tell which would."""
    return client.connection.checkpoints.CollectCheckpoints(
        checkpoint_pb2.CollectCheckpointsRequest(
            request_id=new_request_id(), name=name or "", to_bytes=to_bytes, dry_run=dry_run
        )
    )


def list_calls(client: Client, actor: str, limit: int, *, denied: bool) -> list[admin_pb2.AuditedCall]:
    """At most so many calls of the audit log, newest first."""
    found: list[admin_pb2.AuditedCall] = []
    token = ""
    while True:
        size = min(limit - len(found), _CALLS_PER_PAGE)
        request = admin_pb2.ListCallsRequest(actor=actor, denied=denied, page_size=size, page_token=token)
        page = client.connection.admin.ListCalls(request)
        found.extend(page.calls)
        token = page.next_page_token
        if not token or len(found) >= limit:
            return found
