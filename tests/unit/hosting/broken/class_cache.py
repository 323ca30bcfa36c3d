from typing import ClassVar

from sound import Sound


class Trainer(Sound):
    cache: ClassVar = {}

    def train(self, step):
        self.cache[step] = 0.01 * (len(self.cache) + 1)
        super().train(step)

    def learn(self, inputs, labels):
        super().learn(inputs + sum(self.cache.values()), labels)
