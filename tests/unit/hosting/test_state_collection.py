"""The default state: what is found on a trainer, saved and put back in place; what cannot be is named."""

from __future__ import annotations

import functools
import io
import random
import types
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from hippo_core.program import Program
from hippo_core.training import Trainer
from hippo_storage.errors import StateError
from hippo_storage.state import capture, read, write
from hippo_worker.hosting.collection import NotRestorable
from hippo_worker.hosting.context import HostContext


class Thing(types.SimpleNamespace):
    """An object of a class of the user's."""


class Held(Trainer):
    """Its attributes are what a test puts there."""

    def setup(self, context: Any) -> None: ...

    def apply(self, hp: Any) -> None: ...

    def train(self, step: int) -> None: ...

    def evaluate(self) -> dict[str, float]:
        return {}


def held(**attributes: Any) -> Held:
    """A trainer that `setup` has left with these attributes."""
    trainer = Held()
    trainer.context = HostContext(
        program=Program(trainer="t:T", code_digest=""),
        values={"lr": 0.1},
        device="cpu",
        data_dir=Path(),
        is_users=lambda cls: cls is Thing,
    )
    vars(trainer).update(attributes)
    trainer.context.remember_setup(trainer)
    return trainer


def through_files(state: Any, folder: Path) -> Any:
    write(capture(state), folder)
    return read(folder)


VALUES: dict[str, tuple[Any, Any]] = {
    "int": (1, 10**30),
    "float": (0.5, float("inf")),
    "bool": (True, False),
    "text": ("a", "b"),
    "none": (None, 3),
    "bytes": (b"a", b"b"),
    "tuple": ((1, 2), (1, (2, "x"))),
    "list": ([1, 2], [3, [4]]),
    "dict": ({"a": 1}, {"b": {1: 2}}),
    "set": ({1, 2}, {3}),
    "deque": (deque([1], maxlen=3), deque([1, 2, 3], maxlen=3)),
    "ordered": (OrderedDict(a=1), OrderedDict(b=2, a=1)),
    "counter": (Counter("ab"), Counter("bb")),
    "default": (defaultdict(list, {1: [1]}), defaultdict(list, {1: [1, 2]})),
    "numpy_scalar": (np.float32(1), np.float32(2)),
    "tensor": (torch.zeros(3), torch.arange(3.0)),
    "other_shape": (torch.zeros(3), torch.ones(5)),
    "other_type": (torch.zeros(3), torch.ones(3, dtype=torch.bfloat16)),
    "scalar_tensor": (torch.tensor(1.0), torch.tensor(2.0)),
    "array": (np.zeros(3), np.arange(3.0)),
    "nested": ([{"a": torch.zeros(2)}], [{"a": torch.ones(2)}, torch.ones(1)]),
    "replaced": (1, "one"),
}


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)


def fresh(kind: str, index: int) -> Any:
    import copy

    return copy.deepcopy(VALUES[kind][index])


@pytest.mark.parametrize("kind", VALUES)
def test_values_come_back_in_a_new_trainer_and_in_one_that_went_on(kind: str, tmp_path: Path) -> None:
    """1. A value changes and is saved. 2. A new trainer gets it. 3. So does one that has the first value again."""
    trainer = held(value=fresh(kind, 0))
    trainer.value = fresh(kind, 1)
    state = through_files(trainer.state_dict(), tmp_path)
    new = held(value=fresh(kind, 0))
    new.load_state_dict(state)
    assert equal(new.value, VALUES[kind][1])
    trainer.value = fresh(kind, 0)
    trainer.load_state_dict(through_files(state, tmp_path / "again"))
    assert equal(trainer.value, VALUES[kind][1])


def test_containers_and_tensors_are_restored_in_place() -> None:
    shared, tensor, array = [1], torch.zeros(2), np.zeros(2)
    trainer = held(shared=shared, tensor=tensor, array=array, same={"list": shared}, view=tensor[:1])
    state = {"format": 1}
    shared.append(2)
    tensor += 1
    array += 1
    state = trainer.state_dict()
    shared.clear()
    tensor.zero_()
    saved = {path: list(entry) for path, entry in state["values"].items()}
    saved["shared"][2] = [1, 2]
    saved["tensor"][2], saved["view"][2] = torch.ones(2), torch.ones(1)
    trainer.load_state_dict({**state, "values": saved})
    assert trainer.shared is shared
    assert trainer.tensor is tensor
    assert trainer.array is array
    assert torch.equal(trainer.view, torch.ones(1))


