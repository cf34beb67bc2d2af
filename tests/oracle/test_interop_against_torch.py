"""Sharing memory with PyTorch, and Python's protocols of a tensor beside PyTorch's."""

from __future__ import annotations

import copy
import operator
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'chainrule[oracle]')")

import chainrule as cr  # noqa: E402  (after the check for torch)

pytestmark = pytest.mark.oracle

DTYPES = "bool uint8 int8 int16 int32 int64 float16 float32 float64 complex64 complex128".split()


@pytest.mark.parametrize("dtype", DTYPES)
def test_dlpack_both_ways_without_a_copy(dtype):
    theirs = torch.ones(2, 3, dtype=getattr(torch, dtype))
    mine = cr.from_dlpack(theirs)
    assert mine.dtype == getattr(cr, dtype) and mine.data_ptr() == theirs.data_ptr()
    theirs[0, 0] = 0
    assert mine[0, 0].item() == 0
    mine[0, 1] = 0
    assert theirs[0, 1].item() == 0
    back = torch.from_dlpack(mine)
    assert back.data_ptr() == theirs.data_ptr()
    strided = cr.from_dlpack(theirs.T)
    assert strided.shape == (3, 2) and torch.from_dlpack(strided.t()).shape == (2, 3)
    capsule = torch.utils.dlpack.to_dlpack(theirs)
    assert cr.utils.dlpack.from_dlpack(capsule).data_ptr() == theirs.data_ptr()
    assert torch.utils.dlpack.from_dlpack(cr.utils.dlpack.to_dlpack(mine)).data_ptr() == theirs.data_ptr()


def test_dlpack_refuses_what_pytorch_refuses():
    for x in (cr.ones(2, device="cpu", requires_grad=True), torch.ones(2, requires_grad=True)):
        with pytest.raises(BufferError, match=r"detach\(\)"):
            x.__dlpack__()
    with pytest.raises(BufferError, match="detach"):
        cr.from_dlpack(torch.ones(2, requires_grad=True))
    with pytest.raises(BufferError, match="detach"):
        torch.from_dlpack(cr.ones(2, device="cpu", requires_grad=True))
    half = torch.ones(2, dtype=torch.bfloat16)
    with pytest.raises((BufferError, RuntimeError, TypeError)):  # NumPy has no bfloat16 of DLPack
        cr.from_dlpack(half)


def test_tensors_of_pytorch_are_data():
    theirs = torch.arange(4.0)
    shared = cr.asarray(theirs, device="cpu")
    theirs[0] = 5.0
    assert shared.tolist() == [5.0, 1.0, 2.0, 3.0]
    copied = cr.tensor(theirs)
    theirs[1] = 6.0
    assert copied.tolist() == [5.0, 1.0, 2.0, 3.0]


def outcome(f):
    """The result of a call in comparable form, or the kind of error it raises."""
    try:
        result = f()
    except Exception as error:
        return type(error).__name__
    if hasattr(result, "tolist"):
        return ("tensor", tuple(result.shape), str(result.dtype).rpartition(".")[2], result.tolist())
    return (type(result).__name__, repr(result))


