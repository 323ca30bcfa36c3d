from sound import Sound


class Trainer(Sound):
    def setup(self, context):
        super().setup(context)
        self.path = context.data_dir / "counter.txt"
        if not self.path.exists():
            self.path.write_text("1")

    def train(self, step):
        count = int(self.path.read_text()) + 1
        self.path.write_text(str(count))
        self.inputs = self.inputs + 0.01 * count
        super().train(step)
