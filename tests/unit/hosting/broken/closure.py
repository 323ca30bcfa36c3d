from sound import Sound


def make_noise():
    calls = [0]

    def noise():
        calls[0] += 1
        return 0.01 * calls[0]

    return noise


class Trainer(Sound):
    def setup(self, context):
        super().setup(context)
        self.noise = make_noise()

    def learn(self, inputs, labels):
        super().learn(inputs + self.noise(), labels)
