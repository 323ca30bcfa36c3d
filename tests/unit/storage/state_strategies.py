"""States of trainers, valid by construction: plain data, tensors and arrays, nested."""

import string
import struct
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

TORCH_DTYPES = [
    dtype
    for name in (
        "bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16", "bfloat16",
        "float32", "float64", "complex32", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2",
        "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu",
    )
    if isinstance(dtype := getattr(torch, name, None), torch.dtype)
]  # fmt: skip

floats = st.one_of(
    st.floats(),
    # Every pattern of bits, so also every NaN with whatever payload.
    st.binary(min_size=8, max_size=8).map(lambda data: float(struct.unpack("<d", data)[0])),
)
texts = st.text(st.characters(exclude_categories=()), max_size=8)  # lone surrogates too
numpy_scalars = st_numpy.scalar_dtypes().flatmap(
    lambda dtype: st_numpy.arrays(dtype, (1,)).map(lambda array: array[0])
)
keys = st.one_of(
    st.none(), st.booleans(), st.integers(), floats, texts, st.binary(max_size=8),
    st.tuples(st.integers(), texts), st.frozensets(st.integers(), max_size=3),
)  # fmt: skip
scalars = st.one_of(
    keys,
    st.integers(-(2**200), 2**200),
    st.complex_numbers(),
    st.binary(max_size=8).map(bytearray),
    numpy_scalars,
    st.sampled_from([Path("a/b"), np.dtype(">f8"), np.dtype([("a", "<i4"), ("b", "<f8", (2, 3))])]),
    st.sampled_from([torch.Size([2, 0]), torch.bfloat16, torch.device("cuda", 1), torch.device("cpu")]),
    st.sampled_from([np.str_(""), np.str_("é"), np.bytes_(b""), np.bytes_(b"a\0b")]),
)


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    dtype = draw(st.sampled_from(TORCH_DTYPES))
    shape = draw(st_numpy.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    count = int(np.prod(shape))
    data = bytearray(draw(st.binary(min_size=count * dtype.itemsize, max_size=count * dtype.itemsize)))
    if dtype is torch.bool:
        data = bytearray(byte % 2 for byte in data)
    flat = torch.frombuffer(data, dtype=torch.uint8).clone() if data else torch.empty(0, dtype=torch.uint8)
    tensor = flat.view(dtype).reshape(shape)
    return _reshaped(draw, tensor)


def _reshaped(draw: st.DrawFn, tensor: torch.Tensor) -> torch.Tensor:
    how = draw(st.sampled_from(["plain", "transposed", "strided", "expanded", "offset", "channels", "grad"]))
    if how == "transposed" and tensor.dim() >= 2:
        return tensor.transpose(0, -1)
    if how == "strided" and tensor.dim() >= 1:
        return tensor[::2]
    if how == "expanded":
        return tensor.unsqueeze(0).expand(3, *tensor.shape)
    if how == "offset" and tensor.dim() >= 1:
        return tensor[1:]
    if how == "channels" and tensor.dim() == 4:
        return tensor.to(memory_format=torch.channels_last)
    if how == "grad" and tensor.dtype in (torch.float32, torch.bfloat16, torch.complex64):
        return torch.nn.Parameter(tensor) if draw(st.booleans()) else tensor.requires_grad_()
    return tensor


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    dtype = draw(
        st.one_of(
            st_numpy.scalar_dtypes(),
            st_numpy.array_dtypes(),
            st_numpy.unicode_string_dtypes(max_len=4),
            st_numpy.byte_string_dtypes(max_len=4),
            st.sampled_from([np.dtype("<f2"), np.dtype("V3"), np.dtype("<c8")]),
        )
    )
    shape = draw(st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
    count = int(np.prod(shape)) * dtype.itemsize
    if dtype.kind == "V" and dtype.fields is None and not count:
        array = np.empty(shape, dtype)
    elif dtype.kind in "iufcmMV" and dtype.fields is None and count:
        array = np.frombuffer(draw(st.binary(min_size=count, max_size=count)), dtype).reshape(shape).copy()
    else:
        array = draw(st_numpy.arrays(dtype, shape))
    if array.dtype == np.longdouble or array.dtype == np.clongdouble:
        array = np.zeros(shape, array.dtype)  # its padding bytes are no value
    how = draw(st.sampled_from(["plain", "fortran", "strided", "readonly"]))
    if how == "fortran":
        return np.asfortranarray(array)
    if how == "strided" and array.ndim:
        return array[::2]
    if how == "readonly":
        array.flags.writeable = False
    return array


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    mappings = st.dictionaries(keys, inner, max_size=4)
    lists = st.lists(inner, max_size=4)
    return st.one_of(
        mappings,
        lists,
        lists.map(tuple),
        mappings.map(OrderedDict),
        mappings.map(lambda found: defaultdict(list, found)),
        mappings.map(lambda found: defaultdict(None, found)),
        st.dictionaries(keys, st.integers(), max_size=4).map(Counter),
        lists.map(lambda found: deque(found, maxlen=6)),
        st.sets(keys, max_size=4),
        st.frozensets(keys, max_size=4),
        st.dictionaries(st.text(string.ascii_lowercase + ".", max_size=3), inner, max_size=4),
    )


leaves = st.one_of(scalars, tensors(), arrays())
states = st.recursive(leaves, _containers, max_leaves=12)
