from sound import Sound

setups = []


class Trainer(Sound):
    def setup(self, context):
        super().setup(context)
        setups.append(self.__class__.__name__)
        self.scale = 0.1 * len(setups)

    def learn(self, inputs, labels):
        super().learn(inputs + self.scale, labels)
