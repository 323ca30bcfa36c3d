# ruff: noqa: T201 - printing is what some of them are for
"""Trainers for the daemon's tests: the bundle that workers fetch is this one file, as ``trainer.py``."""

import ctypes
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from hippo_core.training import Trainer


class Tiny(Trainer):
    """A linear model. Options: ``gate``: a step that begins only when the file ``file`` lies in the data folder;
    ``told``: one that begins only when the daemon has said something to the path.
    """

    def setup(self, context):
        self.context = context
        self.model = torch.nn.Linear(4, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        print(f"setup in {os.getpid()}")

    def apply(self, hp):
        for group in self.optimizer.param_groups:
            group["lr"] = hp["lr"]

    def train(self, step):
        if step == self.context.options.get("gate"):
            self.wait_for(self.context.options.get("file", "gate"))
        if step == self.context.options.get("told"):
            self.wait_until_told()
        time.sleep(self.context.options.get("pause", 0.0))
        inputs = torch.randn(8, 4)
        loss = self.model(inputs).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        print(f"step {step}")

    def evaluate(self):
        with torch.no_grad():
            return {"loss": float(self.model.weight.square().sum()), "pid": float(os.getpid())}

    def wait_for(self, name):
        self.context.data_dir.joinpath(f"{name}-{os.getpid()}").touch()
        while not self.context.data_dir.joinpath(name).exists():
            time.sleep(0.01)

    def wait_until_told(self):
        """That it has arrived here is seen nowhere outside: in the loop that calls the trainer, a flag is up."""
        name = self.context.options.get("file", "told")
        self.context.data_dir.joinpath(f"{name}-{os.getpid()}").touch()
        loop = inspect.currentframe()
        while "flag" not in loop.f_locals:
            loop = loop.f_back
        while not loop.f_locals["flag"][0]:
            time.sleep(0.01)


class Dying(Tiny):
    """Ends its process in the way that ``options["how"]`` names, at step 2."""

    def train(self, step):
        if step == 2:
            match self.context.options["how"]:
                case "segv":
                    ctypes.string_at(0)
                case "abort":
                    os.abort()
                case "exit":
                    os._exit(3)
                case "close":
                    os.closerange(3, 1000)
                    time.sleep(600)
                case "raise":
                    raise RuntimeError("the trainer broke")
                case name:
                    os.kill(os.getpid(), signal.Signals[name])
                    time.sleep(600)
        super().train(step)


class DyingEarly(Tiny):
    """Ends its process in setup, or fails there."""

    def setup(self, context):
        print("no longer")
        if context.options["how"] == "abort":
            os.abort()
        raise RuntimeError("no data")


class Parent(Tiny):
    """Starts a process of its own in setup, which would outlive it."""

    def setup(self, context):
        super().setup(context)
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        self.child = subprocess.Popen(command, start_new_session=bool(context.options.get("detached")))
        context.data_dir.joinpath("child").write_text(str(self.child.pid))

    def state_dict(self):
        return {"model": self.model.state_dict()}

    def load_state_dict(self, state):
        self.model.load_state_dict(state["model"])


class Telling(Tiny):
    """Writes down what it was born into."""

    def setup(self, context):
        super().setup(context)
        facts = {
            "environment": dict(os.environ),
            "born": Path("/proc/self/environ").read_text().split("\0"),
            "arguments": sys.argv,
            "folder": str(Path.cwd()),
            "threads": torch.get_num_threads(),
            "title": Path("/proc/self/cmdline").read_text().rstrip("\0"),
        }
        context.data_dir.joinpath(context.options["facts"]).write_text(json.dumps(facts))


class Loud(Tiny):
    """Prints by all ways that there are, and much of it."""

    def train(self, step):
        super().train(step)
        print("to stderr", file=sys.stderr)
        os.write(1, b"by the descriptor\n")
        subprocess.run(["echo", "by a child"], check=True)
        for _ in range(self.context.options.get("lines", 0)):
            print("x" * 99)


class Roomy(Tiny):
    """Finds room only where no other process has one of these: with a fixed limit, two would not fit.

    Option ``room``: the name by which those know each other that share it.
    """

    def setup(self, context):
        super().setup(context)
        context.data_dir.joinpath(f"{context.options['room']}-{os.getpid()}").touch()

    def train(self, step):
        room = self.context.options["room"]
        there = [int(file.name.rpartition("-")[2]) for file in self.context.data_dir.glob(f"{room}-*")]
        if any(pid != os.getpid() and Path(f"/proc/{pid}").exists() for pid in there):
            raise MemoryError
        super().train(step)
