"""The store: what the engine decided, durable, and read back.

One transaction per batch. Its rows, its journal and the answers to its requests commit together, or not at all;
the last statement checks that this server still leads.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from hippo_core.engine.events import Event, FencesSkipped, LeaseStateChanged
from hippo_core.engine.explanation import Told, Training
from hippo_core.engine.known import Known
from hippo_core.engine.states import LeaseState
from hippo_core.errors import InvariantViolated
from hippo_server.store import audit, sessions, standbys, times, tokens
from hippo_server.store.ahead import ahead
from hippo_server.store.audit import Audited, Call
from hippo_server.store.batch import Open, OpenRequest
from hippo_server.store.bills import Bill, find_bills
from hippo_server.store.database import Database
from hippo_server.store.deletion import forget_checkpoints, forget_results
from hippo_server.store.draft import Draft, Reach
from hippo_server.store.journal import JournalEntry, Record, RequestAnswer, read_journal
from hippo_server.store.leader import SKIPPED_FENCES, Leader, Leadership
from hippo_server.store.load import load, load_study
from hippo_server.store.migrate import migrate, require_known
from hippo_server.store.needed import NeededCheckpoints, needed_checkpoints
from hippo_server.store.recording import node_leases, stretches, study_arrivals, trial_creations
from hippo_server.store.sessions import Session
from hippo_server.store.standbys import StandbyServer
from hippo_server.store.study_chronicle import StudyEvent, study_chronicle
from hippo_server.store.times import StudyChange, StudyTimes
from hippo_server.store.tokens import Token
from hippo_server.store.trial_story import probe_events, trained_in, trial_events

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

ANSWERS_KEPT = "1 day"
T = TypeVar("T")


class Store:
    """The durable state in PostgreSQL.

    ``lead``, ``renew``, ``resign``, ``write`` and ``load`` are for one thread; all else may be called from any.
    After an error the next call tries anew, with a new connection where the old one is lost. Every method raises
    ``Unavailable`` where PostgreSQL cannot answer now.

    Args:
        url: The database's address, as SQLAlchemy or libpq writes it.
        accepted_timeline: PostgreSQL's timeline in which what was lost is to be lost; None: none.

    Raises:
        InvalidStudy: It is not an address of PostgreSQL.
    """

    def __init__(self, url: str, accepted_timeline: int | None = None) -> None:
        self._database = Database(url)
        self._leadership = Leadership(self._database, accepted_timeline)
        self._reach: Reach | None = None  # None: to be read first

    def on_undone(self, tell: Callable[[], None]) -> None:
        """Has somebody told of each transaction that is tried again, since PostgreSQL undid it for another's sake."""
        self._database.on_undone = tell

    def on_error(self, tell: Callable[[str], None]) -> None:
        """Has somebody told of each error of PostgreSQL: its SQLSTATE; empty where there was no connection."""
        self._database.on_error = tell

    def close(self) -> None:
        """Closes all connections."""
        self._leadership.close()
        self._database.close()

    def migrate(self) -> None:
        """Brings the database to this version's schema.

        Raises:
            Conflict: The database is of a newer Hippo, of too old a PostgreSQL, or not in UTF-8.
        """
        migrate(self._database)

    def version(self) -> str:
        """PostgreSQL's version, for people."""
        with self._database.transaction() as cursor:
            cursor.execute("SELECT current_setting('server_version')")
            return f"PostgreSQL {_only(cursor).split()[0]}"

    def identity(self) -> str:
        """What tells this database from every other."""
        with self._database.transaction() as cursor:
            cursor.execute("SELECT value::text FROM identity")
            return str(_only(cursor))

    def lead(self, holder: str, lease_seconds: float, address: str = "") -> int:
        """Takes the lead with a new term; see ``Leadership.take``.

        Raises:
            Standby: Another server leads.
            Conflict: A newer Hippo has migrated the database.
        """
        require_known(self._database)
        self._reach = None
        term = self._leadership.take(holder, address, lease_seconds)
        if self._leadership.skipping:
            self._pass_over(term)
        return term

    def _pass_over(self, term: int) -> None:
        """Where what was committed last is lost: ends all leases, and grants no fence that may have been granted then.

        What a worker reports of a lease goes on from reports that are lost, too.
        """
        with self._leadership.transaction() as cursor:
            cursor.execute("SELECT greatest((SELECT max(fence) FROM leases), skipped_fences) FROM identity")
            last = int(_only(cursor))
            cursor.execute("SELECT fence FROM leases WHERE ended_at IS NULL ORDER BY fence")
            standing = [fence for (fence,) in cursor.fetchall()]
        events: list[Event] = [
            LeaseStateChanged(
                fence=fence, state=LeaseState.EXPIRED, reason="the database lost what came last"
            )
            for fence in standing
        ]
        events.append(FencesSkipped(fence=last + SKIPPED_FENCES))
        record = Record(cause="LossAccepted", events=tuple(events), answer=None, actor="server")
        self._make_durable([record], term, 0, self._leadership.adopt_timeline)
        self._leadership.have_skipped(term)

    def leader(self) -> Leader | None:
        """Who leads, or led last; None: nobody has yet."""
        return self._leadership.look()

    def standbys(self) -> list[StandbyServer]:
        """The servers that stand by, as they have said lately."""
        with self._database.transaction() as cursor:
            return standbys.find_standbys(cursor)

    def stand_by(self, server: StandbyServer, valid_seconds: float) -> None:
        """Says that a server stands by, for people; it is believed for so long, unless it says so again."""
        self._database.change(lambda cursor: standbys.stand_by(cursor, server, valid_seconds))

    def stand_by_no_more(self, holder: str) -> None:
        """Says that a server does not stand by: it leads, or has ended."""
        self._database.change(lambda cursor: standbys.stand_by_no_more(cursor, holder))

    def renew(self, term: int) -> None:
        """Keeps the lead for another lease, and forgets answers older than a day.

        Raises:
            Stale: Another server leads.
        """
        self._database.retried(lambda: self._leadership.renew(term))
        self._database.retried(self._forget_answers)

    def _forget_answers(self) -> None:
        with self._leadership.transaction() as cursor:
            cursor.execute(f"DELETE FROM request_answers WHERE at < now() - interval '{ANSWERS_KEPT}'")

    def resign(self, term: int) -> None:
        """Lets the lead go."""
        self._leadership.resign(term)

    def load(self) -> Generator[Known, None, None]:
        """The rows as events, in an order that ``Engine.apply`` accepts; to be closed where not all are taken."""
        self._reach = None
        return ahead(load(self._database))

    def study_events(self, study: int) -> list[Event]:
        """The rows of one study as the events of an archive; see ``hippo_core.engine.archive``.

        Raises:
            Conflict: Its trials were trained in several environments.
        """
        return list(load_study(self._database, study))

    def draft(self, term: int, batch: int, after: Draft | None = None) -> Draft:
        """A draft of a transaction, to be filled while the one before it is written, and then given to ``write``.

        May be called from any thread. A draft is written right after the one that it follows, or refused: also where
        that failed, or something else was written instead.

        Args:
            term: This server's, from ``lead``.
            batch: Counts up within the term.
            after: The draft before it, to which nothing is appended any more; None: it goes on from what is written
                by the time of its own turn.
        """
        return Draft(term, batch, after)

    def write(self, records: Sequence[Record], term: int, batch: int) -> None:
        """Makes durable what a batch of commands came to, all or nothing.

        Args:
            records: In the order in which the commands were handled. Of a draft most rows are worked out already; what
                piled up, or came with a large record, is worked out here.
            term: This server's, from ``lead``.
            batch: Counts up within the term.

        Raises:
            Stale: Another server leads; nothing was written.
            Unavailable: Whether it was written is not known. The engine is to be dropped, and rebuilt from the
                rows under a new term: to take one settles a COMMIT that is still under way, since either it comes
                before the take-over or its check of the term fails.
            InvariantViolated: The events contradict the rows, or a draft does not follow what was written last;
                nothing was written.
        """
        self._make_durable(records, term, batch)

    def _make_durable(
        self,
        records: Sequence[Record],
        term: int,
        batch: int,
        besides: Callable[[Cursor], None] | None = None,
    ) -> None:
        try:
            draft = self._finished(records, term, batch)
            self._database.retried(lambda: self._write(draft, besides))
        except BaseException:
            self._reach = None
            raise

    def _finished(self, records: Sequence[Record], term: int, batch: int) -> Draft:
        """A draft with all its rows, before its transaction begins: PostgreSQL would cut that if it were left idle."""
        reach = self._database.retried(self._known)
        if isinstance(records, Draft):
            draft = records
            if (draft.term, draft.batch) != (term, batch):
                raise InvariantViolated("a draft is written as another transaction than it is of")
        else:
            draft = Draft(term, batch)
            for record in records:
                draft.append(record)
        draft.finish(reach)
        return draft

    def _write(self, draft: Draft, besides: Callable[[Cursor], None] | None) -> None:
        with self._leadership.script() as script:
            draft.flush(script)
            if besides is not None:
                besides(script.send())
            self._leadership.check(script, draft.term, draft.batch)

    def _known(self) -> Reach:
        """What the rows say, as far as this leader's own writes go on from them."""
        if self._reach is None:
            with self._leadership.transaction() as cursor:
                cursor.execute("SELECT coalesce(max(id), 0) FROM journal")
                position = int(_only(cursor))
                cursor.execute(
                    "SELECT study, trial, opened, step, by_user FROM requests WHERE state = 'open'"
                )
                opened: Open = {
                    (study, trial): OpenRequest(opened, step, by_user)
                    for study, trial, opened, step, by_user in cursor
                }
            self._reach = Reach(position, opened)
        return self._reach

    def answers(self) -> Iterator[RequestAnswer]:
        """The answers of the last day, oldest first."""
        with self._database.transaction(snapshot=True) as cursor:
            cursor.execute(
                f"""
                SELECT request_id, method, digest, answer FROM request_answers
                WHERE at >= now() - interval '{ANSWERS_KEPT}' ORDER BY at, request_id
                """
            )
            found = cursor.fetchall()
        for request_id, method, digest, answer in found:
            yield RequestAnswer(request_id=request_id, method=method, digest=digest, answer=bytes(answer))

    def forget_checkpoints(self, removed: Iterable[tuple[int, int, int]]) -> None:
        """Forgets dropped and lost checkpoints, each (node, step, fence), whose files have been removed."""
        gone = list(removed)
        self._change(lambda cursor: forget_checkpoints(cursor, gone))

    def forget_results(self) -> None:
        """Forgets what was measured in plans that are over: those whose last study was deleted."""
        self._change(forget_results)

    def needed_checkpoints(self) -> NeededCheckpoints:
        """Which checkpoints' files the rows need, or may yet; all others may go."""
        return needed_checkpoints(self._database)

    def journal(self, after: int = 0) -> Iterator[JournalEntry]:
        """The journal's entries with ids greater than ``after``, in order."""
        return read_journal(self._database, after)

    def study_chronicle(
        self, study: int, *, before: int | None, limit: int, trials: bool
    ) -> list[StudyEvent]:
        """What happened to a study, newest first; see ``hippo_server.store.study_chronicle``."""
        return study_chronicle(self._database, study, before, limit, trials)

    def trial_events(
        self, study: int, trial: int, nodes: Iterable[int], ancestors: Iterable[int]
    ) -> list[Told]:
        """A trial's events, the creation of its ancestors, and the failures of its path since, in order."""
        return trial_events(self._database, study, trial, nodes, ancestors)

    def probe_events(self, study: int, probes: Iterable[int]) -> list[Told]:
        """The creation of probes, by their numbers, and the ends of their requests, in order."""
        return probe_events(self._database, study, probes)

    def trained_in(self, nodes: Iterable[int]) -> list[Training]:
        """What leases have trained of nodes."""
        return trained_in(self._database, nodes)

    def study_arrivals(self, study: int) -> list[dict[str, Any]]:
        """In which order the ends of a study's requests came, and what was decided on together."""
        return study_arrivals(self._database, study)

    def stretches(self, nodes: Iterable[int]) -> list[dict[str, Any]]:
        """What leases have trained of nodes, and how long it took."""
        return stretches(self._database, nodes)

    def node_leases(self, study: int, nodes: Iterable[int]) -> list[dict[str, Any]]:
        """Which slots were to train something of nodes, and when, counted from a study's submission."""
        return node_leases(self._database, study, nodes)

    def trial_creations(self, study: int) -> list[tuple[int, float]]:
        """When each trial of a study was made, in seconds since its submission."""
        return trial_creations(self._database, study)

    def study_times(self) -> dict[int, StudyTimes]:
        """When things happened to each study."""
        return times.study_times(self._database)

    def study_changes(self) -> dict[int, list[StudyChange]]:
        """How each study was extended and edited, in order."""
        return times.study_changes(self._database)

    def worker_times(self) -> dict[str, datetime]:
        """When each worker last registered."""
        return times.worker_times(self._database)

    def create_token(
        self,
        name: str,
        role: str,
        project: str,
        secret_hash: str,
        *,
        expires_at: datetime | None = None,
        uses: int | None = None,
        replace: bool = False,
    ) -> Token:
        """Makes a token.

        Args:
            name: Who or what holds it.
            role: viewer, editor, admin, worker or join.
            project: Where it is valid; made where it does not exist.
            secret_hash: Digest of the secret.
            expires_at: From when on it is refused; None: never.
            uses: Of a join token, how many workers may join with it.
            replace: Take the place of an earlier token of that name.

        Raises:
            Conflict: There is another token of that name that is valid, or of that secret.
            InvalidStudy: There is no such role.
        """
        return self._change(
            lambda cursor: tokens.create_token(
                cursor,
                name=name,
                role=role,
                project=project,
                secret_hash=secret_hash,
                expires_at=expires_at,
                uses=uses,
                replace=replace,
            )
        )

    def join_pool(self, join_hash: str, name: str, secret_hash: str) -> Token:
        """Makes a worker's token, in place of an earlier one of its name, for one who has a join token.

        Args:
            join_hash: Digest of the join token's secret.
            name: The new token's.
            secret_hash: Digest of its secret.

        Raises:
            NotAllowed: The join token has been used as often as it may be.
        """
        return self._change(
            lambda cursor: tokens.join_pool(cursor, join_hash=join_hash, name=name, secret_hash=secret_hash)
        )

    def find_tokens(self) -> list[Token]:
        """All tokens, oldest first, also those that are no longer valid."""
        with self._database.transaction() as cursor:
            return tokens.find_tokens(cursor)

    def find_tokens_leading(self) -> list[Token]:
        """As ``find_tokens``, in the leader's session, for the one thread that writes in it."""

        def find() -> list[Token]:
            with self._leadership.transaction() as cursor:
                return tokens.find_tokens(cursor)

        return self._database.retried(find)

    def begin_session(self, session: Session) -> None:
        """Keeps that a browser is logged in; it is forgotten with its token."""
        self._change(lambda cursor: sessions.begin_session(cursor, session))

    def end_session(self, secret_hash: str) -> None:
        """Forgets that a browser was logged in."""
        self._change(lambda cursor: sessions.end_session(cursor, secret_hash))

    def find_sessions(self) -> list[Session]:
        """The browsers that are logged in."""
        return sessions.find_sessions(self._database)

    def add_calls(self, calls: Sequence[Call]) -> None:
        """Adds calls to the audit log."""
        audit.add_calls(self._database, calls)

    def find_calls(
        self, *, project: str | None, actor: str | None, denied: bool, before: int | None, limit: int
    ) -> list[Audited]:
        """Calls of the audit log, newest first; see ``hippo_server.store.audit.find_calls``."""
        return audit.find_calls(
            self._database, project=project, actor=actor, denied=denied, before=before, limit=limit
        )

    def find_bills(self, project: str | None, since: datetime | None) -> list[Bill]:
        """What studies were billed, deleted ones too, in the order in which they came.

        Args:
            project: Whose; None: of all.
            since: From the hour of which on; None: from the beginning.
        """
        return find_bills(self._database, project, since)

    def revoke_token(self, name: str) -> None:
        """Revokes a token; it stays listed.

        Raises:
            NotFound: There is no token of that name.
        """
        self._change(lambda cursor: tokens.revoke_token(cursor, name))

    def _change(self, work: Callable[[Cursor], T]) -> T:
        """A change that no engine decides, by a server that leads or has not led yet."""

        def guarded(cursor: Cursor) -> T:
            result = work(cursor)
            self._leadership.guard(cursor)
            return result

        return self._database.change(guarded)


def _only(cursor: Cursor) -> Any:
    """The one value of a statement's one row."""
    row = cursor.fetchone()
    assert row is not None
    return row[0]
