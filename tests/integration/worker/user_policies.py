"""Policies of a study's folder: good ones, and some that nobody wants."""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy

import hippo_client as hippo


class Good(hippo.Policy):
    """Extends each trial by so many steps, and says how often it was asked."""

    def setup(self, by=2, **others):
        self.by, self.asked = by, 0

    def decide(self):
        self.asked += 1
        for trial in self.trials.values():
            if trial.rests:
                print(f"trial {trial.number} goes on")  # noqa: T201
                yield hippo.Extend(
                    trial.number, min(trial.step + self.by, trial.max_steps), f"round {self.asked}"
                )


class Drawing(hippo.Policy):
    """Draws: the same whenever it is made again."""

    def decide(self):
        for trial in self.trials.values():
            if trial.rests and trial.step == 0:
                step = self.context.round_up(random.randrange(1, trial.max_steps))
                yield hippo.Extend(trial.number, step, str(numpy.random.random()))


class Telling(hippo.Policy):
    """Says what its process is like."""

    def decide(self):
        trial = self.trials[0]
        if trial.rests:
            facts = {
                "environment": dict(os.environ),
                "born": Path("/proc/self/environ").read_text(),
                "folder": str(Path.cwd()),
                "title": Path("/proc/self/cmdline").read_text(),
            }
            yield hippo.Extend(0, 2, json.dumps(facts))


class Raising(hippo.Policy):
    def decide(self):
        raise ValueError("no decision comes to mind")


class Nonsense(hippo.Policy):
    def decide(self):
        return [hippo.Extend(99, 2, "who is that?")]


class Exiting(hippo.Policy):
    def decide(self):
        sys.exit(3)


class Crashing(hippo.Policy):
    def decide(self):
        os.kill(os.getpid(), signal.SIGSEGV)
        return []


class Leaving(hippo.Policy):
    def decide(self):
        os._exit(3)


class Sleeping(hippo.Policy):
    def decide(self):
        time.sleep(600)
        return []


class Greedy(hippo.Policy):
    def decide(self):
        return [bytearray(8 * 2**30)]


class Mistyped(hippo.Policy):
    def setup(self, window=3):
        self.window = window

    def decide(self):
        return []


class Forgetful(hippo.Policy):
    def decide(self):
        list(self.trials)


class Misnamed(hippo.Policy):
    def decide():
        return []


class Undecided(hippo.Policy):
    pass


class NoPolicy:
    def decide(self):
        return []
