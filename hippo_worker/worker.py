"""Puts a worker together and runs it: folder, forkserver, caches, daemon, signals, log."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from hippo_core.errors import NotAllowed
from hippo_wire.observing import tracing
from hippo_wire.observing.logs import log_to_stderr
from hippo_wire.service_manager import ServiceManager
from hippo_worker.folder import held, sweep
from hippo_worker.settings import ComingServer, WorkerSettings
from hippo_worker.slots.spawner import Spawner
from hippo_worker.slots.variables import base_environment

if TYPE_CHECKING:
    from hippo_worker.daemon import Daemon
    from hippo_worker.status_page import StatusPage


async def work(settings: WorkerSettings) -> None:
    """Runs a worker until it has left.

    Raises:
        HippoError: It cannot begin, or could not end in peace.
    """
    log_to_stderr(settings.log_format, worker=settings.name)
    manager = ServiceManager.of(os.environ)
    settings.secrets.read()  # a file that cannot be used is told at once, not by the first study
    with held(settings.data_folder):
        spool = sweep(settings.data_folder)
        page: StatusPage | None = None
        end_tracing = tracing.begin("hippo-worker", os.environ, {"hippo.worker": settings.name})
        spawner = Spawner(base_environment(os.environ, settings.data_folder))
        try:
            # First of all, since it takes longest: torch is imported there. What the daemon is made of, gRPC
            # too, is imported beside it, and a server that is being started gets ready.
            spawner.launch()
            daemon = await _assemble(settings, spawner, spool, manager)
            page = await _show(settings, daemon)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, daemon.terminate)
            await _run(daemon, settings)
        finally:
            await asyncio.to_thread(end_tracing)
            spawner.close()
            if page is not None:
                page.close()
        if daemon.abandoned:
            # A thread may stand in a storage that does not answer, and would be waited for.
            logging.shutdown()
            os._exit(0)


async def _show(settings: WorkerSettings, daemon: Daemon) -> StatusPage | None:
    """Shows the worker's metrics, where that is asked for."""
    from hippo_worker.status_page import StatusPage

    if settings.page is None:
        return None
    page = StatusPage(settings.page, settings.data_folder, daemon.metrics, daemon.glance, daemon.not_ready)
    await page.start()
    return page


async def _run(daemon: Daemon, settings: WorkerSettings) -> None:
    """Runs the daemon; where the server does not take its token, the error says what to do about it."""
    from hippo_worker.joining import own_token_file

    try:
        await daemon.run()
    except NotAllowed as error:
        remedy = (
            f"Its own token, in {own_token_file(settings)}, was revoked, or another worker has joined under its name. "
            "Remove the file to join again."
            if settings.joins
            else "Give it a valid one of role worker: `hippo token create NAME --role worker`, and --token-file."
        )
        raise NotAllowed(error.message, remedy) from error


async def _assemble(
    settings: WorkerSettings, spawner: Spawner, spool: Path, manager: ServiceManager
) -> Daemon:
    from hippo_worker.bundles import BundleCache
    from hippo_worker.checkpoints import CheckpointCache
    from hippo_worker.daemon import Daemon
    from hippo_worker.environment import describe
    from hippo_worker.joining import join, own_token_file
    from hippo_worker.metrics import WorkerMetrics
    from hippo_worker.publishing import Publisher
    from hippo_worker.supplies import Supplies

    data_folder = settings.data_folder / "data"
    data_folder.mkdir(exist_ok=True)
    checkpoints = CheckpointCache(settings.data_folder / "checkpoints", settings.cache_bytes)
    metrics = WorkerMetrics()
    supplies = Supplies(
        spawner=spawner,
        bundles=BundleCache(settings.data_folder / "bundles"),
        checkpoints=checkpoints,
        publisher=Publisher(checkpoints, metrics=metrics),
        spool=spool,
        data_folder=data_folder,
        secrets=settings.secrets,
        gpu_memory_fraction=settings.memory_fraction,
        metrics=metrics,
    )
    offer = await describe(spawner, settings.slots, settings.slots_per_gpu)
    endpoint = settings.endpoint
    if isinstance(endpoint, ComingServer):
        endpoint = await endpoint.ready()
    if settings.joins:
        endpoint = await join(endpoint, settings.name, own_token_file(settings))
    return Daemon(settings, endpoint, socket.gethostname(), offer, supplies, manager)
