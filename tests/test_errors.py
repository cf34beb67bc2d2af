"""Mistakes in shapes, dtypes, devices and arguments: which operation, which argument, what was expected, what came."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd.public import FUNCTIONS

ERRORS = (RuntimeError, ValueError, TypeError, IndexError)


def ones(*shape, dtype=None):
    return cr.ones(*shape, dtype=dtype)


def longs(*shape):
    return cr.zeros(*shape, dtype=cr.int64)


CALLS = {
    # shapes
    "add": (lambda: ones(2) + ones(3), ["add", r"\(2,?\)", r"\(3,?\)"]),
    "mul": (lambda: ones(2, 3) * ones(2, 4), ["mul", r"\(2, ?3\)", r"\(2, ?4\)"]),
    "where": (lambda: cr.where(ones(2) > 0, ones(3), ones(2)), ["where", r"\(3,?\)", r"\(2,?\)"]),
    "matmul inner": (lambda: ones(2, 3) @ ones(4, 5), ["matmul", r"\(2, 3\)", r"\(4, 5\)", "3 against 4"]),
    "matmul batch": (lambda: ones(2, 2, 3) @ ones(3, 3, 2), ["matmul", r"\(2, 2, 3\)", r"\(3, 3, 2\)"]),
    "matmul 0-d": (lambda: ones() @ ones(2), ["matmul", "at least 1 dimension", r"\(\)"]),
    "mm": (lambda: cr.mm(ones(2), ones(2, 2)), ["mm", "2-d", r"\(2,\)"]),
    "bmm": (lambda: cr.bmm(ones(2, 2), ones(2, 2)), ["bmm", "3-d", r"\(2, 2\)"]),
    "dot": (lambda: cr.dot(ones(2), ones(3)), ["matmul|dot", r"\(2,\)", r"\(3,\)"]),
    "einsum operands": (lambda: cr.einsum("ij,jk->ik", ones(2, 3)), ["einsum", "2 operands", "got 1"]),
    "einsum rank": (lambda: cr.einsum("ijk->i", ones(2, 3)), ["einsum", "'ijk'", r"\(2, 3\)"]),
    "einsum output": (lambda: cr.einsum("ij->ijz", ones(2, 3)), ["einsum", "'ijz'"]),
    "einsum sizes": (lambda: cr.einsum("ij,jk->ik", ones(2, 3), ones(4, 5)), ["einsum", r"\(2, 3\)", r"\(4, 5\)"]),
    "reshape": (lambda: ones(6).reshape(4, 2), ["reshape", r"\(4, 2\)", r"\(6,\)", "6 elements"]),
    "reshape two -1": (lambda: ones(6).reshape(-1, -1), ["reshape", "only one dimension can be -1"]),
    "reshape float": (lambda: ones(6).reshape(2.0, 3), ["reshape", "expected ints"]),
    "view": (lambda: ones(6).view(4), ["view", r"\(4,\)", r"\(6,\)"]),
    "expand": (lambda: ones(2, 3).expand(4, 3), ["expand", r"\(2, 3\)", r"\(4, 3\)"]),
    "expand fewer": (lambda: ones(2, 3).expand(3), ["expand", r"\(3,\)", r"\(2, 3\)"]),
    "permute": (lambda: ones(2, 3).permute(0, 0), ["permute", "each of the 2 dimensions once", r"\(0, 0\)"]),
    "transpose": (lambda: ones(2, 3).transpose(0, 2), ["transpose", r"\[-2, 1\]", "got 2"]),
    "t": (lambda: ones(2, 2, 2).t(), ["t: ", "at most 2 dimensions", r"\(2, 2, 2\)"]),
    "mT": (lambda: ones(2).mT, ["mT", "at least 2 dimensions", r"\(2,\)"]),
    "squeeze": (lambda: ones(2).squeeze(3), ["squeeze", r"\[-1, 0\]", "got 3"]),
    "unsqueeze": (lambda: ones(2).unsqueeze(5), ["unsqueeze", "got 5"]),
    "flatten": (lambda: ones(2, 3).flatten(1, 0), ["flatten", "start_dim 1", "end_dim 0"]),
    "unflatten": (lambda: ones(6).unflatten(0, (4, 2)), ["unflatten", r"\(4, 2\)"]),
    "flip": (lambda: ones(2).flip(1), ["flip", "dims", "got 1"]),
    "cat shapes": (lambda: cr.cat([ones(2, 3), ones(2, 4)]),
    ["cat", r"tensors\[1\]", r"\(2, 4\)", r"\(2, 3\)", "dimension 0"]),
    "cat dim": (lambda: cr.cat([ones(2)], 1), ["cat", "got 1"]),
    "cat empty": (lambda: cr.cat([]), ["cat", "at least one tensor"]),
    "stack shapes": (lambda: cr.stack([ones(2), ones(3)]), ["stack", r"tensors\[1\]", r"\(3,\)", r"\(2,\)"]),
    "stack empty": (lambda: cr.stack([]), ["stack", "at least one tensor"]),
    "split sizes": (lambda: ones(5).split([2, 2]), ["split", r"\(2, 2\)", "5"]),
    "split zero": (lambda: ones(5).split(0), ["split", "positive", "got 0"]),
    "chunk": (lambda: ones(5).chunk(0), ["chunk", "positive", "got 0"]),
    "unbind": (lambda: ones(2).unbind(1), ["unbind", "got 1"]),
    "gather rank": (lambda: ones(2, 2).gather(0, longs(2)), ["gather", "index", r"\(2,\)", r"\(2, 2\)"]),
    "gather size": (lambda: ones(2, 2).gather(0, longs(2, 3)), ["gather", r"\(2, 3\)", r"\(2, 2\)"]),
    "gather range": (lambda: ones(2).gather(0, longs(2) + 5), ["gather", "5", "out of bounds", "length 2"]),
    "scatter_add": (lambda: ones(2).scatter_add(0, longs(3), ones(2)), ["scatter_add", r"\(3,\)", r"\(2,\)"]),
    "index_select": (lambda: ones(2).index_select(0, longs(1) + 2), ["index", "2 is out of bounds"]),
    "masked_select": (lambda: ones(2).masked_select(ones(3) > 0), [r"\(2,?\)", r"\(3,?\)"]),
    "copy_": (lambda: ones(2).copy_(ones(3)), ["copy_|broadcast", r"\(3,?\)", r"\(2,?\)"]),
    # dims
    "sum dim": (lambda: ones(2, 3).sum(2), ["sum", "dim", r"\[-2, 1\]", "2-d", "got 2"]),
    "sum twice": (lambda: ones(2, 3).sum((0, 0)), ["sum", "twice", r"\(0, 0\)"]),
    "sum text": (lambda: ones(2, 3).sum("a"), ["sum", "dim must be an int", "str"]),
    "sum float": (lambda: ones(2, 3).sum(1.0), ["sum", "dim must be an int", "float"]),
    "mean dim": (lambda: ones(2).mean(-3), ["mean", "got -3"]),
    "max dim": (lambda: ones(2).max(1), ["max", "got 1"]),
    "max empty": (lambda: cr.zeros(0).max(), ["max", "zero elements"]),
    "amax empty": (lambda: cr.zeros(0, 2).amax(0), ["amax", "zero elements", r"\(0, 2\)"]),
    "argmax empty": (lambda: cr.zeros(0).argmax(), ["argmax"]),
    "softmax dim": (lambda: ones(2).softmax(1), ["softmax", "got 1"]),
    "softmax no dim": (lambda: ones(2).softmax(), ["softmax", "missing argument 'dim'"]),
    "cumsum no dim": (lambda: ones(2).cumsum(), ["cumsum", "missing argument 'dim'"]),
    "sort dim": (lambda: ones(2).sort(2), ["sort", "got 2"]),
    "topk": (lambda: ones(2).topk(3), ["topk", r"\[0, 2\]", "got 3"]),
    "norm p": (lambda: ones(2).norm("what"), ["norm", "vector norm must be a number", "'what'"]),
    # dtypes
    "mean int": (lambda: longs(2).mean(), ["mean", "floating-point", "chainrule.int64", "float"]),
    "var bool": (lambda: (ones(2) > 0).var(), ["var", "floating-point", "chainrule.bool"]),
    "softmax int": (lambda: longs(2).softmax(0), ["softmax", "floating-point", "chainrule.int64"]),
    "norm int": (lambda: longs(2).norm(), ["norm", "floating-point", "chainrule.int64"]),
    "matmul dtypes": (lambda: ones(2, 2) @ ones(2, 2, dtype=cr.float64),
    ["matmul", "chainrule.float32", "chainrule.float64"]),
    "where condition": (lambda: cr.where(ones(2), 1.0, 2.0), ["where", "condition", "bool", "chainrule.float32"]),
    "masked_fill": (lambda: ones(2).masked_fill(ones(2), 1.0), ["masked_fill", "mask", "bool", "float32"]),
    "masked_fill value": (lambda: ones(2).masked_fill(ones(2) > 0, ones(2)), ["masked_fill", "value", r"\(2,\)"]),
    "gather index": (lambda: ones(2).gather(0, ones(2)), ["gather", "index", "integer", "float32"]),
    "scatter_add dtype": (lambda: ones(2).scatter_add(0, longs(2), longs(2)),
    ["scatter_add", "src", "float32", "int64"]),
    "pow": (lambda: longs(2) ** -1, ["pow", "negative integer powers"]),
    "and": (lambda: ones(2) & ones(2), ["bitwise_and", "float32"]),
    "invert": (lambda: ~ones(2), ["bitwise_not", "float32"]),
    "alpha": (lambda: longs(2).add(longs(2), alpha=0.5), ["add", "alpha", "0.5"]),
    "rounding_mode": (lambda: ones(2).div(2, rounding_mode="up"), ["div", "rounding_mode", "'up'"]),
    "to": (lambda: ones(2).to("float13"), ["float13"]),
    "one_hot": (lambda: cr.one_hot(ones(2)), ["one_hot", "integer classes", "float32"]),
    "clamp": (lambda: ones(2).clamp(), ["clamp", "min and max"]),
    # numbers where tensors belong
    "matmul number": (lambda: ones(2, 2) @ 3, ["matmul", "'other'", "Tensor", "int 3"]),
    "cat numbers": (lambda: cr.cat([ones(2), 3.0]), ["cat", r"tensors\[1\]", "float"]),
    "stack arrays": (lambda: cr.stack([ones(2), np.ones(2)]), ["stack", r"tensors\[1\]", "array"]),
    "add list": (lambda: cr.add(ones(2), [1, 2]), ["add", "'(other|y)'", r"list \[1, 2\]"]),
    "sin number": (lambda: cr.sin([3.0]), ["sin", "Tensor", "list"]),
    "sum list": (lambda: cr.sum([1.0]), ["sum", "'input'", "list"]),
    "where number": (lambda: cr.where(True, ones(2), ones(2)), ["where", "condition", "bool"]),
    "add None": (lambda: ones(2).add(None), ["add", "'(other|y)'", "None"]),
    "mul text": (lambda: ones(2).mul("a"), ["mul", "'(other|y)'", "'a'"]),
}  # fmt: skip


@pytest.mark.parametrize(("call", "words"), CALLS.values(), ids=list(CALLS))
def test_a_mistake_is_named(call, words):
    with pytest.raises(ERRORS) as caught:
        call()
    text = str(caught.value)
    for word in words:
        assert re.search(word, text), f"{word!r} is not in: {text}"
    assert not isinstance(caught.value, AssertionError)
    assert "NoneType" not in text or "None" in words, text


DEVICES = {
    "add": lambda a, b: a + b,
    "matmul": lambda a, b: a @ b,
    "where": lambda a, b: cr.where(a > 0, a, b),
    "where condition": lambda a, b: cr.where(b > 0, a, a),
    "cat": lambda a, b: cr.cat([a, b]),
    "stack": lambda a, b: cr.stack([a, b]),
    "einsum": lambda a, b: cr.einsum("ij,ij->", a, b),
    "maximum": lambda a, b: cr.maximum(a, b),
    "lt": lambda a, b: a < b,
    "mul_": lambda a, b: a.mul_(b),
    "add 0-d": lambda a, b: a + b.sum(),
    "gather": lambda a, b: a.gather(0, b.long()),
    "pow": lambda a, b: a**b,
    "masked_fill": lambda a, b: a.masked_fill(b > 0, 1.0),
    "setitem": lambda a, b: a.__setitem__(0, b[0]),
    "clamp": lambda a, b: a.clamp(min=b),
}


@pytest.mark.parametrize("f", DEVICES.values(), ids=list(DEVICES))
def test_mixed_devices_are_named(f):
    x, y = cr.ones(2, 2, device="cpu"), cr.ones(2, 2, device="guard")
    for a, b in ((x, y), (y, x)):
        with pytest.raises(RuntimeError,
            match=r"expected all tensors on one device, got .*(cpu|guard).* and .*(cpu|guard).*\.to\(") as caught:
            f(a.clone(), b)
        assert "cpu" in str(caught.value)
        assert "guard" in str(caught.value)


def test_a_gradient_on_another_device_is_refused():
    x = cr.ones(2, device="cpu", requires_grad=True)
    with pytest.raises(RuntimeError, match="the tensor is on cpu, its gradient on guard"):
        (x * 2).backward(cr.ones(2, device="guard"))
    with pytest.raises(RuntimeError, match="the tensor is on cpu, the gradient on guard"):
        x.grad = cr.ones(2, device="guard")


def test_numpy_arrays_are_not_moved_to_a_device_silently():
    x = cr.ones(2, device="guard")
    with pytest.raises(TypeError,
        match="add: argument '(other|y|input|x)' is a NumPy array, the other operand is on guard"):
        x + np.ones(2, dtype=np.float32)
    assert (x * np.float32(2)).tolist() == [2.0, 2.0]


def test_cuda_where_there_is_none_says_why():
    if cr.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    for call in (lambda: cr.zeros(2, device="cuda"), lambda: cr.ones(2).cuda(), lambda: cr.ones(2).to("cuda:0")):
        with pytest.raises(RuntimeError, match=r"(?is)cuda.*(cupy|pip install)"):
            call()


def test_unknown_devices_are_refused():
    for name in ("gpu", "cpu:x", "tpu:0", ""):
        with pytest.raises((RuntimeError, TypeError)):
            cr.zeros(2, device=name)


# ---- every public function, called with nonsense --------------------------------------------------------------------

#: take no tensor first, or anything
NO_TENSOR = {
    "tensor", "as_tensor", "from_numpy", "zeros", "ones", "empty", "full", "arange", "linspace", "eye", "scalar_tensor",
    "rand", "randn",
    "randint", "randperm", "normal", "manual_seed", "seed", "initial_seed", "get_rng_state", "set_rng_state", "einsum",
    "asarray", "frombuffer", "broadcast_shapes", "can_cast", "promote_types", "result_type", "is_tensor", "typename",
    "tril_indices", "triu_indices", "logspace", "empty_strided", "empty_permuted", "hann_window", "hamming_window",
    "blackman_window", "bartlett_window", "kaiser_window", "from_file", "polygamma", "special.polygamma", "compile",
    "cond", "while_loop", "set_flush_denormal", "set_warn_always", "set_num_interop_threads",
    "use_deterministic_algorithms", "range",
    "BFloat16Tensor", "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "HalfTensor",
    "IntTensor", "LongTensor", "ShortTensor",
}  # fmt: skip
ARGUMENTS = {
    "gather": (0, None), "scatter_add": (0, None, None), "index_select": (0, None), "masked_fill": (None, 1.0),
    "transpose": (0, 0),
    "swapaxes": (0, 0), "swapdims": (0, 0), "unflatten": (0, (1,)), "split": (1,), "chunk": (1,), "expand": (2,),
    "broadcast_to": (2,),
    "reshape": (1,), "permute": (0,), "flip": (0,), "topk": (1,), "unsqueeze": (0,), "full_like": (1,),
    "randint_like": (5,), "where": (1, 2),
    "cumsum": (0,), "softmax": (0,), "log_softmax": (0,), "logsumexp": (0,), "clamp": (0,), "clip": (0,), "one_hot": (),
    "copy_": (1,), "fill_": (1,), "addmm": (cr.ones(1, 1), cr.ones(1, 1)), "addmv": (cr.ones(1, 1), cr.ones(1)),
    "addbmm": (cr.ones(1, 1, 1), cr.ones(1, 1, 1)), "baddbmm": (cr.ones(1, 1, 1), cr.ones(1, 1, 1)),
}  # fmt: skip


@pytest.mark.parametrize("nonsense", [[1.0, 2.0], "text", None, {}], ids=repr)
@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - NO_TENSOR))
def test_nonsense_for_the_first_argument_is_refused_by_name(name, nonsense):
    """With the name of the function in a TypeError, never an AttributeError from its inside."""
    base = name[:-1] if name.endswith("_") else name
    arguments = ARGUMENTS.get(name, ARGUMENTS.get(base))
    if arguments is None:
        required = [
            p
            for p in list(inspect.signature(FUNCTIONS[name]).parameters.values())[1:]
            if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        arguments = tuple(ones(2) for _ in required)
    with pytest.raises((TypeError, ValueError)) as caught:
        FUNCTIONS[name](nonsense, *arguments)
    base = {"concat": "cat", "concatenate": "cat", "row_stack": "vstack"}.get(base, base)
    assert base in str(caught.value) or "argument" in str(caught.value), str(caught.value)


def test_lists_are_refused_where_tensors_belong_and_the_message_says_how():
    with pytest.raises(TypeError, match=r"exp: .*must be a Tensor, got list \[1.0\]"):
        cr.exp([1.0])
    with pytest.raises(TypeError, match="must be a Tensor or a number, got list"):
        cr.ones(2) + [1.0, 2.0]


@pytest.mark.parametrize("name", ["sum", "exp", "matmul", "reshape", "cat", "max", "zeros"])
def test_unknown_keywords_are_refused(name):
    with pytest.raises(TypeError, match="unexpected keyword|nonsense"):
        FUNCTIONS[name](ones(2), nonsense=1)


def test_errors_of_the_array_library_keep_their_cause():
    with pytest.raises(ERRORS) as caught:
        ones(2) + ones(3)
    assert caught.value.__cause__ is not None
    assert "float32 tensor of shape (2,)" in str(caught.value)


def test_a_failed_operation_leaves_its_arguments_alone():
    x = cr.ones(2, requires_grad=True)
    y = x * 2
    with pytest.raises(ERRORS):
        y + ones(3)
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
