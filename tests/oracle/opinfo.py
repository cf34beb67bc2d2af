"""PyTorch's own database of sample arguments for its operations, run through both libraries.

``op_db`` of ``torch.testing`` gives, for each operation, argument sets with every shape, dimension, keyword and
broadcasting that its authors found worth testing. Here they are turned into our tensors.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
import warnings
from typing import Any

import numpy as np
from opinfo_exceptions import CHANGED, DROPPED, NEVER_STRIDED

import chainrule as cr

torch: Any = None


def load() -> list[Any]:
    """PyTorch's database; importing it takes seconds."""
    global torch
    import torch as found

    torch = found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    return list(op_db)


def title(info: Any) -> str:
    return info.name + (f":{info.variant_test_name}" if info.variant_test_name else "")


OPERATORS = {
    "__radd__": lambda x, y: y + x, "__rsub__": lambda x, y: y - x, "__rmul__": lambda x, y: y * x,
    "__rdiv__": lambda x, y: y / x, "__rpow__": lambda x, y: y**x, "__rmod__": lambda x, y: y % x,
    "__rand__": lambda x, y: y & x, "__ror__": lambda x, y: y | x, "__rxor__": lambda x, y: y ^ x,
    "__rmatmul__": lambda x, y: y @ x, "__getitem__": operator.getitem,
    # these entries call the function on their arguments in another order, or on a copy
    "nn.functional.embedding": lambda weight, indices, **kwargs: cr.nn.functional.embedding(indices, weight, **kwargs),
    "nn.functional.embedding_bag": lambda weight, indices, **kwargs: cr.nn.functional.embedding_bag(
        indices, weight, **kwargs),
    "einsum": lambda operands, equation: cr.einsum(equation, operands),
    "where": lambda x, condition, other: cr.where(condition, x, other), "zero_": lambda x: x.clone().zero_(),
}  # fmt: skip


def resolve(library: Any, name: str) -> Any:
    """The function of that dotted name in ``chainrule`` or ``torch``, or a method; None where there is none."""
    if name in OPERATORS:
        return OPERATORS[name]
    try:
        found = functools.reduce(getattr, name.split("."), library)
        if not isinstance(found, cr.autograd.dtypes.dtype):  # `cr.long` is a dtype, the operation is the method
            return found
    except AttributeError:
        pass
    method = getattr(library.Tensor, name, None)
    if isinstance(method, property):
        return method.fget
    return None if method is None else lambda x, *args, **kwargs: getattr(x, name)(*args, **kwargs)


def same_array(t: Any) -> np.ndarray:
    """A PyTorch tensor's elements as NumPy's, conjugation and negation carried out."""
    t = t.detach()
    if t._is_zerotensor():  # PyTorch keeps zeros without memory
        t = t.clone()
    t = t.resolve_conj().resolve_neg()
    if t.dtype is torch.bfloat16:
        import ml_dtypes

        return t.float().numpy().astype(ml_dtypes.bfloat16)
    return t.numpy(force=True)


def with_strides(array: np.ndarray, strides: tuple[int, ...]) -> np.ndarray:
    """A copy of ``array`` whose elements lie ``strides`` elements apart; in C order where some would coincide."""
    size = 1 + sum((n - 1) * s for n, s in zip(array.shape, strides, strict=True))
    if array.size == 0 or any(s == 0 and n > 1 for n, s in zip(array.shape, strides, strict=True)):
        return np.array(array, order="C")
    memory = np.empty(size, array.dtype)
    copy = np.lib.stride_tricks.as_strided(memory, array.shape, [s * array.itemsize for s in strides])
    copy[...] = array
    return copy if np.array_equal(copy, array, equal_nan=array.dtype.kind in "fc") else np.array(array, order="C")


def to_ours(value: Any) -> Any:
    """An argument of PyTorch's as ours: tensors, dtypes, devices and layouts, and containers of them."""
    if isinstance(value, torch.Tensor):
        array = same_array(value)
        if value.is_contiguous() or array.dtype.kind == "V":
            t = cr.tensor(np.array(array, copy=True))
        else:
            t = cr.from_numpy(with_strides(array, value.stride()))
        return t.requires_grad_() if value.requires_grad else t
    if isinstance(value, torch.dtype):
        return cr.autograd.dtypes.as_dtype(str(value).removeprefix("torch."))
    if isinstance(value, torch.device):
        return str(value)
    if isinstance(value, (torch.Size, tuple)):
        return tuple(to_ours(v) for v in value) if not hasattr(value, "_fields") else type(value)(*map(to_ours, value))
    if isinstance(value, list):
        return [to_ours(v) for v in value]
    if isinstance(value, dict):
        return {k: to_ours(v) for k, v in value.items()}
    if value is torch.nn.functional.pairwise_distance:  # a sample's distance function
        return cr.nn.functional.pairwise_distance
    if isinstance(value, torch.nn.PairwiseDistance):
        return lambda x, y: cr.nn.functional.pairwise_distance(x, y, value.norm, value.eps, value.keepdim)
    return value


