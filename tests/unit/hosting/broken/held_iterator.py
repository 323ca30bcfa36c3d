from sound import Sound
from torch.utils.data import DataLoader, TensorDataset


class Trainer(Sound):
    def setup(self, context):
        super().setup(context)
        self.batches = iter(DataLoader(TensorDataset(self.inputs, self.labels), batch_size=4, shuffle=True))

    def train(self, step):
        self.model.train()
        self.learn(*next(self.batches))
