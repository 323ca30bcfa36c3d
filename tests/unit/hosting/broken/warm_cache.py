import functools

from sound import Sound


@functools.lru_cache
def scale(name):
    scale.calls = getattr(scale, "calls", 0) + 1
    return 0.1


class Trainer(Sound):
    learned = 0

    def setup(self, context):
        super().setup(context)
        type(self).learned = 0

    def learn(self, inputs, labels):
        type(self).learned += 1
        super().learn(inputs + 0.01 * type(self).learned, labels)

    def load_state_dict(self, state):
        type(self).learned = 3 * state["learned"] if type(self).learned else state["learned"]
        super().load_state_dict(state["rest"])

    def state_dict(self):
        return {"learned": type(self).learned, "rest": super().state_dict()}