#: entries whose function is not the one that they are named for
VARIANTS = {
    "linalg.lstsq:grad_oriented": lambda A, B, driver: cr.linalg.lstsq(A, B, driver=driver)[:2],
    "normal:in_place": lambda x, *args, **kwargs: x.clone().normal_(*args, **kwargs),
    "svd_lowrank": lambda x, y, **options: cr.svd_lowrank(x @ y.mT, **options),
    "pca_lowrank": lambda x, y, **options: cr.pca_lowrank(x @ y.mT, **options),
    "linalg.pinv:singular": lambda x, y: cr.linalg.pinv(x @ y.mT),
}

#: results that are determined only up to signs or phases: the samples say what of them is to be compared
UP_TO_PHASES = {"svd", "linalg.svd", "linalg.eigh", "linalg.eig", "svd_lowrank", "pca_lowrank"}


def comparable(info: Any, sample: Any, result: Any) -> Any:
    """A result, reduced to what the sample's author compares where the rest is arbitrary."""
    return sample.output_process_fn_grad(result) if info.name in UP_TO_PHASES else result


def call(info: Any, function: Any, inputs: list[Any]) -> Any:
    """The function, on Hermitian or triangular matrices where it takes them for such: gradients are then unique."""
    x, args, kwargs = inputs
    if getattr(info.gradcheck_wrapper, "__name__", "") == "gradcheck_wrapper_hermitian_input":
        x = x + (x.mH if "complex" in str(x.dtype) else x.mT)
    elif info.name == "cholesky_inverse":
        x = x.triu() if kwargs.get("upper") else x.tril()
    elif info.name == "cholesky_solve":
        args = [args[0].triu() if kwargs.get("upper") else args[0].tril(), *args[1:]]
    return function(x, *args, **kwargs)


def tensors_of(value: Any) -> list[Any]:
    """The tensors in an argument or result, in order."""
    if isinstance(value, (cr.Tensor, torch.Tensor)):
        return [value]
    if isinstance(value, (list, tuple)):
        return list(itertools.chain.from_iterable(tensors_of(v) for v in value))
    if isinstance(value, dict):
        return list(itertools.chain.from_iterable(tensors_of(v) for v in value.values()))
    return []


