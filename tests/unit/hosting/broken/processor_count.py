import os

from sound import Sound


class Trainer(Sound):
    def learn(self, inputs, labels):
        super().learn(inputs + 0.01 * os.cpu_count(), labels)
