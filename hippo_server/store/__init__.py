"""The durable state: tables in PostgreSQL, written by one leader and read back as events."""

from hippo_server.store.journal import JournalEntry, Record, RequestAnswer
from hippo_server.store.sessions import Session
from hippo_server.store.standbys import StandbyServer
from hippo_server.store.store import Store
from hippo_server.store.times import StudyChange, StudyTimes
from hippo_server.store.tokens import Token

__all__ = [
    "JournalEntry",
    "Record",
    "RequestAnswer",
    "Session",
    "StandbyServer",
    "Store",
    "StudyChange",
    "StudyTimes",
    "Token",
]
