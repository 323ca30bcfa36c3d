from sound import Sound


class Trainer(Sound):
    def learn(self, inputs, labels):
        names = {f"augmentation {number}" for number in range(12)}
        for number, name in enumerate(names):
            inputs = inputs * (1 + 0.001 * number * len(name))
            inputs = inputs + 0.001 * (hash(name) % 7)
        super().learn(inputs, labels)
