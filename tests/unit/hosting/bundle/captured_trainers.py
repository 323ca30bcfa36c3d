"""Trainers that tell whether what they train lies where it lay, as a captured CUDA graph takes for granted."""

import torch
from torch import nn

import hippo_client as hippo

_first = []  # the addresses after the first step; not on the trainer, so that they are no state


class Addressed(hippo.Trainer):
    """With `backend` among its options its model is compiled; `moved` and `compiled` are counted since the first step.

    Its optimiser keeps all that it has in tensors, the rate too, as one does that a graph is to capture.
    """

    def setup(self, context):
        generator = torch.Generator().manual_seed(99)
        self.inputs = torch.randn(24, 10, generator=generator).to(context.device)
        self.labels = (self.inputs.sum(dim=1) > 0).long()
        self.net = nn.Sequential(
            nn.Linear(10, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2)
        ).to(context.device)
        self.net.register_buffer("average", torch.zeros(2, device=context.device), persistent=False)
        backend = context.options["backend"]
        self.forward = torch.compile(self.net, backend=backend) if backend else self.net
        rate = torch.tensor(0.1, device=context.device)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=rate, capturable=rate.is_cuda)
        self.frozen = torch.zeros(3, device=context.device)
        self.backend = backend
        _first.clear()

    def apply(self, hp):
        self.optimizer.param_groups[0]["lr"].fill_(hp["lr"])

    def train(self, step):
        self.net.train()
        self.optimizer.zero_grad(set_to_none=False)
        logits = self.forward(self.inputs)
        nn.functional.cross_entropy(logits, self.labels).backward()
        self.optimizer.step()
        self.net.average.mul_(0.9).add_(logits.detach().mean(dim=0))
        self.frozen += self.net.average[0]

    @torch.no_grad()
    def evaluate(self):
        self.net.eval()
        loss = nn.functional.cross_entropy(self.forward(self.inputs), self.labels)
        found = self.addresses()
        if not _first:
            _first.append((found, self.frames()))
        before, frames = _first[0]
        moved = sum(one != other for one, other in zip(found, before, strict=True))
        return {"loss": loss, "moved": moved, "compiled": self.frames() - frames}

    def addresses(self):
        tensors = [self.frozen, *self.net.parameters(), *self.net.buffers()]
        tensors += [parameter.grad for parameter in self.net.parameters()]
        tensors += [value for state in self.optimizer.state.values() for value in state.values()]
        tensors += [self.optimizer.param_groups[0]["lr"]]
        return [tensor.data_ptr() for tensor in tensors]

    def frames(self):
        if not self.backend:
            return 0
        from torch._dynamo.utils import counters

        return counters["frames"]["total"]
