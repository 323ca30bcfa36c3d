"""The engine in real time: who leads begins a term, and a new one whenever one is over.

A term is what lives between two rebuilds (``term.py``): an engine, the writer of its events, and what was answered.
Where a commit fails, or nobody knows how it ended, or the engine contradicts itself, the term is over: all who wait
hear ``Unavailable``, and a new term begins with an engine rebuilt from the database's rows. Taking a new term is also
what settles a commit that is still under way somewhere: either it comes before the take-over, and the rows show it, or
its check of the term fails.

Where another server leads, this one stands by: it has no term, refuses every call with that server's address, and tries
to begin a term again and again. A leader that finds itself replaced is in no other state than one whose commit failed:
its term is over, its engine gone, and the next term begins when it may. So it need not end to become a standby.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from functools import partial

from hippo_core.engine.commands import CreateProject, Tick
from hippo_core.engine.decision import EngineSettings
from hippo_core.engine.engine import Engine
from hippo_core.errors import Conflict, HippoError, InvariantViolated, Standby, Unavailable
from hippo_server import garbage
from hippo_server.answers import Answers
from hippo_server.auth.looking_again import LookingAgain
from hippo_server.auth.sessions import Sessions
from hippo_server.auth.tokens import TokenBook
from hippo_server.changes import Changes
from hippo_server.commits import GroupCommit
from hippo_server.creating import create_what_is_known
from hippo_server.databases import Database
from hippo_server.duties import Duties
from hippo_server.health import Health
from hippo_server.metrics import Metrics
from hippo_server.news import News
from hippo_server.packing import pack_metrics
from hippo_server.policies.consulting import consult_policies
from hippo_server.proposals.making import make_what_is_wanted
from hippo_server.proposals.processes import Proposers
from hippo_server.removal import remove_files
from hippo_server.settings import PROJECT
from hippo_server.store import Session, StandbyServer, Store
from hippo_server.sweeping import keep_swept
from hippo_server.term import Term
from hippo_server.times import Times, TimesBook
from hippo_storage.storage import Storage
from hippo_wire.retries import pauses
from hippo_wire.versions import own_version

log = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 2.0
DATABASE_POLL_SECONDS = 1.0
STANDBY_POLL_SECONDS = 0.25


class Driver:
    """Runs an engine on a store. To be made and used in one event loop.

    Args:
        make_store: Makes the durable state, given the database's address.
        storage: The address of the storage, in which each database has a folder of its own.
        database: Where the store's database comes from.
        settings: The engine's times.
        holder: This server, for others that want to lead.
        lease_seconds: How long a leader that is not heard of is waited for.
        metrics: Counts what happens.
        proposers: Makes the points of samplers that learn.

    Attributes:
        duties: What is done beside answering.
        health: How the database and the storage stand.
        on_lead: Called in a thread for each term that this server leads.
    """

    def __init__(
        self,
        *,
        make_store: Callable[[str], Store],
        storage: str,
        database: Database,
        settings: EngineSettings,
        holder: str,
        lease_seconds: float,
        metrics: Metrics,
        proposers: Proposers,
    ) -> None:
        self.storage_address = storage
        self.settings = settings
        self.metrics = metrics
        self.proposers = proposers
        self.changes = Changes()  #: anything
        self.orders = Changes()  #: what workers ought to know
        self.readiness = Changes()  #: whether calls can be answered
        self.tokens = TokenBook(())
        self.sessions = Sessions()
        self._tokens_again = LookingAgain(self._read_tokens_standing_by)
        self._standing_by = asyncio.Lock()  #: while the database is told whether this server stands by
        self._said_to_stand_by = False
        self.not_ready = "the server is starting"
        self.duties = Duties()
        self.looking = (
            asyncio.Lock()
        )  #: held by whoever looks at much of the engine's state, a part at a time
        self.closing = False
        self.standby: Standby | None = None  #: says who leads, while another server does
        self.on_lead: Callable[[], None] = lambda: None
        self._address = ""
        self._make_store = make_store
        self._store: Store | None = None
        self._storage: Storage | None = None
        self._database = database
        self._holder = holder
        self._lease_seconds = lease_seconds
        self._silence_seconds = lease_seconds * 2.0 / 3.0
        self.health = Health(self._silence_seconds, metrics)
        self._term: Term | None = None
        self._ending: Term | None = None
        self._times = TimesBook()
        self._lost = asyncio.Event()

    async def open(self) -> None:
        """Brings the database up to date, and opens the storage.

        Raises:
            Conflict: The database is not for this version.
            InvalidStudy: The storage's address makes no sense.
            StorageError: The storage cannot be opened.
            Unavailable: The database cannot answer.
        """
        self.not_ready = "the server is starting: the database is not there yet"
        self._store = self._make_store(await asyncio.to_thread(self._database.start))
        self._store.on_undone(self.metrics.undone)
        self._store.on_error(self.metrics.database_error)
        self.not_ready = "the server is starting: it brings the database up to date and reads it"
        await asyncio.to_thread(self._store.migrate)
        self.health.migrated = True
        self.health.note_database()
        # Numbers begin at 1 in every database: what another one left in the storage is not to be met.
        identity = await asyncio.to_thread(self._store.identity)
        self.storage_address = f"{self.storage_address.removesuffix('/')}/{identity}"
        self._storage = await asyncio.to_thread(Storage.open, self.storage_address)
        self.health.note_storage()

    async def start(self, address: str) -> None:
        """Takes the lead and rebuilds the engine, or stands by where another server leads.

        Args:
            address: Where callers find this server, to be told by those that stand by.

        Raises:
            Unavailable: The database cannot answer.
        """
        self._address = address
        self.duties.keep_up(self.health.notice_silence())
        self.duties.keep_up(self._watch_database())
        try:
            await self._begin()
        except Standby as error:
            self._stand_by(error)
        duties = (
            self._renew(),
            self._keep_leading(),
            keep_swept(self.current, self.storage, self.store, self.metrics),
        )
        for duty in duties:
            self.duties.keep_up(duty)

    @property
    def store(self) -> Store:
        """The durable state, once the driver has started."""
        if self._store is None:
            raise Unavailable(f"{self.not_ready}.", "Try again in a moment.")
        return self._store

    @property
    def storage(self) -> Storage:
        """Where checkpoints and bundles lie, once the driver has started."""
        if self._storage is None:
            raise Unavailable(f"{self.not_ready}.", "Try again in a moment.")
        return self._storage

    def close_streams(self) -> None:
        """Takes no further call, and lets streams end."""
        self.closing = True
        self.not_ready = "the server is stopping"
        for changes in (self.changes, self.orders, self.readiness):
            changes.notify()

    async def stop(self) -> None:
        """Commits what was decided, lets the lead go, and ends."""
        self.close_streams()
        await self.duties.stop()
        term, self._term = self._term, None
        if term is not None:
            term.tick(last=True)
            await term.end()
            with contextlib.suppress(HippoError):  # the lead lapses by itself
                await asyncio.to_thread(self.store.resign, term.number)
        else:
            await self._stand_by_no_more()
        await self.proposers.stop()
        if self._store is not None:
            await asyncio.to_thread(self._store.close)

    def current(self) -> Term:
        """The term that lives.

        Raises:
            Standby: Another server leads.
            Unavailable: None does just now.
        """
        self.require_no_standby()
        if self._term is None or self.closing:
            raise Unavailable(f"{self.not_ready}.", "Try again in a moment.")
        self._term.require_lead()
        return self._term

    def require_no_standby(self) -> None:
        """Makes sure that no other server is known to lead.

        Raises:
            Standby: One is; the caller is to ask that one.
        """
        if self.standby is not None and not self.closing:
            raise Standby(self.standby.holder, self.standby.address)

    async def look_for_tokens(self) -> bool:
        """Reads the tokens and the sessions again where another server leads, which makes them; whether it does.

        Raises:
            Unavailable: The database cannot answer.
        """
        if self.standby is None or self.closing:
            return False
        await self._tokens_again.look()
        return True

    async def read_tokens(self) -> None:
        """Reads which tokens there are, in the leader's own session: it waits for no connection that others hold, and
        what the later of two readings found counts.

        Raises:
            Unavailable: The database cannot answer, or no term lives.
        """
        term = self.current()
        found = await term.commits.run(self.store.find_tokens_leading)
        if self._term is term:
            self.tokens = TokenBook(found)

    async def _read_tokens_standing_by(self) -> None:
        tokens = await asyncio.to_thread(self.store.find_tokens)
        sessions = await asyncio.to_thread(self.store.find_sessions)
        if self.standby is not None:  # else this server leads by now, and knows what is newer
            self.tokens = TokenBook(tokens)
            self.sessions.adopt(sessions)

    @property
    def ready(self) -> bool:
        """Whether calls can be answered."""
        return not self.reasons()

    def reasons(self) -> list[str]:
        """Why calls cannot be answered now; none: they can."""
        try:
            self.current()
        except Unavailable as error:
            return [error.message.rstrip(".")]
        return []

    async def times(self) -> Times:
        """When studies and workers came and ended."""
        return await self._times.look_up(self.store)

    async def _begin(self) -> None:
        """Takes a new term and rebuilds the engine from the rows.

        Raises:
            Standby: Another server leads.
            Unavailable: The database cannot answer.
        """
        began = time.monotonic()
        store = self.store
        try:
            number = await asyncio.to_thread(store.lead, self._holder, self._lease_seconds, self._address)
        except Standby:
            self.health.note_database()
            raise
        self.health.note_database()
        self.standby = None
        self.not_ready = "the server is reading its state"

        def restore() -> tuple[Engine, Answers, TokenBook, list[Session]]:
            self.on_lead()
            store.forget_results()  # before they are read: no engine asks for them
            garbage.look_again()  # what the last term left
            with garbage.left():
                with contextlib.closing(store.load()) as known:
                    engine = Engine.restore(known, self.settings, time.monotonic())
                garbage.spare()
            return engine, Answers(store.answers()), TokenBook(store.find_tokens()), store.find_sessions()

        restoring = asyncio.create_task(asyncio.to_thread(restore))
        try:
            # Reading may take longer than the lease.
            while not restoring.done():
                await asyncio.wait({restoring}, timeout=self._lease_seconds / 3.0)
                heard = time.monotonic()
                await asyncio.to_thread(store.renew, number)
                self.health.note_database()
        finally:
            await asyncio.wait({restoring})
        engine, answers, self.tokens, sessions = restoring.result()
        self.sessions.adopt(sessions)
        term = Term(
            number=number,
            engine=engine,
            commits=GroupCommit(store, number, self.metrics, self._committed),
            answers=answers,
            silence_seconds=self._silence_seconds,
            heard=heard,
            metrics=self.metrics,
            news=News(self.changes),
            orders=self.orders,
            give_up=self._give_up,
        )
        term.commits.failed.add_done_callback(lambda failed: self._give_up(term, failed.result()))
        self._times.forget()
        self._lost.clear()
        self._term = term
        self.readiness.notify()
        self.duties.keep_up(remove_files(term, self.storage, store))
        self.duties.keep_up(create_what_is_known(term))
        self.duties.keep_up(make_what_is_wanted(term, self.proposers))
        self.duties.keep_up(consult_policies(term))
        self.duties.keep_up(pack_metrics(term))
        self.duties.keep_up(self._settle_in(term))
        log.info("term_began", extra={"term": number, "seconds": round(time.monotonic() - began, 3)})
        # What was due while nobody led, and what the restored state asks for, is decided now.
        for command in (CreateProject(project=PROJECT), Tick()):
            _, record = term.decide(command, "server", type(command).__name__)
            term.put([record])

    async def _settle_in(self, term: Term) -> None:
        """Hears of tokens that were made or revoked while the state was read, and is taken for no standby any more."""
        try:
            await self.read_tokens()
        except HippoError as error:
            self._give_up(term, error)
        await self._stand_by_no_more()

    def _committed(self, position: int, began: float) -> None:
        term = self._term
        if term is None:
            return
        term.heard = max(term.heard, began)
        self.health.note_database()
        if 0 < term.retimed <= position:
            term.retimed = 0
            self._times.forget()

    def _give_up(self, term: Term, error: Exception) -> None:
        """Ends a term: what its engine says counts no more."""
        if term.over:
            return
        term.over = True
        log.warning("term_over", extra={"term": term.number, "error": str(error)})
        if self._term is term:
            self._term = None
            if not self.closing:
                self.not_ready = f"the server is rebuilding its state: {error}"
        self._ending = term
        self._lost.set()
        term.creations.set()
        term.proposals.set()
        term.consultations.set()
        for changes in (self.changes, self.orders, self.readiness):
            changes.notify()

    def _as_standby(self) -> StandbyServer:
        return StandbyServer(holder=self._holder, address=self._address, version=own_version())

    def _stand_by(self, error: Standby) -> None:
        """Another server leads; this one is to go on as soon as that one has gone."""
        self._lost.set()
        if self.standby is None or str(self.standby) != str(error):
            log.info("standing_by", extra={"leader": error.holder, "address": error.address})
            self.standby = error
            self.not_ready = error.message.rstrip(".")
            self.readiness.notify()

    async def _keep_leading(self) -> None:
        """Begins a new term whenever one is over, and whenever the server that leads has gone."""
        waits = pauses()
        while True:
            await self._lost.wait()
            if self.duties.over.done():
                return
            if self._ending is not None:
                self.metrics.rebuild()
                await self._ending.end()
                self._ending = None
            try:
                await asyncio.to_thread(self._database.ensure)
                await self._begin()
                waits = pauses()
            except Standby as error:
                self._stand_by(error)
                waits = pauses()
                await asyncio.sleep(STANDBY_POLL_SECONDS)
            except (Conflict, InvariantViolated) as error:
                log.exception("recovery_impossible")
                self.duties.give_up(error)
                return
            except HippoError as error:
                self.standby = None
                self.not_ready = f"the database cannot be used: {str(error).rstrip('.')}"
                self.health.note_database(str(error).rstrip("."))
                log.warning("recovery_failed", extra={"error": str(error)})
                await asyncio.sleep(min(next(waits), LONGEST_PAUSE_SECONDS))

    async def _renew(self) -> None:
        """Keeps the lead, or the place of one that stands by, and hears of tokens that were made or revoked."""
        while True:
            await asyncio.sleep(self._lease_seconds / 3.0)
            term = self._term
            if term is None:
                with contextlib.suppress(HippoError):
                    await self._keep_standing_by()
                continue
            asked = time.monotonic()
            try:
                await term.commits.run(partial(self.store.renew, term.number))
                term.heard = max(term.heard, asked)
                self.health.note_database()
                await self.read_tokens()
            except HippoError as error:
                self._give_up(term, error)

    async def _keep_standing_by(self) -> None:
        """As long as a leader that falls silent is waited for, this server is taken to stand by."""
        async with self._standing_by:
            if self.standby is None:
                return
            self._said_to_stand_by = True
            await asyncio.to_thread(self.store.stand_by, self._as_standby(), self._lease_seconds)
        await self._tokens_again.look()

    async def _stand_by_no_more(self) -> None:
        """Takes back that it stands by; what cannot be taken back lapses."""
        async with self._standing_by:
            if self._said_to_stand_by:
                with contextlib.suppress(HippoError):
                    await asyncio.to_thread(self.store.stand_by_no_more, self._holder)
                    self._said_to_stand_by = False

    async def _watch_database(self) -> None:
        """Notices the death of an embedded PostgreSQL before a call does."""
        while True:
            await asyncio.sleep(DATABASE_POLL_SECONDS)
            term = self._term
            if term is not None and not self._database.running():
                self._give_up(term, Unavailable("PostgreSQL has died; it is started again"))