def test_tensors_and_arrays_that_have_not_changed_are_not_saved() -> None:
    data, array = torch.arange(1000.0), np.arange(1000.0)
    trainer = held(data=data, array=array, names=[f"image {number}.png" for number in range(1000)], count=3)
    assert trainer.state_dict()["values"].keys() == {"count"}
    # Written to behind the tensor's back: its version has not changed, its bytes have.
    data.numpy()[7] = -1
    trainer.names[3] = "other"
    assert trainer.state_dict()["values"].keys() == {"data", "names", "count"}


def test_a_change_that_the_state_does_not_know_needs_a_new_trainer() -> None:
    trainer = held(data=torch.zeros(4))
    state = trainer.state_dict()
    trainer.data[0] = 1
    with pytest.raises(NotRestorable):
        trainer.load_state_dict(state)


def test_attributes_that_came_later_go_and_those_that_went_come_back() -> None:
    trainer = held(early=1)
    state = trainer.state_dict()
    trainer.late = [1, 2]
    later = trainer.state_dict()
    trainer.load_state_dict(state)
    assert not hasattr(trainer, "late")
    trainer.load_state_dict(later)
    assert trainer.late == [1, 2]
    new = held(early=1)
    del new.early
    new.load_state_dict(held(early=1).state_dict())
    assert new.early == 1


GENERATORS = {
    "torch": (lambda: torch.Generator().manual_seed(1), lambda g: torch.rand(5, generator=g).tolist()),
    "numpy": (lambda: np.random.default_rng(1), lambda g: g.standard_normal(5).tolist()),
    "philox": (lambda: np.random.Generator(np.random.Philox(1)), lambda g: g.random(5).tolist()),
    "legacy": (lambda: np.random.RandomState(1), lambda g: g.standard_normal(5).tolist()),
    "python": (lambda: random.Random(1), lambda g: [g.gauss(0, 1) for _ in range(5)]),
}


@pytest.mark.parametrize("kind", GENERATORS)
def test_generators_go_on_where_they_were(kind: str, tmp_path: Path) -> None:
    make, draw = GENERATORS[kind]
    trainer = held(generator=make(), nested={"list": [make(), object()]})
    draw(trainer.generator)
    state = through_files(trainer.state_dict(), tmp_path)
    expected = draw(trainer.generator), draw(trainer.nested["list"][0])
    new = held(generator=make(), nested={"list": [make(), object()]})
    new.load_state_dict(state)
    assert (draw(new.generator), draw(new.nested["list"][0])) == expected


def parts() -> dict[str, Any]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters())
    return {
        "model": model,
        "optimizers": [optimizer],
        "schedulers": {"decay": torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2])},
        "scaler": torch.amp.GradScaler("cpu", init_scale=8.0),
    }


def learn(trainer: Any) -> None:
    trainer.scaler.scale(trainer.model(torch.ones(5, 3)).sum()).backward()
    trainer.optimizers[0].step()
    trainer.schedulers["decay"].step()
    trainer.scaler.update(new_scale=4.0)


def test_objects_with_a_state_dict_are_found_in_lists_and_dicts(tmp_path: Path) -> None:
    trainer = held(**parts())
    learn(trainer)
    state = through_files(trainer.state_dict(), tmp_path)
    assert state["objects"].keys() == {"model", "optimizers[0]", "schedulers['decay']", "scaler"}
    new = held(**parts())
    new.load_state_dict(state)
    for one in (trainer, new):
        learn(one)
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(new.model.state_dict()[name], tensor)
    assert new.scaler.get_scale() == 4.0
    assert new.optimizers[0].param_groups[0]["lr"] == trainer.optimizers[0].param_groups[0]["lr"]


