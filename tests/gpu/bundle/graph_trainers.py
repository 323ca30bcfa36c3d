"""Trainers that work as one does on a GPU: a captured step, a compiled network, mixed precision."""

import torch
from torch import nn

import hippo_client as hippo


class Plain(hippo.Trainer):
    """Trains a small network on all of its data at once."""

    def setup(self, context):
        generator = torch.Generator().manual_seed(99)
        self.inputs = torch.randn(256, 32, generator=generator).to(context.device)
        self.labels = (self.inputs.sum(dim=1) > 0).long()
        self.net = nn.Sequential(
            nn.Linear(32, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 2)
        ).to(context.device)
        rate = torch.tensor(0.1, device=context.device)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=rate, capturable=rate.is_cuda)

    def apply(self, hp):
        self.optimizer.param_groups[0]["lr"].fill_(hp["lr"])

    def train(self, step):
        self.one_step()

    def one_step(self):
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.net(self.inputs), self.labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    @torch.no_grad()
    def evaluate(self):
        self.net.eval()
        loss = nn.functional.cross_entropy(self.net(self.inputs), self.labels)
        self.net.train()
        return {"loss": loss}


class Captured(Plain):
    """The whole step is one CUDA graph, captured in `setup`, which leaves weights and moments as they were before."""

    def setup(self, context):
        super().setup(context)
        before = {name: tensor.clone() for name, tensor in self.net.state_dict().items()}
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.one_step()
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.loss = self.one_step()
        self.net.load_state_dict(before)
        for moments in self.optimizer.state.values():
            for tensor in moments.values():
                tensor.zero_()

    def train(self, step):
        self.graph.replay()
        return {"loss": self.loss}


class Compiled(Plain):
    """torch captures the graphs itself."""

    def setup(self, context):
        super().setup(context)
        self.compiled = torch.compile(self.net, mode="reduce-overhead")

    def one_step(self):
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.compiled(self.inputs), self.labels)
        loss.backward()
        self.optimizer.step()


class MixedPrecision(Plain):
    """Half precision, with a scale that grows every other step."""

    def setup(self, context):
        super().setup(context)
        self.scaler = torch.amp.GradScaler("cuda", init_scale=64.0, growth_interval=2)

    def one_step(self):
        self.optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = nn.functional.cross_entropy(self.net(self.inputs), self.labels)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def evaluate(self):
        return {**super().evaluate(), "scale": self.scaler.get_scale()}


class OwnGenerator(Plain):
    """Draws noise from a generator of the GPU that is its own."""

    def setup(self, context):
        super().setup(context)
        self.noise = torch.Generator(context.device).manual_seed(5)

    def train(self, step):
        noise = torch.randn(self.inputs.shape, generator=self.noise, device=self.inputs.device)
        self.optimizer.zero_grad()
        nn.functional.cross_entropy(self.net(self.inputs + noise), self.labels).backward()
        self.optimizer.step()