#: written for both libraries; `lib` is one of them
PROTOCOLS = {
    "index of int": lambda lib: operator.index(lib.tensor(3)),
    "index of one int": lambda lib: operator.index(lib.tensor([3])),
    "index of bool": lambda lib: operator.index(lib.tensor(True)),
    "index of float": lambda lib: operator.index(lib.tensor(1.5)),
    "index of several": lambda lib: operator.index(lib.tensor([1, 2])),
    "bool of nothing": lambda lib: bool(lib.tensor([])),
    "bool of several": lambda lib: bool(lib.tensor([1.0, 2.0])),
    "bool of one": lambda lib: bool(lib.tensor([[0.0]])),
    "float": lambda lib: float(lib.tensor([1.5])),
    "float of int": lambda lib: float(lib.tensor(2)),
    "int": lambda lib: int(lib.tensor(2.7)),
    "int of nan": lambda lib: int(lib.tensor(float("nan"))),
    "int of inf": lambda lib: int(lib.tensor(float("inf"))),
    "complex": lambda lib: complex(lib.tensor(1.5)),
    "complex of complex": lambda lib: complex(lib.tensor(1 + 2j)),
    "len": lambda lib: len(lib.ones(3, 2)),
    "len of 0-d": lambda lib: len(lib.tensor(1.0)),
    "iter": lambda lib: lib.stack(list(lib.ones(3, 2))),
    "iter of 0-d": lambda lib: list(lib.tensor(1.0)),
    "reversed": lambda lib: reversed(lib.tensor([1.0, 2.0])),
    "reversed matrix": lambda lib: reversed(lib.tensor([[1, 2], [3, 4]])),
    "reversed 0-d": lambda lib: reversed(lib.tensor(1.0)),
    "contains number": lambda lib: 2.0 in lib.tensor([1.0, 2.0]),
    "contains no number": lambda lib: 3 in lib.tensor([1.0, 2.0]),
    "contains tensor": lambda lib: lib.tensor([1.0, 5.0]) in lib.tensor([1.0, 2.0]),
    "contains text": lambda lib: "a" in lib.tensor([1.0, 2.0]),
    "contains None": lambda lib: None in lib.tensor([1.0, 2.0]),
    "format 0-d": lambda lib: f"{lib.tensor(1.5)}",
    "format int": lambda lib: f"{lib.tensor(3):d}",
    "format bool": lambda lib: f"{lib.tensor(True)}",
    "format with a spec": lambda lib: f"{lib.tensor(1.5):.3f}",
    "format vector": lambda lib: f"{lib.tensor([1.0, 2.0])}",
    "format vector with a spec": lambda lib: f"{lib.tensor([1.0, 2.0]):10}",
    "hash": lambda lib: (lambda x: {x: 1}[x] and x.clone() not in {x: 1})(lib.ones(2)),
    "copy": lambda lib: (lambda x: copy.copy(x).data_ptr() == x.data_ptr())(lib.ones(2)),
    "copy of leaf": lambda lib: copy.copy(lib.ones(2, requires_grad=True)).requires_grad,
    "copy of result": lambda lib: copy.copy(lib.ones(2, requires_grad=True) * 2).is_leaf,
    "deepcopy of result": lambda lib: copy.deepcopy(lib.ones(2, requires_grad=True) * 2),
    "deepcopy keeps requires_grad": lambda lib: copy.deepcopy(lib.ones(2, requires_grad=True)).requires_grad,
    "pickle of result": lambda lib: pickle.loads(pickle.dumps(lib.ones(2, requires_grad=True) * 2)).is_leaf,
    "pickle of 0-d": lambda lib: pickle.loads(pickle.dumps(lib.tensor(2.5))),
    "numpy of leaf": lambda lib: np.asarray(lib.ones(2, requires_grad=True)),
    "numpy by force": lambda lib: lib.ones(2, requires_grad=True).numpy(force=True),
    "as_tensor shares": lambda lib: (lambda a: np.shares_memory(lib.as_tensor(a).numpy(), a))(np.ones(2)),
    "asarray detaches": lambda lib: lib.asarray(lib.ones(2, requires_grad=True), requires_grad=False).requires_grad,
    "asarray list without copy": lambda lib: lib.asarray([1.0], copy=False),
    "asarray cast without copy": lambda lib: lib.asarray(np.arange(3), dtype=lib.float32, copy=False),
    "asarray bytes": lambda lib: lib.asarray(bytearray(b"ab"), dtype=lib.uint8),
    "shift": lambda lib: (lib.tensor([1, 2]) << 2) + (lib.tensor([8]) >> 1) + (1 << lib.tensor([2])),
}  # fmt: skip


@pytest.mark.parametrize("name", PROTOCOLS)
def test_protocol(name):
    with cr.device("cpu"):
        assert outcome(lambda: PROTOCOLS[name](cr)) == outcome(lambda: PROTOCOLS[name](torch))
