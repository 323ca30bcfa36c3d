from sound import Sound


class Trainer(Sound):
    def state_dict(self):
        self.inputs = self.inputs + 0.01
        return super().state_dict()
