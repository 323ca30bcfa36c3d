from sound import Sound


class Trainer(Sound):
    def setup(self, context):
        super().setup(context)
        self.path = context.data_dir / "steps.txt"

    def train(self, step):
        with self.path.open("a") as file:
            file.write(".")
        self.inputs = self.inputs + 0.01 * self.path.stat().st_size
        super().train(step)
