import os
import signal

from sound import Sound


class Trainer(Sound):
    def train(self, step):
        os.kill(os.getpid(), signal.SIGSEGV)