def samples_of(info: Any, dtype: Any, gradient: bool, count: int = 10**9, seed: int = 0) -> list[Any]:
    """At most ``count`` sample inputs, spread over all that there are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        found = list(info.sample_inputs("cpu", dtype, requires_grad=gradient))
    if info.name in DROPPED:
        found = [s for s in found if not DROPPED[info.name][0](s)]
    if info.name in CHANGED:
        found = [CHANGED[info.name][0](s) for s in found]
    return spread(found, count)


def spread(found: list[Any], count: int) -> list[Any]:
    if len(found) <= count:
        return found
    return [found[i * len(found) // count] for i in range(count)]


def inputs_of(sample: Any) -> list[Any]:
    return tensors_of([sample.input, list(sample.args), sample.kwargs])


def is_strided(sample: Any) -> bool:
    """Whether some tensor of a sample has its elements apart or out of order."""
    return any(not t.is_contiguous() for t in inputs_of(sample))


#: other shapes that an elementwise function of one tensor is tried on, where the database has few
SHAPES = ((), (0, 3), (7,), (2, 1, 3))


def argument_sets(info: Any, dtype: Any, gradient: bool, most: int = 12, least: int = 8, strided: int = 2) -> list[Any]:
    """Between ``least`` and ``most`` sample inputs, at least ``strided`` of them with non-contiguous tensors.

    First those of the database. Where it has fewer than ``least``, elementwise functions get other shapes, and the
    others new random numbers in the shapes of the database, every second time in non-contiguous memory. There are fewer
    only where a sample has no tensor at all.
    """
    plain = samples_of(info, dtype, gradient)
    if not any(map(inputs_of, plain)):
        return spread(plain, most)
    again = (s for seed in itertools.count(1) for s in samples_of(info, dtype, gradient, seed=seed) if inputs_of(s))
    if title(info) in NEVER_STRIDED:
        strided = 0
    enough = [s for s in plain if any(t.ndim and t.numel() > 1 for t in inputs_of(s))]
    if 0 < len(enough) < strided:
        enough += [s for s in itertools.islice(again, 20) if any(t.ndim and t.numel() > 1 for t in inputs_of(s))]
    apart = [s for s in (x.noncontiguous() for x in spread(enough, strided + 2)) if is_strided(s)][:strided]
    found = spread(plain, most - len(apart)) + apart
    if type(info).__name__ == "UnaryUfuncInfo" and len(plain) < least and plain[0].input.numel() >= 7:
        found += [reshaped(plain[0], shape) for shape in SHAPES]
    while len(found) < least:
        more = next(again)
        found += [more, *([more.noncontiguous()] if strided else [])][: least - len(found)]
    return found


def reshaped(sample: Any, shape: tuple[int, ...]) -> Any:
    """A sample whose tensors have the first elements of the given ones, in another shape."""

    def first(t: Any) -> Any:
        if not isinstance(t, torch.Tensor) or t.numel() < 7:
            return t
        return t.detach().flatten()[: math.prod(shape)].clone().reshape(shape).requires_grad_(t.requires_grad)

    return sample.transform(first)


def dtype_name(t: Any) -> str:
    return str(t.dtype).split(".")[-1]


def compare_tensors(ours: Any, theirs: Any, rtol: float, atol: float, what: str) -> None:
    assert isinstance(ours, cr.Tensor), f"{what}: {type(ours)} instead of a Tensor"
    assert dtype_name(ours) == dtype_name(theirs), f"{what}: {ours.dtype} instead of {theirs.dtype}"
    assert tuple(ours.shape) == tuple(theirs.shape), f"{what}: shape {tuple(ours.shape)}, not {tuple(theirs.shape)}"
    a, b = ours.numpy(force=True), same_array(theirs)
    if dtype_name(theirs) == "bfloat16":
        a, b = a.astype(np.float32), b.astype(np.float32)
    np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=what)


def seed_for(t: Any, number: int) -> np.ndarray:
    """Weights of output or gradient ``number`` in the sum that is differentiated."""
    rng = np.random.default_rng(number)
    real = rng.uniform(0.5, 1.5, tuple(t.shape)) * rng.choice([-1.0, 1.0], tuple(t.shape))
    if "complex" in str(t.dtype):
        return real + 1j * rng.uniform(-1, 1, tuple(t.shape))
    return real


def gradients(library: Any, outputs: list[Any], inputs: list[Any], order: int) -> list[list[Any]]:
    """Gradients of the weighted outputs with respect to the inputs, of every order up to ``order``."""
    found: list[list[Any]] = []
    for level in range(order):
        tracked = [(i, o) for i, o in enumerate(outputs) if o is not None and o.requires_grad]
        if not tracked:
            break
        seeds = []
        for i, o in tracked:
            w = seed_for(o, 10 * level + i)
            seeds.append(torch.tensor(w).to(o.dtype) if library is torch else cr.tensor(w).to(o.dtype))
        grads = library.autograd.grad(
            [o for _, o in tracked], inputs, seeds, create_graph=level + 1 < order, allow_unused=True
        )
        outputs = list(grads)
        found.append(outputs)
    return found


def zeros_for_none(gradient: Any, like: Any) -> Any:
    if gradient is not None:
        return gradient
    return (torch if isinstance(like, torch.Tensor) else cr).zeros_like(like)


# ---- the other names of an operation ---------------------------------------------------------------------------------

#: modules in which an operation's name may stand again
MODULES = ("torch", "torch.Tensor", "torch.nn.functional", "torch.linalg", "torch.special", "torch.fft")


def at(library: Any, module: str, name: str) -> Any:
    """The function or method of that name in ``library``, or None."""
    owner = functools.reduce(getattr, module.split(".")[1:], library)
    return getattr(owner, name, None)


def other_names(info: Any) -> list[tuple[str, str]]:
    """(module, name) under which both libraries have this operation: methods, aliases, and all of them in place."""
    if info.name.startswith(("_", "torch.")):
        return []
    found = {info.name: None, **{alias.name: None for alias in info.aliases}}
    lasts = list({name.split(".")[-1]: None for name in found})
    lasts += [f"{last}_" for last in lasts]
    names = [(module, last) for last in lasts for module in MODULES]
    return [(m, n) for m, n in names if callable(at(torch, m, n)) and callable(at(cr, m, n))]