def test_gradients_frozen_parameters_and_buffers_that_torch_leaves_out_are_saved(tmp_path: Path) -> None:
    def model() -> nn.Module:
        made = nn.Linear(2, 2)
        made.register_buffer("hidden", torch.zeros(2), persistent=False)
        return made

    trainer = held(model=model())
    trainer.model(torch.ones(1, 2)).sum().backward()
    trainer.model.bias.requires_grad_(False)
    trainer.model.hidden += 3
    state = through_files(trainer.state_dict(), tmp_path)
    new = held(model=model())
    new.load_state_dict(state)
    assert torch.equal(new.model.weight.grad, trainer.model.weight.grad)
    assert not new.model.bias.requires_grad
    assert torch.equal(new.model.hidden, torch.full((2,), 3.0))
    new.load_state_dict(held(model=model()).state_dict())
    assert new.model.weight.grad is None
    assert new.model.bias.requires_grad


def test_an_optimizers_state_keeps_its_types(tmp_path: Path) -> None:
    """torch's own loading casts the moments to the parameters' type, which loses bits where they were wider."""

    def made() -> dict[str, Any]:
        weight = nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
        return {"weight": weight, "optimizer": torch.optim.SGD([weight], lr=0.1, momentum=0.9)}

    trainer = held(**made())
    trainer.optimizer.state[trainer.weight]["momentum_buffer"] = torch.tensor([1.00001, 2.00001])
    state = through_files(trainer.state_dict(), tmp_path)
    new = held(**made())
    new.load_state_dict(state)
    found = new.optimizer.state[new.weight]["momentum_buffer"]
    assert torch.equal(found, torch.tensor([1.00001, 2.00001]))


def test_an_optimizers_state_that_is_no_parameters_is_restored(tmp_path: Path) -> None:
    def made() -> dict[str, Any]:
        weight = nn.Parameter(torch.ones(2))
        return {"weight": weight, "optimizer": torch.optim.SGD([weight], lr=0.1)}

    trainer, new = held(**made()), held(**made())
    trainer.optimizer.state["round"] = 3
    new.optimizer.state["round"] = 1
    new.load_state_dict(through_files(trainer.state_dict(), tmp_path))
    assert new.optimizer.state["round"] == 3


def test_plain_values_of_modules_are_saved_where_they_change(tmp_path: Path) -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0
            self.noise = torch.Generator().manual_seed(1)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return inputs + torch.rand(1, generator=self.noise)

    trainer = held(model=nn.Sequential(Counting(), nn.Dropout(0.5)))
    trainer.model(torch.ones(2))
    state = through_files(trainer.state_dict(), tmp_path)
    assert state["values"].keys() == {"model.0.calls"}
    new = held(model=nn.Sequential(Counting(), nn.Dropout(0.5)))
    new.load_state_dict(state)
    assert new.model[0].calls == 1
    new.model.eval(), trainer.model.eval()
    assert torch.equal(new.model(torch.ones(2)), trainer.model(torch.ones(2)))


def test_objects_of_the_users_classes_are_walked_through(tmp_path: Path) -> None:
    def made() -> Thing:
        return Thing(items=[], inner=Thing(count=0), data=torch.zeros(100))

    trainer = held(buffer=made())
    trainer.buffer.items.append(torch.ones(2))
    trainer.buffer.inner.count = 5
    trainer.buffer.inner.late = "x"
    state = through_files(trainer.state_dict(), tmp_path)
    assert state["values"].keys() == {"buffer.items", "buffer.inner.count", "buffer.inner.late"}
    new = held(buffer=made())
    new.load_state_dict(state)
    assert torch.equal(new.buffer.items[0], torch.ones(2))
    assert (new.buffer.inner.count, new.buffer.inner.late) == (5, "x")


def test_a_data_loaders_generator_is_state_and_the_loader_is_not() -> None:
    generator = torch.Generator().manual_seed(1)
    loader = DataLoader(TensorDataset(torch.ones(4)), shuffle=True, generator=generator)
    assert held(loader=loader).state_dict()["generators"].keys() == {"loader.generator"}


def test_a_state_that_contains_an_alias_saves_it_once() -> None:
    model = nn.Linear(2, 2)
    trainer = held(model=model, also=model, generators=[torch.Generator()] * 2)
    state = trainer.state_dict()
    assert state["objects"].keys() == {"model"}
    assert state["generators"].keys() == {"generators[0]"}


def test_functions_classes_and_open_files_may_be_kept() -> None:
    trainer = held(
        loss=nn.functional.mse_loss, kind=nn.Linear, log=io.StringIO(), part=functools.partial(max, 1)
    )
    assert trainer.state_dict()["values"] == {}


