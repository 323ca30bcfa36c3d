"""What each command prints with ``--json``, as types: those of studies and trials, and those made here.

Imports nothing that takes time: `hippo schema` and the tests read it.
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from hippo_client.cli.outputs_made_here import Checked, Plan, Simulation, Verified
from hippo_wire import json_types as types

#: Raised whenever something that a script may have read is dropped, renamed or means something else.
VERSION = 1


class ErrorContent(TypedDict):
    """What is wrong."""

    code: Annotated[str, "For programs; the page of error codes explains each."]
    message: Annotated[str, "For people."]
    hint: Annotated[str, "What to do about it; may be empty."]
    docs: Annotated[str, "Where its code is explained."]


class Error(TypedDict):
    """What a command prints on standard error, with --json, where it could not be done."""

    error: ErrorContent


class StudySavings(TypedDict):
    """What sharing saved in a study."""

    study: str
    savings: types.Savings


class PlotKind(TypedDict):
    """A plot that there is."""

    plot: str
    shows: Annotated[str, "In words."]


class Drawn(TypedDict):
    """A plot that was drawn."""

    study: str
    plot: str
    file: str


class UnsupportedKey(TypedDict):
    """A key of another system's file that has no counterpart."""

    key: str
    line: int
    why: str


class ImportedFile(TypedDict):
    """What became of another system's file."""

    study_file: Annotated[str | None, "What was written; null: nothing."]
    taken: Annotated[list[str], "What became of each key that was taken, in words."]
    unsupported: list[UnsupportedKey]


class Edited(TypedDict):
    """What a change of a study came to."""

    study: str
    changed: bool
    differences: list[str]
    warnings: list[str]


class DeletedStudy(TypedDict):
    """A study that was forgotten, or was not as nobody confirmed it."""

    study: str
    trials_deleted: int


class Front(TypedDict):
    """The Pareto front of a study with several objectives."""

    best_trials: list[types.Trial]


class HorizonBests(TypedDict):
    """The best trial of each horizon."""

    best_by_horizon: list[types.Trial]


class TrialEvent(TypedDict):
    """Something that happened to a trial."""

    at: types.Moment
    event: str
    step: int | None
    reason: str
    by: str


class LogPiece(TypedDict):
    """What user code printed under one lease on one node."""

    node: int
    fence: int
    text: str


class PulledCheckpoint(TypedDict):
    """A checkpoint whose files were fetched."""

    study: str
    trial: int
    step: int
    bytes: int
    files: list[str]


class PinnedCheckpoint(TypedDict):
    """A checkpoint that is kept from now on."""

    study: str
    trial: int
    step: int
    bytes: int


class Unpinned(TypedDict):
    """How many pins went."""

    study: str
    unpinned: int


class Collected(TypedDict):
    """What went, or would go."""

    count: int
    bytes: int
    checkpoints: list[types.KeptCheckpoint]


class Program(TypedDict):
    """A program that there are studies of."""

    program: Annotated[str, "Its key."]
    trainer: str
    environment: Annotated[dict[str, Any] | None, "Null: not trained yet."]
    studies: list[str]
    open_studies: list[str]
    nodes: int
    checkpoints: int
    bytes: int


class ForgottenProgram(TypedDict):
    """A program that was forgotten."""

    program: str
    studies_deleted: int


class Link(TypedDict):
    """A link that logs a browser in, once."""

    url: str
    expires_at: types.Moment


class LocalServer(TypedDict):
    """This machine's server."""

    server: Annotated[str, "HOST:PORT of gRPC."]
    http: str
    home: str
    slots: int | None


class Ended(TypedDict):
    """Whether there was a server to end."""

    ended: bool


class LoggedIn(TypedDict):
    """Who one is on a server."""

    server: str
    user: str
    role: str
    project: str


class LoggedOut(TypedDict):
    """The server that was forgotten; null: there was none."""

    server: str | None


class NewToken(types.Token):
    """A token with its secret, which is shown this once."""

    secret: str


class RevokedToken(TypedDict):
    """The token that is not valid any more."""

    revoked: str


class DeletedProject(TypedDict):
    """The project that is forgotten."""

    deleted: str


class Certificates(TypedDict):
    """What was made."""

    folder: str
    hosts: list[str]
    valid_until: types.Moment
    new_authority: bool


class Spent(TypedDict):
    """What was trained and paid."""

    slot_seconds: float
    gpu_seconds: float
    seconds_saved: Annotated[float | None, "Null: a study is still running, or --since is given."]


class Bill(Spent):
    """What one user, project or study paid."""

    project: str
    user: NotRequired[str]
    study: NotRequired[str]


class Usage(TypedDict):
    """What was trained for whom, and who paid."""

    usage: list[Bill]
    together: Spent


class Finding(TypedDict):
    """What was looked at, and found."""

    check: str
    ok: Annotated[bool | None, "Null: it is not well, but only matters to some."]
    found: str
    fix: Annotated[str, "How to mend it; may be empty."]


#: By command, below ``hippo``.
OUTPUTS: dict[str, Any] = {
    "run": types.Study,
    "submit": types.Study,
    "plan": Plan,
    "simulate": Simulation,
    "check": Checked,
    "verify": Verified,
    "study ls": list[types.Study],
    "study show": types.Study,
    "study savings": StudySavings,
    "study watch": types.Study,
    "study tree": list[types.Node],
    "study plot": list[PlotKind] | Drawn,
    "study import": types.Study | ImportedFile,
    "study pause": types.Study,
    "study resume": types.Study,
    "study stop": types.Study,
    "study extend": types.Study,
    "study edit": Edited,
    "study fork": types.Trial,
    "study enqueue": types.Trial,
    "study retry": types.Study,
    "study delete": DeletedStudy,
    "trial ls": list[types.Trial],
    "trial show": types.TrialDetail,
    "trial best": types.Trial | Front | HorizonBests,
    "trial explain": list[TrialEvent],
    "trial logs": list[LogPiece],
    "trial retry": types.Trial,
    "trial extend": types.Trial,
    "trial stop": types.Trial,
    "checkpoint ls": list[types.KeptCheckpoint],
    "checkpoint pull": PulledCheckpoint,
    "checkpoint pin": PinnedCheckpoint,
    "checkpoint unpin": Unpinned,
    "checkpoint gc": Collected,
    "program ls": list[Program],
    "program forget": ForgottenProgram,
    "worker ls": list[types.Worker],
    "worker show": types.Worker,
    "worker drain": types.Worker,
    "worker cordon": types.Worker,
    "worker uncordon": types.Worker,
    "open": Link,
    "up": LocalServer,
    "down": Ended,
    "login": LoggedIn,
    "logout": LoggedOut,
    "token create": NewToken,
    "token ls": list[types.Token],
    "token revoke": RevokedToken,
    "certs init": Certificates,
    "project ls": list[types.Account],
    "project create": types.Account,
    "project edit": types.Account,
    "project delete": DeletedProject,
    "user ls": list[types.Account],
    "user edit": types.Account,
    "usage": Usage,
    "audit": list[types.AuditedCall],
    "doctor": list[Finding],
}
