"""The nemesis: what goes wrong, when and where, all of it drawn from the seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.network import Weather

if TYPE_CHECKING:
    from tests.simulation.world import World


class Nemesis:
    """Breaks a world.

    Args:
        world: The world.
        chance: Decides.
    """

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self.told: list[str] = []
        self.faults: list[Callable[[], str]] = [
            self.kill_server,
            self.kill_server,
            self.freeze_server,
            self.freeze_server,
            self.stop_server,
            self.suspend_server,
            self.kill_worker,
            self.kill_worker,
            self.freeze_worker,
            self.freeze_worker,
            self.drain_worker,
            self.remove_worker,
            self.kill_runner,
            self.freeze_runner,
            self.cut_off_worker,
            self.cut_off_worker,
            self.break_streams,
            self.bad_network,
            self.bad_network,
            self.echo_leader,
            self.lose_database,
            self.break_commit,
            self.break_commit,
            self.break_commit,
            self.slow_database,
            self.break_storage,
            self.fill_storage,
            self.lie_in_storage,
            self.fill_disk,
            self.die_at_a_file,
            self.die_at_a_file,
            self.lose_power,
            self.spoil_checkpoint,
            self.spoil_cache,
            self.move_clock,
        ]

    def plan(self, end: float, count: int) -> None:
        """Sets so many faults, at any time before the end."""
        # A few kinds a run: what they do together shows when they come often enough to meet.
        kinds = self.chance.sample(self.faults, min(len(self.faults), self.chance.choice([2, 4, 8])))
        for _ in range(count):
            fault = self.chance.choice(kinds)
            self.world.network.later(self.chance.uniform(0.5, end), self._strike, fault)

    def _strike(self, fault: Callable[[], str]) -> None:
        if not self.world.calm:
            self.told.append(f"{self.world.loop.now:8.3f} {fault.__name__} {fault()}")

    def _for(self, seconds: float, undo: Callable[[], None]) -> None:
        self.world.repairs.append(undo)
        self.world.network.later(seconds, undo)

    def kill_server(self) -> str:
        server = self.chance.choice(self.world.servers)
        self.world.loop.kill(server.process)
        return server.process.name

    def freeze_server(self) -> str:
        server, seconds = self.chance.choice(self.world.servers), self.chance.choice([0.5, 2.0, 4.0, 9.0])
        self.world.freeze(server.process, seconds)
        return f"{server.process.name} {seconds}"

    def stop_server(self) -> str:
        server = self.chance.choice(self.world.servers)
        server.terminate()
        return server.process.name

    def suspend_server(self) -> str:
        server, seconds = self.chance.choice(self.world.servers), self.chance.choice([2.0, 4.0, 9.0])
        self.world.suspend(server.process, seconds)
        return f"{server.process.name} {seconds}"

    def kill_worker(self) -> str:
        worker = self.chance.choice(self.world.workers)
        self.world.loop.kill(worker.process)
        return worker.process.name

    def freeze_worker(self) -> str:
        worker, seconds = self.chance.choice(self.world.workers), self.chance.choice([1.0, 5.0, 8.0, 19.0])
        for process in (worker.process, *(runner.process for runner in worker.runners)):
            self.world.freeze(process, seconds)
        return f"{worker.process.name} {seconds}"

    def drain_worker(self) -> str:
        worker = self.chance.choice(self.world.workers)
        worker.terminate()
        if self.chance.random() < 0.2:
            worker.terminate()
        return worker.process.name

    def remove_worker(self) -> str:
        worker, seconds = self.chance.choice(self.world.workers), self.chance.uniform(1.0, 15.0)
        worker.wanted = False
        self.world.loop.kill(worker.process)

        def back() -> None:
            worker.wanted = True
            worker.start()

        self._for(seconds, back)
        return f"{worker.name} {seconds:.1f}"

    def kill_runner(self) -> str:
        runners = [runner for worker in self.world.workers for runner in worker.runners]
        if not runners:
            return "none"
        runner = self.chance.choice(runners)
        self.world.loop.kill(runner.process)
        return runner.process.name

    def freeze_runner(self) -> str:
        runners = [runner for worker in self.world.workers for runner in worker.runners]
        if not runners:
            return "none"
        runner, seconds = self.chance.choice(runners), self.chance.choice([0.5, 3.0, 10.0])
        self.world.freeze(runner.process, seconds)
        return f"{runner.process.name} {seconds}"

    def cut_off_worker(self) -> str:
        worker, seconds = self.chance.choice(self.world.workers), self.chance.choice([1.0, 7.0, 15.0, 25.0])
        network = self.world.network
        network.cut_until[worker.name] = network.loop.now + seconds
        if self.chance.random() < 0.5:
            self._break_streams_of(worker.name)
        return f"{worker.name} {seconds}"

    def break_streams(self) -> str:
        streams = list(self.world.network.streams)
        for stream in streams:
            stream.break_off()
        return str(len(streams))

    def _break_streams_of(self, name: str) -> None:
        for stream in list(self.world.network.streams):
            if stream.peer == name:
                stream.break_off()

    def bad_network(self) -> str:
        weather = Weather(
            slowest=self.chance.choice([0.01, 0.5, 2.0]),
            loses=self.chance.choice([0.0, 0.1, 0.4]),
            repeats=self.chance.choice([0.0, 0.3]),
        )
        self.world.network.weather = weather
        seconds = self.chance.uniform(1.0, 8.0)

        def clear() -> None:
            self.world.network.weather = Weather()

        self._for(seconds, clear)
        return f"{weather} {seconds:.1f}"

    def echo_leader(self) -> str:
        """A term ends, and what was said in it arrives once more after what is said in the next one."""
        self.world.network.echoes_until = self.world.loop.now + 15.0
        return self.break_commit()

    def lose_database(self) -> str:
        seconds = self.chance.choice([0.2, 2.0, 8.0])
        self.world.database.down = True

        def back() -> None:
            self.world.database.down = False

        self._for(seconds, back)
        return str(seconds)

    def break_commit(self) -> str:
        kind = self.chance.choice(["before", "after", "late", "slow"])
        self.world.trouble.commits.append(kind)
        return kind

    def slow_database(self) -> str:
        self.world.trouble.slowest = self.chance.choice([0.1, 1.0])
        seconds = self.chance.uniform(0.5, 5.0)

        def back() -> None:
            self.world.trouble.slowest = 0.004

        self._for(seconds, back)
        return f"{self.world.trouble.slowest} {seconds:.1f}"

    def break_storage(self) -> str:
        return self._storage_fails("broken", self.chance.uniform(0.5, 6.0))

    def fill_storage(self) -> str:
        return self._storage_fails("full", self.chance.uniform(0.5, 6.0))

    def lie_in_storage(self) -> str:
        return self._storage_fails("lying", self.chance.uniform(0.5, 6.0))

    def _storage_fails(self, how: str, seconds: float) -> str:
        self.world.disk.trouble = how

        def back() -> None:
            self.world.disk.trouble = ""

        self._for(seconds, back)
        return f"{how} {seconds:.1f}"

    def fill_disk(self) -> str:
        worker, seconds = self.chance.choice(self.world.workers), self.chance.uniform(0.5, 4.0)
        worker.disk_is_full = True

        def back() -> None:
            worker.disk_is_full = False

        self._for(seconds, back)
        return f"{worker.name} {seconds:.1f}"

    def die_at_a_file(self) -> str:
        hosts = [*self.world.workers, *self.world.workers, *self.world.servers]
        process = self.chance.choice(hosts).process
        process.dies_after = self.chance.randrange(1, 25)
        return f"{process.name} {process.dies_after}"

    def lose_power(self) -> str:
        self.world.lose_power()
        return ""

    def spoil_checkpoint(self) -> str:
        return self.world.spoil_checkpoint()

    def spoil_cache(self) -> str:
        return self.world.spoil_cache()

    def move_clock(self) -> str:
        hosts = [*self.world.workers, *self.world.servers]
        host, seconds = self.chance.choice(hosts), self.chance.choice([-3600.0, 3600.0])
        host.skew = host.process.skew = seconds
        return f"{host.name} {seconds:+.0f}"
