"""The durable state: tables in PostgreSQL, written by one leader and read back as events."""

from hippo_server.store.store import Record, RequestAnswer, Store
from hippo_server.store.tokens import Token

__all__ = ["Record", "RequestAnswer", "Store", "Token"]
