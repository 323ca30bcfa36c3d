"""Plain data of a trainer's state as msgpack, exactly: types, bits of floats, integers of any size.

msgpack's own scalars stand for None, bool, int, float, str and bytes. Everything else is an array whose
first element is a tag, so that a list and a tuple, an int key and a str key, an OrderedDict and a dict
stay apart. Nothing is ever unpickled: decoding can build the types below, and no others.

Large arrays and tensors do not go here. They are handed to the encoder's `leaf`, which keeps them and
gives back what to write in their place; `Decoder.leaf` turns that into the array or tensor again.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from hippo_storage.errors import StateError

MAX_DEPTH = 100

_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_AS_THEY_ARE = frozenset({type(None), bool, float, str, bytes})
_FACTORIES: dict[str, Callable[[], Any]] = {
    kind.__name__: kind
    for kind in (
        list, dict, set, tuple, int, float, str, bytes, bool, complex, deque, Counter, OrderedDict
    )
}  # fmt: skip
_CONTAINERS = frozenset({list, tuple, set, frozenset, dict, OrderedDict, defaultdict, Counter, deque})
_SEQUENCES: dict[type, str] = {list: "list", tuple: "tuple"}
_SETS: dict[type, str] = {set: "set", frozenset: "frozenset"}
_UNSAVABLE = "Keep it out of the state, or save the plain values it is made of in state_dict()."


class Encoder:
    """Encodes plain data.

    Args:
        leaf: Called with (path, value) for every value that is no plain data here. Gives an array whose
            first element is a tag of its own, or None where it does not know the value either.
        key_of: The path of the mapping or set of which this encodes a key or an item; None: of none.
    """

    def __init__(self, leaf: Callable[[str, Any], list[Any] | None], key_of: str | None = None) -> None:
        self._leaf = leaf
        self._key_of = key_of
        self._open: list[int] = []

    def encode(self, value: Any, path: str = "") -> Any:
        """What msgpack is to write for `value`.

        Raises:
            StateError: It holds something that cannot be saved; names where.
        """
        kind = type(value)
        if kind in _AS_THEY_ARE:
            return value
        if kind is int:
            return value if _INT_MIN <= value <= _INT_MAX else ["int", hex(value)]
        if kind in _CONTAINERS:
            return self._container(value, path)
        # First of what is left, as most of it is a state's tensors, and training waits.
        found = self._leaf(path, value)
        if found is None:
            found = self._rare(value, path)
        return found

    def _rare(self, value: Any, path: str) -> list[Any]:
        """A single value of a kind that few states have."""
        if type(value) is complex:
            return ["complex", value.real, value.imag]
        if type(value) is bytearray:
            return ["bytearray", bytes(value)]
        if isinstance(value, np.generic):
            return self._numpy_scalar(value, path)
        if isinstance(value, Path):
            return ["path", str(value)]
        if self._key_of is not None:
            raise StateError(self._key_of, f"{_describe(value)} cannot be a key, or in a set.", _UNSAVABLE)
        raise StateError(path or "the state", f"{_describe(value)} cannot be saved.", _UNSAVABLE)

    def _container(self, value: Any, path: str) -> list[Any]:
        if id(value) in self._open:
            raise StateError(path, "it contains itself.", _UNSAVABLE)
        if len(self._open) >= MAX_DEPTH:
            raise StateError(path, f"it is nested more than {MAX_DEPTH} deep.", _UNSAVABLE)
        self._open.append(id(value))
        try:
            return self._tagged(value, path)
        finally:
            self._open.pop()

    def _tagged(self, value: Any, path: str) -> list[Any]:
        kind = type(value)
        if kind in _SEQUENCES:
            return [_SEQUENCES[kind], *self._items(value, path)]
        if kind in _SETS:
            # In the order of their bytes: the order of a set must not reach the file.
            items = [self._key(item, path) for item in value]
            return [_SETS[kind], *sorted(items, key=pack)]
        if kind is deque:
            return ["deque", value.maxlen, *self._items(value, path)]
        if kind is defaultdict:
            factory = getattr(value.default_factory, "__name__", None)
            known = None if factory is None else _FACTORIES.get(factory)
            if known is not value.default_factory:
                raise StateError(path, "the default factory of a defaultdict cannot be saved.", _UNSAVABLE)
            return ["defaultdict", factory, *self._pairs(value, path)]
        if kind is OrderedDict:
            # torch keeps the versions of a module's parts beside its state dict.
            about = getattr(value, "_metadata", None)
            return ["ordered", self.encode(about, f"{path}._metadata"), *self._pairs(value, path)]
        return ["counter" if kind is Counter else "dict", *self._pairs(value, path)]

    def _items(self, values: Iterable[Any], path: str) -> list[Any]:
        values = list(values)
        kinds = set(map(type, values))
        if kinds <= _AS_THEY_ARE:
            return values
        if kinds == {int} and min(values) >= _INT_MIN and max(values) <= _INT_MAX:
            return values  # an order of indices may be long, and training waits
        return [self.encode(item, f"{path}[{index}]") for index, item in enumerate(values)]

    def _pairs(self, mapping: dict[Any, Any], path: str) -> list[Any]:
        pairs: list[Any] = []
        for key, value in mapping.items():
            pairs.append(key if type(key) in _AS_THEY_ARE else self._key(key, path))
            # Most of a state's pairs are names of plain values, and training waits: no path is made for those.
            pairs.append(value if type(value) in _AS_THEY_ARE else self.encode(value, join(path, key)))
        return pairs

    def _key(self, key: Any, path: str) -> Any:
        if type(key) in _AS_THEY_ARE:
            return key
        return Encoder(_no_leaf, key_of=path).encode(key, path)

    def _numpy_scalar(self, value: np.generic, path: str) -> list[Any]:
        if type(value) is np.str_:
            return ["np.str", str(value)]
        if type(value) is np.bytes_:
            return ["np.bytes", bytes(value)]
        return ["np.scalar", dtype_to_plain(value.dtype, path), value.tobytes()]


class Decoder:
    """Decodes what `Encoder` wrote.

    Args:
        leaf: Called with the array that the encoder's `leaf` gave; raises ValueError for an unknown tag.
    """

    def __init__(self, leaf: Callable[[list[Any]], Any]) -> None:
        self._leaf = leaf

    def decode(self, value: Any) -> Any:
        """The value that was encoded.

        Raises:
            ValueError, KeyError, IndexError, TypeError: It is not what an encoder writes.
        """
        if type(value) is not list:
            if type(value) is not int and type(value) not in _AS_THEY_ARE:
                raise ValueError(f"a {type(value).__name__} in the data")
            return value
        tag, *rest = value
        if tag in ("list", "tuple", "set", "frozenset"):
            items = (self.decode(item) for item in rest)
            return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[tag](items)
        if tag == "dict":
            return dict(self._pairs(rest))
        if tag == "ordered":
            ordered = OrderedDict(self._pairs(rest[1:]))
            if (about := self.decode(rest[0])) is not None:
                ordered._metadata = about  # type: ignore[attr-defined]
            return ordered
        if tag == "defaultdict":
            factory = None if rest[0] is None else _FACTORIES[rest[0]]
            return defaultdict(factory, self._pairs(rest[1:]))
        if tag == "counter":
            return Counter(dict(self._pairs(rest)))
        if tag == "deque":
            return deque((self.decode(item) for item in rest[1:]), rest[0])
        return self._scalar(value)

    def _scalar(self, value: list[Any]) -> Any:
        match value:
            case ["int", str(text)]:
                return int(text, 16)
            case ["complex", float(real), float(imag)]:
                return complex(real, imag)
            case ["bytearray", bytes(data)]:
                return bytearray(data)
            case ["path", str(text)]:
                return Path(text)
            case ["np.str", str(text)]:
                return np.str_(text)
            case ["np.bytes", bytes(data)]:
                return np.bytes_(data)
            case ["np.scalar", plain, bytes(data)]:
                return np.frombuffer(data, dtype=dtype_from_plain(plain), count=1)[0]
        return self._leaf(value)

    def _pairs(self, flat: list[Any]) -> Iterable[tuple[Any, Any]]:
        if len(flat) % 2:
            raise ValueError("a key without a value")
        return ((self.decode(flat[i]), self.decode(flat[i + 1])) for i in range(0, len(flat), 2))


def pack(value: Any) -> bytes:
    """The msgpack of encoded data; equal data give equal bytes."""
    return bytes(msgpack.packb(value, use_bin_type=True, unicode_errors="surrogatepass"))


def unpack(data: bytes) -> Any:
    """The inverse of `pack`; raises ValueError where the bytes are not msgpack."""
    return msgpack.unpackb(
        data, raw=False, use_list=True, strict_map_key=False, unicode_errors="surrogatepass"
    )


def dtype_to_plain(dtype: np.dtype[Any], path: str) -> Any:
    """A NumPy type as plain data; raises StateError for one that is more than its bytes."""
    plain = None if dtype.hasobject else _plain(dtype)
    if plain is None or dtype_from_plain(plain) != dtype:
        raise StateError(path, f"NumPy data of type {dtype} cannot be saved.", _UNSAVABLE)
    return plain


def dtype_from_plain(plain: Any) -> np.dtype[Any]:
    """The inverse of `dtype_to_plain`."""
    match plain:
        case str(text):
            dtype: np.dtype[Any] = np.dtype(text)
        case ["sub", base, shape]:
            dtype = np.dtype((dtype_from_plain(base), tuple(shape)))
        case ["struct", int(itemsize), list(fields)]:
            names, titles, offsets, formats = ([field[index] for field in fields] for index in range(4))
            description: Any = {"names": names, "titles": titles, "offsets": offsets, "itemsize": itemsize}
            description["formats"] = [dtype_from_plain(each) for each in formats]
            dtype = np.dtype(description)
        case _:
            raise ValueError(f"no type of NumPy: {plain!r}")
    if dtype.hasobject:
        raise ValueError("a type with Python objects in it")
    return dtype


def _plain(dtype: np.dtype[Any]) -> Any:
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return ["sub", _plain(base), list(shape)]
    if dtype.fields is not None and dtype.names is not None:
        fields = []
        for name in dtype.names:
            inner, offset, *title = dtype.fields[name]
            fields.append([name, title[0] if title else None, offset, _plain(inner)])
        return ["struct", dtype.itemsize, fields]
    return dtype.str


def _no_leaf(path: str, value: Any) -> None:
    """No value is one where keys are encoded."""


def join(path: str, key: Any) -> str:
    """The path of what a mapping holds under `key`."""
    if isinstance(key, str) and key:
        return f"{path}.{key}" if path else key
    return f"{path}[{key!r}]"


def _describe(value: Any) -> str:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"a value of type {name}"
