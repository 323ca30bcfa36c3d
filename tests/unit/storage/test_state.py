"""States come back as they were, bit for bit."""

import random
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hippo_storage import state as states
from hippo_storage.errors import StateError
from hippo_storage.files import digest_of
from hippo_storage.manifest import FileEntry
from tests.unit.storage.likeness import assert_same, tensor_bytes
from tests.unit.storage.state_strategies import states as any_states
from tests.unit.storage.state_strategies import tensors

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")

COMPLEX = torch.view_as_complex(torch.arange(8.0).view(4, 2))

once_per_example = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def round_trip(state: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("state")
    captured = states.capture(state)
    written = states.write(captured, folder)
    assert written == {
        path.name: FileEntry(size_bytes=path.stat().st_size, digest=digest_of(path))
        for path in folder.iterdir()
    }
    return states.read(folder)


def contents(captured: states.Captured) -> dict[str, bytes]:
    """What would be written into which file."""
    return {name: b"".join(pieces) for name, pieces in captured.contents().items()}


@once_per_example
@given(state=any_states)
def test_every_state_comes_back_bit_for_bit(state: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert_same(state, round_trip(state, tmp_path_factory))


@once_per_example
@given(state=any_states)
def test_equal_states_have_equal_files(state: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    again = round_trip(state, tmp_path_factory)
    first, second = states.capture(state), states.capture(again)
    assert contents(first) == contents(second)


@once_per_example
@given(earlier=any_states, later=any_states)
def test_a_buffer_that_is_used_again_keeps_nothing_of_the_earlier_state(
    earlier: Any, later: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("state")
    states.write(states.capture(later, into=states.capture(earlier).memory), folder)
    assert_same(later, states.read(folder))


@once_per_example
@given(tensor=tensors())
def test_dense_tensors_keep_their_strides(
    tensor: torch.Tensor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copied = torch.empty_like(tensor, memory_format=torch.preserve_format)
    (found,) = round_trip([copied], tmp_path_factory)
    assert found.stride() == copied.stride()


def test_a_captured_state_does_not_follow_the_trainer() -> None:
    weights, table, nested = torch.ones(4), np.ones(3), {"seen": [1]}
    captured = states.capture({"weights": weights, "table": table, "nested": nested})
    before = contents(captured)
    weights.add_(1)
    table += 1
    nested["seen"].append(2)
    assert contents(captured) == before


def test_a_large_enough_buffer_is_used_again_and_a_small_one_is_replaced() -> None:
    first = states.capture(torch.zeros(100))
    assert states.capture(torch.zeros(50), into=first.memory).memory is first.memory
    assert states.capture(torch.zeros(101), into=first.memory).memory is not first.memory


def test_the_random_states_of_python_numpy_and_torch_continue_alike(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    chance, generator = random.Random(3), np.random.default_rng(4)
    legacy, device = np.random.RandomState(5), torch.Generator().manual_seed(6)
    for draw in (chance.random, generator.random, legacy.standard_normal):
        draw()
    saved = round_trip(
        {
            "python": chance.getstate(),
            "generator": generator.bit_generator.state,
            "legacy": legacy.get_state(),
            "torch": device.get_state(),
        },
        tmp_path_factory,
    )
    expected = chance.random(), generator.random(), legacy.standard_normal(), torch.rand(3, generator=device)

    chance, generator = random.Random(), np.random.default_rng()
    legacy, device = np.random.RandomState(), torch.Generator()
    chance.setstate(saved["python"])
    generator.bit_generator.state = saved["generator"]
    legacy.set_state(saved["legacy"])
    device.set_state(saved["torch"])
    found = chance.random(), generator.random(), legacy.standard_normal(), torch.rand(3, generator=device)
    assert_same(expected, found)


def test_modules_and_optimisers_train_on_alike(tmp_path_factory: pytest.TempPathFactory) -> None:
    def make() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(  # type: ignore[call-overload]
            torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(48, 2)
        ).to(memory_format=torch.channels_last)
        return model, torch.optim.AdamW(model.parameters(), lr=0.01, amsgrad=True)

    def train(model: torch.nn.Module, optimiser: torch.optim.Optimizer, seed: int) -> None:
        data = torch.randn(4, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
        optimiser.zero_grad()
        model(data).square().mean().backward()
        optimiser.step()

    model, optimiser = make()
    train(model, optimiser, 1)
    saved = round_trip({"model": model.state_dict(), "optimiser": optimiser.state_dict()}, tmp_path_factory)
    train(model, optimiser, 2)

    other, other_optimiser = make()
    other.load_state_dict(saved["model"])
    other_optimiser.load_state_dict(saved["optimiser"])
    train(other, other_optimiser, 2)
    assert saved["model"]._metadata == model.state_dict()._metadata  # type: ignore[attr-defined]
    assert_same(model.state_dict(), other.state_dict())
    assert_same(optimiser.state_dict(), other_optimiser.state_dict())


def test_one_tensor_at_two_places_is_saved_once_and_comes_back_as_one(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    weights = torch.randn(1000)
    state = {"encoder": weights, "decoder": weights, "tied": weights.detach()}
    assert states.capture(state).used_bytes == 4000
    found = round_trip(state, tmp_path_factory)
    assert found["encoder"] is found["decoder"]
    assert found["tied"] is not found["encoder"]
    found["tied"][0] = 7
    assert found["encoder"][0] == 7


def test_views_that_overlap_come_back_over_one_memory(tmp_path_factory: pytest.TempPathFactory) -> None:
    base = torch.arange(100.0)
    state = [base[10:40], base[30:60].view(5, 6), base[20:50:3], base[70:80]]
    captured = states.capture(state)
    assert captured.used_bytes == 60 * 4, "the gap between 60 and 70 and what lies outside is not saved"
    found = round_trip(state, tmp_path_factory)
    assert_same(state, found)
    found[0][25] = -1.0  # element 35 of the base
    assert found[1][0, 5] == -1.0
    assert found[2][5] == -1.0
    assert found[3][0] == 70.0


def test_a_small_view_of_a_large_allocation_is_small(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = torch.randn(1_000_000)
    assert states.capture({"batch": data[5:8]}).used_bytes == 12
    (found,) = round_trip([data[5:8]], tmp_path_factory)
    assert found.untyped_storage().nbytes() == 12


def test_names_in_the_tensor_file_are_paths(tmp_path: Path) -> None:
    state = {
        "model": OrderedDict(weight=torch.ones(2)),
        "optimiser": {"state": {0: {"step": torch.tensor(1.0)}}},
    }
    states.write(states.capture(state), tmp_path)
    with (tmp_path / states.TENSORS).open("rb", buffering=0) as file:
        from hippo_storage.safetensors_file import read_header

        entries, _ = read_header(file, (tmp_path / states.TENSORS).stat().st_size)
    assert sorted(entries) == ["model.weight", "optimiser.state[0].step"]


@pytest.mark.parametrize("dtype", ["U3", "S5", "V3", [("a", "<i4"), ("b", "<f8")]])
def test_elements_of_odd_width_leave_the_others_where_they_can_be_read(
    dtype: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    state = {
        "odd": np.zeros(3, dtype), "count": torch.tensor(7), "sum": torch.ones(3, dtype=torch.complex128),
        "weights": torch.ones(5), "half": torch.ones(3, dtype=torch.bfloat16),
    }  # fmt: skip
    assert_same(state, round_trip(state, tmp_path_factory))


def test_paths_that_read_alike_stay_apart(tmp_path_factory: pytest.TempPathFactory) -> None:
    state = {
        "a.b": torch.tensor(1),
        "a": {"b": torch.tensor(2)},
        "__metadata__": torch.tensor(3),
        "": torch.tensor(4),
    }
    assert_same(state, round_trip(state, tmp_path_factory))


@pytest.mark.parametrize(
    ("state", "path", "words"),
    [
        ({"optimizer": {"hook": print}}, "optimizer.hook", "builtin_function_or_method"),
        ({"a": [1, {2: lambda: 0}]}, "a[1][2]", "function"),
        ([object()], "[0]", "object"),
        ({"x": np.array([object()])}, "x", "type object"),
        ({"x": np.ma.masked_array([1])}, "x", "MaskedArray"),
        ({"x": torch.ones(2, 2).to_sparse()}, "x", "layout torch.sparse_coo"),
        ({"x": torch.empty(2, device="meta")}, "x", "without data"),
        ({"w": COMPLEX, "x": COMPLEX.conj()}, "x", "shares its memory"),
        ({"w": torch.view_as_real(COMPLEX), "x": COMPLEX.conj().imag}, "x", "shares its memory"),
        ({"x": {1, (2, np.float32(1)), torch.nn.Linear}}, "x", "in a set"),
        ({"x": {torch.ones(1): 1}}, "x", "cannot be a key"),
        ({"x": torch.nn.Linear(1, 1)}, "x", "torch.nn.modules.linear.Linear"),
    ],
)
def test_what_cannot_be_saved_is_refused_by_its_place(state: Any, path: str, words: str) -> None:
    with pytest.raises(StateError) as caught:
        states.capture(state)
    assert caught.value.path == path
    assert words in caught.value.message
    assert caught.value.hint


def test_a_state_that_contains_itself_is_refused() -> None:
    inner: list[Any] = []
    inner.append(inner)
    with pytest.raises(StateError, match=r"x\[0\]: it contains itself"):
        states.capture({"x": inner})


def test_a_list_that_stands_twice_is_no_circle(tmp_path_factory: pytest.TempPathFactory) -> None:
    shared = [1, 2]
    assert round_trip({"a": shared, "b": shared}, tmp_path_factory) == {"a": [1, 2], "b": [1, 2]}


def test_a_state_nested_too_deep_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(2000):
        deep = [deep]
    with pytest.raises(StateError, match="nested more than 100 deep"):
        states.capture(deep)


@pytest.mark.parametrize("kind", ["enum", "namedtuple", "subclass"])
def test_types_of_the_users_own_are_refused_rather_than_changed(kind: str) -> None:
    import enum
    from typing import NamedTuple

    class Colour(enum.IntEnum):
        RED = 1

    class Pair(NamedTuple):
        left: int

    class Table(dict[str, int]):
        pass

    value = {"enum": Colour.RED, "namedtuple": Pair(1), "subclass": Table()}[kind]
    with pytest.raises(StateError, match="cannot be saved"):
        states.capture({"x": value})


def test_a_state_needs_no_torch_where_it_has_no_tensor(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = (
        "import sys, numpy, pathlib; from hippo_storage import state\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "state.write(state.capture({'a': numpy.arange(3), 'b': (1, 2.5)}), folder)\n"
        "found = state.read(folder)\n"
        "assert found['a'].tolist() == [0, 1, 2] and found['b'] == (1, 2.5)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "state")], check=True)


@once_per_example
@given(data=st.data())
def test_damaged_files_are_a_state_error_or_another_state_and_nothing_else(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The storage finds damage by digests; reading must never crash, hang, execute or make what is no state."""
    folder = tmp_path_factory.mktemp("state")
    states.write(states.capture({"a": torch.ones(3), "b": [1, "x", 2.5, (True,)]}), folder)
    path = folder / data.draw(st.sampled_from([states.STRUCTURE, states.TENSORS]))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        found = states.read(folder)
    except StateError:
        return
    assert_same(found, round_trip(found, tmp_path_factory))


def test_keys_of_rare_kinds_come_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    state = {Path("a"): 1, 2 + 3j: 2, np.int64(4): 3, (np.float32(1.5), "x"): 4, 2**70: 5, b"b": 6}
    assert_same(round_trip(state, tmp_path_factory), state)


def test_full_disks_leave_nothing_of_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from hippo_storage import hashing
    from hippo_storage.errors import StorageFull

    written: list[int] = []

    def fill(file: Any, data: memoryview) -> None:
        if sum(written) + len(data) > 3 << 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(len(data))
        file.write(data)

    monkeypatch.setattr(hashing, "write_all", fill)
    with pytest.raises(StorageFull, match="No space left on device"):
        states.write(states.capture(torch.zeros(1 << 20)), tmp_path / "spool")
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_device_without_room_is_no_fault_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states.write(states.capture({"weights": torch.ones(3)}), tmp_path / "state")

    def full(*arguments: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(states, "new_memory", full)
    with pytest.raises(torch.OutOfMemoryError):
        states.read(tmp_path / "state")


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    from hippo_storage.state_data import pack

    (tmp_path / states.STRUCTURE).write_bytes(pack({"format": 2, "data": 1, "leaves": []}))
    with pytest.raises(StateError, match=r"newer than 1.*Upgrade"):
        states.read(tmp_path)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, True), (1, 1.0), (0.0, -0.0), (complex(0.0, 0.0), complex(0.0, -0.0)), ([1], (1,)), ([1], [1, 1]),
        ({1}, {2}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({"a": 1}, {"a": 2}), (deque([1], 2), deque([1], 3)),
        (np.float32(1), np.float64(1)), (np.zeros(2), np.zeros(2, ">f8")), (np.zeros(2), -np.zeros(2)),
        (torch.zeros(2), torch.zeros(2, 1)), (torch.zeros(2), -torch.zeros(2)), (torch.zeros(1), torch.zeros(1).half()),
        ({"a": [torch.zeros(1)]}, {"a": [torch.ones(1)]}),
    ],
)  # fmt: skip
def test_the_oracle_tells_apart(left: Any, right: Any) -> None:
    with pytest.raises(AssertionError):
        assert_same(left, right)


def test_tensor_bytes_of_the_oracle_tell_nan_payloads_apart() -> None:
    quiet = torch.tensor([0x7FC00000], dtype=torch.int32).view(torch.float32)
    other = torch.tensor([0x7FC00001], dtype=torch.int32).view(torch.float32)
    assert tensor_bytes(quiet) != tensor_bytes(other)


@pytest.mark.parametrize(
    "values", [[1, 2**63, -(2**63), 2**64 - 1], [1, 2**64], [-(2**63) - 1], [True, 1], [0, 1.0]]
)
def test_numbers_in_lists_keep_their_types_and_sizes(
    values: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert_same([values, tuple(values)], round_trip([values, tuple(values)], tmp_path_factory))


@pytest.mark.parametrize(
    "body",
    [
        1, [], {}, {"format": 1}, {"format": "x", "leaves": [], "data": 1}, {"format": 1, "leaves": [], "data": []},
        {"format": 1, "leaves": [], "data": ["leaf", 0]}, {"format": 1, "leaves": [], "data": ["nothing", 1]},
        {"format": 1, "leaves": [], "data": ["dict", 1]}, {"format": 1, "leaves": [], "data": ["dict", ["list"], 1]},
        {"format": 1, "leaves": [], "data": ["int", "0x"]}, {"format": 1, "leaves": [], "data": ["int", 5]},
        {"format": 1, "leaves": [], "data": ["defaultdict", "eval"]}, {"format": 1, "leaves": [], "data": [["list"]]},
        {"format": 1, "leaves": [], "data": ["deque", -1]}, {"format": 1, "leaves": [], "data": ["deque", 2**70 >> 7]},
        {"format": 1, "leaves": [], "data": ["np.scalar", "|O", b"12345678"]},
        {"format": 1, "leaves": [], "data": ["np.scalar", "<f8", b"1"]},
        {"format": 1, "leaves": [], "data": ["np.dtype", ["struct", 8, [["a", None, 0, "|O"]]]]},
        {"format": 1, "leaves": [], "data": ["torch.dtype", "load"]},
        {"format": 1, "leaves": [], "data": ["torch.device", "nowhere:x"]},
        {"format": 1, "leaves": [1], "data": 1}, {"format": 1, "leaves": [{"part": "absent"}], "data": 1},
    ],
)  # fmt: skip
def test_structures_that_no_encoder_wrote_are_refused(body: Any, tmp_path: Path) -> None:
    from hippo_storage.state_data import pack

    states.write(states.capture({"a": torch.ones(2)}), tmp_path)
    (tmp_path / states.STRUCTURE).write_bytes(pack(body))
    with pytest.raises(StateError, match="are not a state"):
        states.read(tmp_path)
