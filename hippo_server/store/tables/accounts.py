"""Who may use how much, and what was billed: projects, their users, bills."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, DateTime, ForeignKey, Table, Text

from hippo_server.store.tables.columns import count, metadata

accounts = Table(
    "accounts",
    metadata,
    Column("project", Text, ForeignKey("projects.name"), primary_key=True, comment="the project"),
    Column("name", Text, primary_key=True, comment="the user; empty: the project itself"),
    Column("allowance", JSON, nullable=False, comment="its weight and its limits; null: there is none"),
    count("billed", "what it was billed, in microseconds of slots"),
    count("billed_gpus", "the same, times the GPUs of the slots"),
    count("passed", "how far its turns have moved on, in microseconds of a weight of 1"),
    comment="Projects and users: what they may use, and whose turn it is.",
)

bills = Table(
    "bills",
    metadata,
    Column("study", BigInteger, ForeignKey("studies.id"), primary_key=True, comment="the study"),
    Column("hour", DateTime(timezone=True), primary_key=True, comment="the hour that it was billed in"),
    count("slot_microseconds", "its part of what the steps took that were trained for it"),
    count("gpu_microseconds", "the same, times the GPUs of the slots"),
    comment="Who paid for training. Together just what was trained; kept when a study is deleted.",
)