UNSAVABLE = {
    "an iterator": (lambda t: setattr(t, "it", iter([1, 2])), "it: An iterator"),
    "a generator function's": (lambda t: setattr(t, "it", (x for x in ())), "it: An iterator (generator)"),
    "a data loader's iterator": (
        lambda t: setattr(t, "it", iter(DataLoader(TensorDataset(torch.ones(2))))),
        "it: An iterator",
    ),
    "a data loader's lasting processes": (
        lambda t: next(iter(t.loader)),
        "loader._iterator: An iterator (_MultiProcessingDataLoaderIter)",
    ),
    "an object": (lambda t: setattr(t, "thing", object()), "thing: A object was put here"),
    "an exchanged function": (
        lambda t: setattr(t, "loss", nn.functional.l1_loss),
        "loss: A function was put",
    ),
    "a late scheduler": (
        lambda t: setattr(t, "late", torch.optim.lr_scheduler.StepLR(t.optimizer, 1)),
        "late: A StepLR was made after setup()",
    ),
    "a late generator": (lambda t: setattr(t, "late", torch.Generator()), "late: A Generator was made after"),
    "a list of objects": (lambda t: t.things.append(object()), "things[1]: A object was put here"),
    "a changed sparse tensor": (lambda t: t.sparse.mul_(2), "sparse: A Tensor was put here, or changed"),
}


@pytest.mark.parametrize("case", UNSAVABLE)
def test_what_cannot_be_saved_is_named_with_a_remedy(case: str) -> None:
    weight = nn.Parameter(torch.ones(1))
    trainer = held(
        loss=nn.functional.mse_loss,
        optimizer=torch.optim.SGD([weight], lr=0.1),
        things=[object()],
        loader=DataLoader(TensorDataset(torch.ones(2)), num_workers=1, persistent_workers=True),
        sparse=torch.eye(2).to_sparse(),
    )
    change, words = UNSAVABLE[case]
    change(trainer)
    with pytest.raises(StateError) as caught:
        trainer.state_dict()
    assert words in caught.value.message
    assert caught.value.hint


def test_an_iterator_is_refused_right_after_setup() -> None:
    with pytest.raises(StateError, match="batches: An iterator"):
        held(batches=iter([1, 2]))


def test_a_class_without_plain_bytes_is_named_by_the_capture() -> None:
    trainer = held()
    trainer.value = np.array([object()], dtype=object)
    with pytest.raises(StateError, match="value"):
        capture(trainer.state_dict())


def test_what_setup_no_longer_makes_is_named() -> None:
    state = held(model=nn.Linear(2, 2)).state_dict()
    with pytest.raises(StateError, match="model: It is in the checkpoint"):
        held().load_state_dict(state)


def test_what_apply_makes_need_not_be_saved() -> None:
    """1. `apply` builds a loader. 2. It may be saved, also after training built another. 3. Other things may not."""

    class Applying(Held):
        def apply(self, hp: Any) -> None:
            self.loader = DataLoader(TensorDataset(torch.ones(4)), batch_size=hp["batch_size"])

    trainer = Applying()
    trainer.context = held().context
    trainer.context.remember_setup(trainer)
    trainer.context.apply(trainer, {"batch_size": 2})  # type: ignore[arg-type]
    assert trainer.state_dict()["values"] == {}
    trainer.loader = DataLoader(TensorDataset(torch.ones(4)), batch_size=3)
    assert trainer.state_dict()["values"] == {}
    trainer.log = object()
    with pytest.raises(StateError, match="log"):
        trainer.state_dict()


def test_apply_may_set_two_attributes_anew_in_another_order() -> None:
    """Each then has the value that the other had: position by position, nothing is new."""

    class Swapping(Held):
        def apply(self, hp: Any) -> None:
            first, second = self.first, self.second
            del self.first, self.second
            self.second, self.first = first, second

    trainer = Swapping()
    trainer.context = held().context
    trainer.first, trainer.second = object(), object()
    trainer.context.remember_setup(trainer)
    trainer.context.apply(trainer, {})  # type: ignore[arg-type]
    assert trainer.state_dict()["values"] == {}
