"""The store's promises: all or nothing, one leader, first answers kept, errors that say what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy
from sqlalchemy.engine import make_url

from hippo_core.engine import events as ev
from hippo_core.engine.commands import DeleteStudy, SubmitStudy
from hippo_core.engine.decision import EngineSettings
from hippo_core.engine.engine import Engine
from hippo_core.engine.known import Results
from hippo_core.engine.study_views import study_view
from hippo_core.engine.trial_views import trial_views
from hippo_core.errors import Conflict, InvalidStudy, InvariantViolated, NotFound, Stale, Standby, Unavailable
from hippo_server.store import Record, RequestAnswer, StandbyServer, Store
from hippo_server.store.sql import PAGE_ROWS
from tests.integration.store.stored_cluster import StoredCluster
from tests.integration.store.test_schema import execute
from tests.unit.engine.test_cluster import PIECES, spec, submit
from tests.waiting import until


def submission(name: str = "study", rates: int = 1) -> tuple[ev.Event, ...]:
    command = SubmitStudy(project="default", user="u", spec=spec(name, PIECES[:rates]))
    return Engine(EngineSettings()).handle(command, 0.0).events


def record(events: tuple[ev.Event, ...] = (), answer: RequestAnswer | None = None) -> Record:
    return Record(cause="SubmitStudy", events=events, answer=answer, actor="ada")


def answer_of(request_id: str) -> RequestAnswer:
    return RequestAnswer(request_id=request_id, method="SubmitStudy", digest="d", answer=b"\x00\\\xff\n")


@pytest.fixture
def second(database_url: str) -> Iterator[Store]:
    store = Store(database_url)
    yield store
    store.close()


# All or nothing


def test_events_journal_and_answer_commit_together(store: Store, database_url: str) -> None:
    term = store.lead("one", 5.0)
    events = submission()
    store.write([record(events, answer_of("r1"))], term, 1)
    entries = list(store.journal())
    assert tuple(entry.event for entry in entries) == events
    assert [entry.id for entry in entries] == list(range(1, len(events) + 1))
    assert {(each.cause, each.actor, each.term, each.batch) for each in entries} == {
        ("SubmitStudy", "ada", term, 1)
    }
    assert list(store.answers()) == [answer_of("r1")]
    assert execute(database_url, "SELECT batch FROM leader") == [(1,)]


def test_a_batch_that_fails_leaves_nothing(store: Store, database_url: str) -> None:
    term = store.lead("one", 5.0)
    impossible = ev.TrialCreated(study=99, trial=0, assignment={}, max_steps=1)
    with pytest.raises(InvariantViolated, match="fk_trials_study"):
        store.write([record(submission(), answer_of("r1")), record((impossible,))], term, 1)
    assert list(store.journal()) == []
    assert list(store.answers()) == []
    assert execute(database_url, "SELECT count(*) FROM studies") == [(0,)]
    assert execute(database_url, "SELECT batch FROM leader") == [(0,)]
    store.write([record(submission())], term, 1)
    assert execute(database_url, "SELECT batch FROM leader") == [(1,)]


def test_a_change_of_a_row_that_is_not_there_is_refused(store: Store) -> None:
    term = store.lead("one", 5.0)
    missing = ev.StudyRan(study=7, seconds=0.5)
    with pytest.raises(InvariantViolated, match="1 of 1 rows to change are not in studies"):
        store.write([record((missing,))], term, 1)


@pytest.mark.parametrize("size", [1, PAGE_ROWS + 1])
def test_a_batch_of_any_size_is_written_whole(store: Store, size: int) -> None:
    """In one statement, and in several."""
    term = store.lead("one", 5.0)
    events = list(submission(rates=6))
    plan, node = 1, next(event.node for event in events if isinstance(event, ev.NodeCreated))
    events += [
        ev.WorkerRegistered(worker="w", incarnation="i", host="h", slots=(), environment={}, labels={}),
        ev.LeaseGranted(
            fence=1,
            worker="w",
            incarnation="i",
            slot=0,
            plan=plan,
            study=1,
            user="ada",
            stages=((node, 0, size),),
            start=None,
            in_memory=False,
            save_points=(),
        ),
    ]
    measured = [
        ev.MetricsRecorded(fence=1, node=node, step=step, metrics={"a": -0.0, "b": None}, training={"c": 0.1})
        for step in range(1, size + 1)
    ]
    trained = [
        ev.StepsTrained(
            fence=1, node=node, start=step, stop=step + 1, train_seconds=0.25, evaluate_seconds=0.5
        )
        for step in range(size)
    ]
    store.write([record((*events, *measured, *trained))], term, 1)
    assert [each for each in store.load() if isinstance(each, ev.StepsTrained)] == [
        ev.StepsTrained(
            fence=1, node=node, start=0, stop=size, train_seconds=0.25 * size, evaluate_seconds=0.5 * size
        )
    ]
    (found,) = [each for each in store.load() if isinstance(each, Results)]
    assert [repr(found.metrics[step]) for step in found.metrics] == ["{'a': -0.0, 'b': None}"] * size
    assert found.training == {step: {"c": 0.1} for step in range(1, size + 1)}


# The leader


def test_each_take_over_has_a_higher_term(store: Store, second: Store) -> None:
    first_term = store.lead("one", 5.0)
    store.resign(first_term)
    assert second.lead("two", 5.0) == first_term + 1


def test_who_leads_already_takes_the_lead_again_at_once(store: Store) -> None:
    assert [store.lead("one", 60.0) for _ in range(3)] == [1, 2, 3]


def test_a_second_server_stands_by_while_the_first_renews(store: Store, second: Store) -> None:
    """However short the lease is: what counts is that the row changes between two looks."""
    term = store.lead("host-1:7", 1e-9, "host-1:7440")
    for _ in range(5):
        with pytest.raises(Standby) as refused:
            second.lead("two", 5.0)
        assert (refused.value.holder, refused.value.address) == ("host-1:7", "host-1:7440")
        store.renew(term)
    assert [each.term for each in [second.leader(), store.leader()] if each is not None] == [term, term]


def take(store: Store, holder: str, lease_seconds: float = 5.0) -> int:
    """Takes the lead as soon as it is free."""

    def tried() -> int | None:
        with contextlib.suppress(Standby):
            return store.lead(holder, lease_seconds)
        return None

    return until(tried, f"the lead of {holder}") or 0


def test_a_leader_that_does_not_renew_is_replaced_after_its_lease(store: Store, second: Store) -> None:
    """Its own lease counts, not that of who waits; what the clocks of the machines say does not."""
    term = store.lead("one", 0.2)
    with pytest.raises(Standby):
        second.lead("two", 3600.0)
    assert take(second, "two", 3600.0) == term + 1


def test_a_commit_renews_the_lead(store: Store, second: Store) -> None:
    term = store.lead("one", 1e-9)
    with pytest.raises(Standby):
        second.lead("two", 5.0)
    store.write([record(submission())], term, 1)
    with pytest.raises(Standby):
        second.lead("two", 5.0)
    assert second.lead("two", 5.0) == term + 1


def test_a_leader_whose_database_lost_what_was_committed_last_does_not_go_on(
    store: Store, database_url: str
) -> None:
    """The database has failed over, within the term, to a replica that was behind."""
    term = store.lead("one", 60.0)
    store.write([record(submission())], term, 1)
    store.renew(term)
    execute(database_url, "UPDATE leader SET beat = beat - 1")
    for go_on in (
        lambda: store.renew(term),
        lambda: store.write([record()], term, 2),
        lambda: store.lead("one", 60.0),
    ):
        with pytest.raises(Unavailable, match="the database lacks what was committed last"):
            go_on()


def test_a_leader_that_was_killed_is_replaced_at_once(store: Store, second: Store) -> None:
    """Its lease has an hour to go, but its session is gone."""
    term = store.lead("one", 3600.0)
    store.close()
    assert take(second, "two") == term + 1


def test_of_several_that_stand_by_one_takes_the_lead(store: Store, database_url: str) -> None:
    term = store.lead("old", 3600.0)
    waiting = [Store(database_url) for _ in range(4)]
    for each in waiting:
        with pytest.raises(Standby):
            each.lead("new", 3600.0)
    store.resign(term)
    with ThreadPoolExecutor(len(waiting)) as pool:
        taking = [pool.submit(each.lead, "new", 3600.0) for each in waiting]
        taken = [future.result() for future in taking if future.exception() is None]
        refused = [future.exception() for future in taking if future.exception() is not None]
    assert taken == [term + 1]
    assert [type(each) for each in refused] == [Standby] * 3
    for each in waiting:
        each.close()


def test_who_has_not_said_in_time_that_it_stands_by_does_not(store: Store, database_url: str) -> None:
    """One that was killed cannot say that it has ended, and is forgotten when the next one says something."""
    killed, lives = (StandbyServer(holder=name, address="a", version="1") for name in ("killed", "lives"))
    store.stand_by(killed, 0.0)
    assert store.standbys() == []
    store.stand_by(lives, 600.0)
    assert store.standbys() == [lives]
    assert execute(database_url, "SELECT holder FROM standbys") == [("lives",)]


def test_who_has_been_replaced_can_do_nothing(store: Store, second: Store) -> None:
    old = store.lead("one", 0.0)
    new = second.lead("two", 5.0)
    with pytest.raises(Stale, match=f"term {old} is over"):
        store.write([record(submission(), answer_of("r1"))], old, 1)
    with pytest.raises(Stale):
        store.renew(old)
    for change in (
        lambda: store.create_token("ada", "editor", "default", "aa"),
        lambda: store.forget_checkpoints([(1, 1, 1)]),
    ):
        with pytest.raises(Stale):
            change()
    assert second.find_tokens() == []
    store.resign(old)
    assert list(second.journal()) == []
    assert list(second.answers()) == []
    second.write([record(submission())], new, 1)
    second.renew(new)


def test_a_new_leader_goes_on_where_the_old_one_ended(store: Store, second: Store) -> None:
    cluster = StoredCluster(2, {"a": 1}, store)
    submit(cluster, spec(rates=PIECES[:2]))
    for _ in range(60):
        cluster.act()
    store.resign(cluster.term)
    cluster.store = second
    cluster.restart_server()
    cluster.run()
    cluster.expect_equal_from_rows()
    assert [each.id for each in second.journal()] == list(range(1, len(cluster.journal) + 1))


# Answers


def test_answers_are_kept_for_a_day(store: Store, database_url: str) -> None:
    term = store.lead("one", 5.0)
    store.write([record(answer=answer_of("old")), record(answer=answer_of("new"))], term, 1)
    execute(database_url, "UPDATE request_answers SET at = at - interval '25 hours' WHERE request_id = 'old'")
    assert [each.request_id for each in store.answers()] == ["new"]
    store.renew(term)
    assert execute(database_url, "SELECT request_id FROM request_answers") == [("new",)]


def test_a_request_has_one_first_answer(store: Store) -> None:
    term = store.lead("one", 5.0)
    store.write([record(answer=answer_of("r1"))], term, 1)
    with pytest.raises(InvariantViolated, match="pk_request_answers"):
        store.write([record(submission(), answer_of("r1"))], term, 2)
    assert list(store.journal()) == []


# Tokens


def test_tokens_are_kept_with_what_they_allow(store: Store) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    made = store.create_token("ada", "editor", "vision", "aa", expires_at=tomorrow)
    store.create_token("worker", "worker", "default", "bb")
    assert store.find_tokens()[0] == made
    assert [(each.name, each.role, each.project, each.secret_hash) for each in store.find_tokens()] == [
        ("ada", "editor", "vision", "aa"),
        ("worker", "worker", "default", "bb"),
    ]
    assert made.expires_at == tomorrow
    assert made.revoked_at is None


def test_a_revoked_token_stays_listed_as_such(store: Store) -> None:
    store.create_token("ada", "viewer", "default", "aa")
    store.revoke_token("ada")
    (revoked,) = store.find_tokens()
    assert revoked.revoked_at is not None
    store.revoke_token("ada")
    assert store.find_tokens() == [revoked]
    with pytest.raises(NotFound, match="no token 'bob'"):
        store.revoke_token("bob")


def test_names_and_secrets_of_tokens_are_unique(store: Store) -> None:
    store.create_token("ada", "viewer", "default", "aa")
    with pytest.raises(Conflict, match="a token named 'ada' exists"):
        store.create_token("ada", "admin", "default", "bb")
    store.create_token("ada", "admin", "default", "bb", replace=True)
    assert [(each.role, each.secret_hash) for each in store.find_tokens()] == [("admin", "bb")]


def test_a_role_that_does_not_exist_is_refused(store: Store) -> None:
    with pytest.raises(InvalidStudy, match=r"'root' is not a role.*viewer, editor, admin, worker"):
        store.create_token("ada", "root", "default", "aa")


# What people ask


def test_times_of_studies_and_workers(store: Store) -> None:
    cluster = StoredCluster(4, {"a": 1}, store)
    submit(cluster, spec(rates=PIECES[:1]))
    cluster.write()
    (before,) = store.study_times().values()
    assert before.ended_at is None
    assert abs(datetime.now(UTC) - before.created_at) < timedelta(minutes=1)
    cluster.run()
    cluster.write()
    (after,) = store.study_times().values()
    assert after.created_at == before.created_at
    assert after.ended_at is not None
    assert after.ended_at >= before.created_at
    assert list(store.worker_times()) == ["a"]


def test_checkpoints_whose_files_are_removed_are_forgotten(store: Store, database_url: str) -> None:
    cluster = StoredCluster(4, {"a": 1}, store)
    submit(cluster, spec(rates=PIECES[:2], checkpoint_every=1))
    cluster.run()
    cluster.tell(DeleteStudy(project="default", name="study"))
    cluster.write()
    wanted = cluster.engine.wanted()
    assert wanted, "what was trained for nobody else is dropped"
    kept = execute(database_url, "SELECT count(*) FROM checkpoints WHERE state = 'kept'")
    rebuilt = Engine.restore(store.load(), EngineSettings(), 0.0)
    assert set(rebuilt.wanted()) == set(wanted), "what is still to be removed is known after a restart"
    store.forget_checkpoints((each.node, each.step, each.fence) for each in wanted)
    assert execute(database_url, "SELECT count(*) FROM checkpoints") == kept
    assert Engine.restore(store.load(), EngineSettings(), 0.0).wanted() == ()
    store.forget_checkpoints([])


def test_results_go_with_the_last_study_of_their_program_and_no_others(
    store: Store, database_url: str
) -> None:
    """1. Two studies of one program, one of another. 2. While one of the two is there all stays. 3. With the second
    one theirs go, and only theirs; an equal study is trained anew."""
    cluster = StoredCluster(4, {"a": 1}, store)
    for name, seed in (("first", 0), ("second", 0), ("other", 7)):
        submit(cluster, spec(name, rates=PIECES[:2], seed=seed))
    cluster.run()
    study = cluster.engine.state.study_named("default", "first")
    assert study is not None
    count = f"SELECT count(*) FROM metrics JOIN nodes ON nodes.id = node WHERE plan {{}} {study.plan}"
    own, others = (execute(database_url, count.format(which)) for which in ("=", "<>"))
    cluster.tell(DeleteStudy(project="default", name="first"))
    cluster.write()
    store.forget_results()
    cluster.expect_equal_from_rows()
    assert [execute(database_url, count.format(which)) for which in ("=", "<>")] == [own, others]
    cluster.tell(DeleteStudy(project="default", name="second"))
    cluster.write()
    store.forget_results()
    gone, stay = (execute(database_url, count.format(which)) for which in ("=", "<>"))
    assert stay == others
    assert own != gone == [(0,)]
    cluster.engine = Engine.restore(store.load(), cluster.settings, cluster.now)
    assert not any(node.metrics for node in cluster.engine.state.nodes.values() if node.plan == study.plan)
    cluster.expect_equal_from_rows()


# Constraints: what must not be is refused by the database itself


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE requests SET state = 'open', closed = NULL", "uq_requests_open"),
        ("UPDATE studies SET state = 'asleep'", "ck_studies_state"),
        ("UPDATE studies SET steps_retrained = steps_trained + 1", "ck_studies_steps"),
        ("INSERT INTO metrics SELECT * FROM metrics LIMIT 1", "pk_metrics"),
        ("INSERT INTO leader SELECT 2, 1, 1, 1, 'x', 'y', now(), 1", "ck_leader_one_row"),
        ("UPDATE nodes SET trained = start - 1", "ck_nodes_trained"),
        ("DELETE FROM nodes", "fk_requests_node"),
    ],
)
def test_the_database_refuses(store: Store, database_url: str, statement: str, constraint: str) -> None:
    cluster = StoredCluster(4, {"a": 2}, store)
    submit(cluster, spec(rates=PIECES[:2]))
    cluster.run()
    submit(cluster, spec(rates=PIECES[:2], max_steps=11))
    cluster.write()
    with pytest.raises(sqlalchemy.exc.IntegrityError, match=constraint):
        execute(database_url, statement)


# Views


def test_views_of_a_fresh_database_are_empty(database_url: str) -> None:
    for view in ("study_overview", "trial_overview", "stage_overview", "worker_overview"):
        assert execute(database_url, f"SELECT * FROM {view}") == []


def test_the_views_tell_what_the_engine_tells(store: Store, database_url: str) -> None:
    cluster = StoredCluster(4, {"a": 2}, store)
    submit(cluster, spec(rates=PIECES[:2]))
    for _ in range(80):
        cluster.act()
    cluster.write()
    trials = trial_views(cluster.engine, "default", "study")
    rows = execute(database_url, "SELECT trial, step, max_steps FROM trial_overview")
    assert rows == [(trial.number, trial.step, trial.max_steps) for trial in trials]
    cluster.run()
    cluster.write()
    view = study_view(cluster.engine, "default", "study")
    ((state, completed, best, trained, merge_rate),) = execute(
        database_url, "SELECT state, completed, best, trained, merge_rate FROM study_overview"
    )
    best_metric = view.best_trials[0].metrics["accuracy"]
    assert (state, completed, trained) == ("completed", 12, view.savings.steps_trained)
    assert best_metric is not None
    assert float(str(best)) == round(best_metric, 5)
    assert view.savings.merge_rate is not None
    assert float(str(merge_rate)) == round(view.savings.merge_rate, 2)


def test_a_password_is_in_no_message(database_url: str) -> None:
    url = make_url(database_url).set(database="nowhere", password="hush")
    store = Store(url.render_as_string(hide_password=False))
    with pytest.raises(Unavailable, match=r'database "nowhere" does not exist') as failed:
        store.version()
    assert "hush" not in str(failed.value)
    store.close()
