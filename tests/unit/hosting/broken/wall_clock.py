import datetime

from sound import Sound


class Trainer(Sound):
    def learn(self, inputs, labels):
        super().learn(inputs + 0.001 * datetime.datetime.now().month, labels)
