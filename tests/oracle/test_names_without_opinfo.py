"""PyTorch's names that its operation database does not cover: compared here, or a table says where they are tested.

Every argument set is given in ordinary and in non-contiguous memory; floating arrays are differentiated twice.
"""

from __future__ import annotations

import importlib.util
import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="PyTorch's operation database needs expecttest (extra `oracle`)")
import opinfo  # noqa: E402

pytestmark = pytest.mark.oracle

ROOT = Path(__file__).resolve().parents[2]
INFOS = opinfo.load()


def A(*shape, low=-2.0, high=2.0, seed=0):
    """Distinct numbers between ``low`` and ``high`` in no order."""
    rng = np.random.default_rng([seed, *shape])
    count = int(np.prod(shape))
    values = low + (high - low) * (np.arange(count) + rng.uniform(0.2, 0.8, count)) / max(count, 1)
    return rng.permutation(values).reshape(shape)


class Constant:
    """An array that is not differentiated."""

    def __init__(self, array):
        self.array = array


def sets(*arguments, **shared):
    """Argument sets: tuples of positional arguments, with a dict of keywords last where there are some."""
    found = []
    for a in arguments:
        a = a if isinstance(a, tuple) else (a,)
        keywords = a[-1] if isinstance(a[-1], dict) else {}
        found.append((a[:-1] if isinstance(a[-1], dict) else a, {**shared, **keywords}))
    return found


def cell(gates, *shapes):
    """Input, hidden state, and the weights of a recurrent cell with so many gates."""
    found = []
    for number, (batch, size, hidden, bias) in enumerate(shapes):
        weights = [A(gates * hidden, size, seed=number), A(gates * hidden, hidden, seed=number + 9)]
        weights += [A(gates * hidden, seed=k) for k in (3, 4)] if bias else []
        state = A(batch, hidden, seed=5)
        found.append((A(batch, size), (state, A(batch, hidden, seed=6)) if gates == 4 else state, *weights))
    return found


def recurrent(gates):
    """The arguments of `torch.lstm` and its like: layers, directions, biases and orders of the batch."""
    found = []
    for layers, both, bias, first in ((1, False, True, False), (2, False, False, True), (1, True, True, True),
                                      (2, True, True, False), (1, True, False, False)):  # fmt: skip
        size, hidden, ways, parameters = 3, 2, 1 + both, []
        for layer in range(layers):
            for way in range(ways):
                width = hidden * ways if layer else size
                parameters += [A(gates * hidden, width, seed=way), A(gates * hidden, hidden, seed=way + 2)]
                parameters += [A(gates * hidden, seed=way + 4), A(gates * hidden, seed=way + 6)] if bias else []
        x = A(2, 4, size)
        state = A(layers * ways, 2 if first else 4, hidden, seed=8)
        start = [state, A(*state.shape, seed=9)] if gates == 4 else state
        found.append((x, start, parameters, bias, layers, 0.0, False, both, first))
    return sets(*found)


def pooled(dims, **shared):
    """Arguments of a pooling layer of one to three dimensions."""
    return sets((A(2, 3, *[6] * dims), 2), (A(3, *[7] * dims), 3, 2), (A(1, 2, *[5] * dims), 2, 1),
                (A(2, 2, *[6] * dims), (3,) * dims, {"ceil_mode": True}), **shared)  # fmt: skip


def adaptive(dims):
    return sets((A(2, 3, *[6] * dims), 2), (A(3, *[7] * dims), 3), (A(1, 2, *[5] * dims), 1),
                (A(2, 2, *[6] * dims), (4,) * dims))  # fmt: skip


def fractional(dims):
    found = []
    for n, (size, kernel, out) in enumerate(((7, 2, 3), (8, 3, 4), (6, 2, 2), (9, 2, 5))):
        samples = Constant(A(2, 3, dims, low=0.05, high=0.95, seed=n))
        found.append((A(2, 3, *[size] * dims), kernel, {"output_size": out, "_random_samples": samples}))
    return sets(*found)


THETA = {2: A(2, 2, 3), 3: A(2, 3, 4)}
LOW = {"low": 0.3, "high": 3.0}
NORMS = sets((A(3, 4), 2, 0, False), (A(3, 4), 1, 1, True), (A(2, 3, 4), 3, [0, 2], True), (A(5), 2, 0, True))
SPLITS = sets((A(6), [1, 2, 3]), (A(4, 5), [2, 2, 1], 1), (A(3, 2, 2), [0, 3], 0), (A(4, 5), [5], -1))
TBC = sets(*[(A(5 + n, batch, 3), A(kernel, 3, 2), A(2), pad) for n, (batch, kernel, pad) in enumerate(
    ((2, 3, 0), (1, 2, 1), (3, 1, 0), (2, 3, 2), (1, 1, 0), (2, 2, 0), (3, 3, 1), (1, 5, 2)))])  # fmt: skip

#: module:name -> argument sets; each is used twice, the second time in non-contiguous memory
CASES = {
    "torch:affine_grid_generator": sets((THETA[2], (2, 3, 4, 5), False), (THETA[2], (2, 1, 3, 3), True),
                                        (THETA[3], (2, 1, 2, 3, 4), False), (THETA[3], (2, 1, 2, 3, 2), True)),
    "torch.nn.functional:affine_grid": sets((THETA[2], (2, 3, 4, 5), False), (THETA[2], (2, 1, 3, 3), True),
                                            (THETA[3], (2, 1, 2, 3, 4), False), (THETA[3], (2, 1, 2, 3, 2), True)),
    "torch:chain_matmul": sets((A(2, 3), A(3, 4)), (A(2, 3), A(3, 4), A(4, 1)), (A(2, 2),),
                               (A(1, 3), A(3, 2), A(2, 4), A(4, 2))),
    "torch:conv_tbc": TBC,
    "torch:convolution": sets(
        (A(2, 4, 7), A(6, 2, 3), A(6), [2], [1], [1], False, [0], 2),
        (A(2, 3, 6, 5), A(4, 3, 2, 3), A(4), [1, 2], [0, 1], [2, 1], False, [0, 0], 1),
        (A(1, 4, 3, 4), A(4, 2, 3, 2), A(2), [2, 1], [1, 0], [1, 2], True, [1, 0], 1),
        (A(1, 2, 4, 3, 3), A(2, 2, 2, 2, 2), None, [1] * 3, [0] * 3, [1] * 3, False, [0] * 3, 1)),
    "torch:detach": sets(A(3, 4), A(2), A(), A(0, 3)),
    "torch.Tensor:detach": sets(A(3, 4), A(2), A(), A(0, 3)),
    "torch:frobenius_norm": sets((A(3, 4), [0, 1]), (A(2, 3, 4), [2], True), (A(2, 3, 4), [1, 2]), (A(5), [0])),
    "torch:nuclear_norm": sets((A(3, 4),), (A(3, 3), True), (A(2, 3, 4), [1, 2]), (A(2, 3, 4), [0, 2], True)),
    "torch:native_norm": sets((A(3, 4),), (A(5), 3), (A(2, 3), 1), (A(2, 3, 4), 2.5)),
    "torch:norm_except_dim": sets((A(3, 4), 2, 0), (A(3, 4), 2, 1), (A(2, 3, 4), 2, -1), (A(2, 3, 2), 1, 0)),
    "torch:grid_sampler": sets((A(2, 3, 4, 5), A(2, 3, 2, 2, low=-0.9, high=0.9), 0, 0, True),
                               (A(1, 2, 5, 4), A(1, 2, 3, 2, low=-0.9, high=0.9), 0, 1, False),
                               (A(1, 2, 5, 4), A(1, 2, 3, 2, low=-1.3, high=1.3), 2, 0, False),
                               (A(1, 2, 3, 4, 3), A(1, 2, 2, 2, 3, low=-0.9, high=0.9), 0, 0, False)),
    "torch:gru_cell": sets(*cell(3, (2, 3, 4, True), (1, 2, 2, True), (3, 1, 2, False), (2, 4, 1, True))),
    "torch:lstm_cell": sets(*cell(4, (2, 3, 4, True), (1, 2, 2, True), (3, 1, 2, False), (2, 4, 1, True))),
    "torch:rnn_tanh_cell": sets(*cell(1, (2, 3, 4, True), (1, 2, 2, True), (3, 1, 2, False), (2, 4, 1, True))),
    "torch:rnn_relu_cell": sets(*cell(1, (2, 3, 4, True), (1, 2, 2, True), (3, 1, 2, False), (2, 4, 1, True))),
    "torch:gru": recurrent(3), "torch:lstm": recurrent(4),
    "torch:rnn_tanh": recurrent(1), "torch:rnn_relu": recurrent(1),
    "torch:max_pool1d_with_indices": pooled(1),
    "torch.nn.functional:max_pool1d_with_indices": pooled(1),
    "torch.nn.functional:max_pool2d_with_indices": pooled(2),
    "torch.nn.functional:max_pool3d_with_indices": pooled(3),
    "torch.nn.functional:adaptive_max_pool1d_with_indices": adaptive(1),
    "torch.nn.functional:adaptive_max_pool2d_with_indices": adaptive(2),
    "torch.nn.functional:adaptive_max_pool3d_with_indices": adaptive(3),
    "torch.nn.functional:fractional_max_pool2d_with_indices": fractional(2),
    "torch.nn.functional:fractional_max_pool3d_with_indices": fractional(3),
    "torch.nn.functional:lp_pool1d": sets((A(2, 3, 6, **LOW), 2, 2), (A(3, 7, **LOW), 3, 3, 2),
                                          (A(1, 2, 5, **LOW), 1, 2, 1), (A(2, 2, 7, **LOW), 2, 3, None, True)),
    "torch.nn.functional:lp_pool2d": sets((A(2, 3, 6, 5, **LOW), 2, 2), (A(3, 7, 6, **LOW), 3, (3, 2), 2),
                                          (A(1, 2, 5, 5, **LOW), 1, 2, 1), (A(2, 2, 7, 5, **LOW), 2, 3, None, True)),
    "torch.nn.functional:lp_pool3d": sets((A(2, 3, 4, 5, 4, **LOW), 2, 2), (A(3, 5, 4, 4, **LOW), 3, (3, 2, 2), 2),
                                          (A(1, 2, 3, 3, 4, **LOW), 1, 2, 1),
                                          (A(1, 2, 4, 5, 4, **LOW), 2, 3, None, True)),
    "torch.nn.functional:conv_tbc": TBC,
    "torch.nn.functional:fold": sets((A(2, 12, 6), (3, 4), (2, 2)), (A(8, 4), (4, 4), 2, {"stride": 2}),
                                     (A(1, 4, 9), (2, 2), 2, {"padding": 1}),
                                     (A(1, 8, 9), (5, 5), 2, {"dilation": 2})),
    "torch.nn.functional:upsample": sets((A(2, 3, 4), 7), (A(1, 2, 3, 4), None, 2, "bilinear", True),
                                         (A(2, 2, 3, 3), (5, 4)), (A(1, 2, 3), None, 2, "linear", False)),
    "torch:native_dropout": sets((A(3, 4), 0.0, True), (A(3, 4), 0.5, False), (A(5), 0.3, False), (A(), 0.0, False)),
    "torch:feature_dropout": sets((A(3, 4), 0.0, True), (A(3, 4), 0.5, False), (A(5, 2, 3), 0.3, False),
                                  (A(2, 3, 1), 0.0, True)),
    "torch:segment_reduce": sets(
        *[(A(6, 2), r, {"lengths": np.array([2, 1, 3])}) for r in ("sum", "mean", "max", "min")],
        (A(5, **LOW), "prod", {"lengths": np.array([2, 3])}), (A(5), "sum", {"lengths": np.array([0, 5])})),
    "torch:select_copy": sets((A(3, 4), 0, 1), (A(3, 4), 1, -1), (A(2, 3, 4), -1, 0), (A(5), 0, 2)),
    "torch:slice_copy": sets((A(5, 4), 0, 1, 4), (A(5, 4), 1, None, None, 2), (A(6), 0, -3), (A(2, 3), -1, 0, 9)),
    "torch:split_copy": sets((A(6), 2), (A(4, 5), 2, 1), (A(3, 2), 3), (A(4, 5), 3, -1)),
    "torch:unsafe_split_with_sizes": SPLITS, "torch.Tensor:unsafe_split_with_sizes": SPLITS,
    "torch:slogdet": sets(A(3, 3), A(2, 2, 2), A(1, 1), A(2, 1, 3, 3)),
    "torch.Tensor:slogdet": sets(A(3, 3), A(2, 2, 2), A(1, 1), A(2, 1, 3, 3)),
    "torch:vander": sets((A(4),), (A(3), 5), (A(4), 2, True), (A(2), None, True)),
    "torch.special:gammainc": sets(*[(Constant(A(*s, **LOW)), A(*t, seed=1, **LOW))
                                     for s, t in (((3, 4), (3, 4)), ((4,), (2, 4)), ((), (3,)), ((2, 1), (3,)))]),
    "torch.special:gammaincc": sets(*[(Constant(A(*s, **LOW)), A(*t, seed=1, **LOW))
                                      for s, t in (((3, 4), (3, 4)), ((4,), (2, 4)), ((), (3,)), ((2, 1), (3,)))]),
    "torch.Tensor:to_dense": sets(A(3, 4), A(2), A(), A(0, 3)),
    "torch.Tensor:cpu": sets(A(3, 4), A(2), A(), A(0, 3)),
    "torch.Tensor:type_as": sets((A(3, 4), A(2)), (A(3), Constant(A(2).astype("float32"))), (A(), A(2)), (A(0), A(1))),
}  # fmt: skip

#: names of functions without differentiable arguments: results compared as they are
PLAIN = {
    # PyTorch has no gradient of the first two
    "torch:detach_copy": sets(*[Constant(A(*shape)) for shape in ((3, 4), (2,), (), (0, 3))]),
    "torch:native_channel_shuffle": sets(*[(Constant(A(*shape)), n) for shape, n in (
        ((2, 4, 3, 3), 2), ((1, 6, 2, 2), 3), ((2, 6, 5), 2), ((1, 4, 2, 2), 4))]),
    "torch.fft:fftfreq": sets((5,), (4, 0.5), (1,), (8, {"d": 2.0})),
    "torch.fft:rfftfreq": sets((5,), (4, 0.5), (1,), (8, {"d": 2.0})),
    **{f"torch:{name}_window": sets((5,), (6, False), (1,), (8, {"periodic": True}), dtype="float64")
       for name in ("bartlett", "blackman", "hamming", "hann", "kaiser")},
    "torch:can_cast": sets(("int64", "float32"), ("float32", "int64"), ("float64", "float32"), ("bool", "int8")),
    "torch:promote_types": sets(("int64", "float32"), ("float32", "int64"), ("float64", "float32"), ("bool", "int8")),
    "torch:result_type": sets((A(2), 1), (np.arange(3), 1.5), (np.arange(3), A(2)), (A(), np.arange(2))),
    **{f"{module}:{name}": sets(A(2, 3), np.arange(3), A(2) > 0, A(2).astype("float32"), A(2) * 1j)
       for module in ("torch", "torch.Tensor") for name in ("is_complex", "is_floating_point", "is_signed", "is_conj",
                                                            "is_neg", "numel", "get_device")},
    **{f"torch.Tensor:{name}": sets(A(2, 3), A(), A(0, 2), A(1, 2, 3))
       for name in ("dim", "ndimension", "nelement", "size", "element_size", "tolist")},
    "torch.Tensor:size": sets((A(2, 3),), (A(2, 3), 1), (A(2, 3), -1), (A(),)),
    **{f"{module}:is_nonzero": sets(A(), np.array([0]), np.array(True), A(1, 1))
       for module in ("torch", "torch.Tensor")},
    **{f"{module}:is_same_size": sets((A(2), A(2)), (A(2), A(2, 1)), (A(), A()), (A(1, 3), A(3)))
       for module in ("torch", "torch.Tensor")},
    "torch:is_inference": sets(A(2), A(), A(0), A(1, 2)),
    "torch.Tensor:is_pinned": sets(A(2), A(), A(0), A(1, 2)),
    "torch:is_tensor": sets(A(2), 1.0, "x", [A(2)]),
}  # fmt: skip


# ---- one argument set on both sides ----------------------------------------------------------------------------------


def apart(array):
    """The same numbers, the elements of every dimension two apart."""
    if array.ndim == 0:
        return np.array(array)
    memory = np.zeros([2 * n for n in array.shape], array.dtype)
    view = memory[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def argument(library, value, strided, constant=False):
    """A value of a case as the library's: arrays become tensors, floating ones leaves."""
    if isinstance(value, Constant):
        return argument(library, value.array, strided, True)
    if isinstance(value, np.ndarray):
        t = library.from_numpy(apart(value) if strided else np.array(value))
        return t.requires_grad_() if value.dtype == np.float64 and not constant else t
    if isinstance(value, (list, tuple)):
        return type(value)(argument(library, v, strided, constant) for v in value)
    if isinstance(value, dict):
        return {k: argument(library, v, strided, constant) for k, v in value.items()}
    if isinstance(value, str) and value in DTYPES:
        return getattr(torch, value) if library is torch else cr.autograd.dtypes.as_dtype(value)
    return value


DTYPES = {"bool", "int8", "int64", "float32", "float64"}


def function_of(library, name):
    module, _, attribute = name.partition(":")
    if library is torch and name in REFERENCES:
        return REFERENCES[name]
    if module == "torch.Tensor":
        return lambda x, *args, **kwargs: getattr(x, attribute)(*args, **kwargs)
    owner = library
    for part in module.split(".")[1:]:
        owner = getattr(owner, part)
    return getattr(owner, attribute)


def both(name, given, strided):
    """What the function of that name returns in either library, and its arguments."""
    positional, keywords = given
    for library in (cr, torch):
        args, kwargs = argument(library, positional, strided), argument(library, keywords, strided)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield function_of(library, name)(*args, **kwargs), [*args, kwargs]


def compare(ours, theirs, what):
    a, b = opinfo.tensors_of(ours), opinfo.tensors_of(theirs)
    assert len(a) == len(b), what
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        opinfo.compare_tensors(x, y, 1e-9, 1e-9, f"{what}, result {i}")
        assert x.requires_grad == y.requires_grad, what
    if not b:
        plain = (opinfo.dtype_name(type("T", (), {"dtype": v})) if "dtype" in type(v).__name__ else v
                 for v in (ours, theirs))  # fmt: skip
        first, second = plain
        assert first == (tuple(second) if isinstance(second, torch.Size) else second), what


#: what is tested elsewhere (random values, settings, legacy constructors, refusals, hooks, memory): file -> names
ELSEWHERE = {
    "test_anomaly.py": "torch:is_anomaly_check_nan_enabled torch:is_anomaly_enabled",
    "test_saving.py": "torch:load torch:save",
    "test_creation.py": "torch:Size torch:tensor torch.Tensor:new_tensor torch:rand",
    "test_elementwise.py": "torch.nn.functional:gumbel_softmax",
    "test_gradient_ownership.py": "torch.Tensor:backward torch.Tensor:retain_grad",
    "test_errors.py": "torch:BFloat16Tensor torch:BoolTensor torch:ByteTensor torch:CharTensor torch:HalfTensor "
    "torch:ShortTensor torch:compile torch:from_file torch:set_flush_denormal torch:set_num_interop_threads "
    "torch:set_warn_always torch:typename torch:use_deterministic_algorithms torch:while_loop "
    "torch.Tensor:cuda",
    "test_functional.py": "torch.nn.functional:dropout1d",
    "test_hooks.py": "torch.Tensor:register_hook torch.Tensor:register_post_accumulate_grad_hook",
    "oracle/test_lobpcg.py": "torch:lobpcg",
    "test_legacy_names.py": "torch:range torch:set_anomaly_enabled torch:view_as_complex_copy "
    "torch:view_as_real_copy torch.Tensor:is_inference torch.Tensor:map2_ torch.Tensor:resize torch.Tensor:resize_as",
    "test_legacy.py": "torch:DoubleTensor torch:FloatTensor torch:IntTensor torch:LongTensor",
    "test_linalg.py": "torch.linalg:LinAlgError",
    "test_modes.py": "torch:enable_grad torch:inference_mode torch:is_grad_enabled torch:is_inference_mode_enabled "
    "torch:no_grad torch:set_grad_enabled",
    "test_numpy_conversion.py": "torch:to_dlpack torch:as_tensor torch:asarray torch:from_dlpack torch:from_numpy "
    "torch.Tensor:numpy",
    "test_pool.py": "torch:get_num_threads torch:set_num_threads",
    "test_queries.py": "torch:dtype torch:finfo torch:frombuffer torch:iinfo torch:layout torch:memory_format "
    "torch:set_printoptions torch:device torch.Tensor:data_ptr torch.Tensor:dim_order torch.Tensor:is_contiguous "
    "torch.Tensor:is_set_to torch.Tensor:pin_memory torch.Tensor:storage_offset torch.Tensor:stride "
    "torch.Tensor:type",
    "test_random.py": "torch:Generator torch:get_rng_state torch:initial_seed torch:manual_seed torch:seed "
    "torch:set_rng_state",
    "test_sampling.py": "torch:binomial torch:poisson torch:randperm torch.Tensor:cauchy_ torch.Tensor:exponential_ "
    "torch.Tensor:geometric_ torch.Tensor:log_normal_ torch.Tensor:random_",
    "test_tensor.py": "torch:Tensor torch:detach_ torch.Tensor:detach_ torch.Tensor:requires_grad_ "
    "torch:get_default_device torch:set_default_device torch:set_default_dtype",
    "test_versions.py": "torch.Tensor:copy_ torch.Tensor:uniform_",
    "test_views.py": "torch.Tensor:apply_ torch.Tensor:fill_diagonal_ torch.Tensor:map_ torch.Tensor:set_",
    "test_vmap.py": "torch:vmap",
    "oracle/test_names_without_opinfo.py": "torch:embedding_renorm_ torch:feature_dropout_ torch:get_default_dtype "
    "torch:are_deterministic_algorithms_enabled torch:get_deterministic_debug_mode torch:init_num_threads "
    "torch:get_float32_matmul_precision torch:get_num_interop_threads torch:set_deterministic_debug_mode "
    "torch:is_deterministic_algorithms_warn_only_enabled torch:is_warn_always_enabled "
    "torch:set_float32_matmul_precision",
}

#: PyTorch has no second gradient of these
ONCE = {"torch:segment_reduce"}

#: PyTorch takes no non-contiguous arguments here
ONLY_CONTIGUOUS = {"torch:conv_tbc", "torch.nn.functional:conv_tbc"}


def vander(x, n=None, increasing=False):
    powers = torch.linalg.vander(x, N=n)
    return powers if increasing else powers.flip(-1)


#: what is compared with where PyTorch's function does not run on the CPU, or has no gradient there
REFERENCES = {"torch:native_norm": torch.norm, "torch:vander": vander}


@pytest.mark.parametrize("strided", [False, True], ids=["contiguous", "strided"])
@pytest.mark.parametrize("name", sorted(CASES))
def test_values_and_two_gradients(name, strided):
    if strided and name in ONLY_CONTIGUOUS:
        return
    for number, given in enumerate(CASES[name]):
        what = f"set {number}"
        (ours, ours_in), (theirs, theirs_in) = both(name, given, strided)
        compare(ours, theirs, what)
        leaves = [[t for t in opinfo.tensors_of(x) if t.requires_grad] for x in (ours_in, theirs_in)]
        order = 1 if name in ONCE else 2
        a = opinfo.gradients(cr, opinfo.tensors_of(ours), leaves[0], order)
        b = opinfo.gradients(torch, opinfo.tensors_of(theirs), leaves[1], order)
        none = [None] * len(leaves[0])
        for level in range(max(len(a), len(b))):
            pairs = zip(*(g[level] if level < len(g) else none for g in (a, b)), *leaves, strict=True)
            for i, (g, w, x, y) in enumerate(pairs):
                g, w = opinfo.zeros_for_none(g, x), opinfo.zeros_for_none(w, y)
                opinfo.compare_tensors(g, w, 1e-8, 1e-8, f"{what}, gradient {level + 1} of input {i}")


@pytest.mark.parametrize("strided", [False, True], ids=["contiguous", "strided"])
@pytest.mark.parametrize("name", sorted(PLAIN))
def test_results(name, strided):
    for number, given in enumerate(PLAIN[name]):
        (ours, _), (theirs, _) = both(name, given, strided)
        compare(ours, theirs, f"set {number}")


def test_there_are_eight_sets_each():
    few = {name for name, given in CASES.items() if len(given) * (1 if name in ONLY_CONTIGUOUS else 2) < 8}
    assert few == set()
    assert {name for name, given in PLAIN.items() if 2 * len(given) < 8} == set()


# ---- the rest --------------------------------------------------------------------------------------------------------


def done_names():
    """module:name for every public name of PyTorch's that we have."""
    path = ROOT / "docs" / "generate.py"
    if not path.is_file():
        pytest.skip("the tests run outside a checkout")
    spec = importlib.util.spec_from_file_location("generate", path)
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    names = json.loads(generate.NAMES.read_text())["modules"]
    return {f"{m}:{n}" for m, found in names.items() for n in found if generate.status(m, n)[0] == "done"}


def test_every_name_is_tested():
    known = [info for info in INFOS if opinfo.resolve(cr, info.name) is not None]
    compared = {f"{module}:{name}" for info in known for module, name in opinfo.other_names(info)}
    compared |= CASES.keys() | PLAIN.keys()
    elsewhere = {name for names in ELSEWHERE.values() for name in names.split()}
    done = done_names()
    assert sorted(done - compared - elsewhere) == []
    assert sorted(elsewhere - (done - compared)) == [], "compared, or not there any more"


@pytest.mark.parametrize("file", sorted(ELSEWHERE))
def test_the_table_tells_the_truth(file):
    text = (ROOT / "tests" / file).read_text()
    for name in ELSEWHERE[file].split():
        assert re.search(rf"\b{name.split(':')[1]}\b", text), name


def test_settings_are_as_in_pytorch_at_the_start():
    assert cr.get_default_dtype() is cr.float32
    for name in ("are_deterministic_algorithms_enabled", "get_deterministic_debug_mode", "get_float32_matmul_precision",
                 "is_deterministic_algorithms_warn_only_enabled", "is_warn_always_enabled"):  # fmt: skip
        assert getattr(cr, name)() == getattr(torch, name)(), name
    assert cr.get_num_interop_threads() >= 1
    assert cr.init_num_threads() is None
    assert cr.set_float32_matmul_precision("highest") is None
    assert cr.set_deterministic_debug_mode("default") is None


def test_embedding_renorm():
    for k, (norm, p) in enumerate(((1.0, 2.0), (0.5, 1.0), (10.0, 2.0), (2.0, 3.0))):
        for index in (np.array([0, 2, 2]), np.array([[1, 0], [3, 3]])):
            weight = A(4, 3, seed=k)
            ours, theirs = cr.tensor(weight), torch.tensor(weight)
            result = cr.embedding_renorm_(ours, cr.tensor(index), norm, p)
            assert result is ours
            opinfo.compare_tensors(ours, torch.embedding_renorm_(theirs, torch.tensor(index), norm, p), 1e-9, 1e-9, "")


def test_feature_dropout_in_place():
    for k, (p, train) in enumerate(((0.0, True), (0.7, False), (0.0, False), (1.0, True))):
        ours, theirs = cr.tensor(A(2, 3, 2, seed=k)), torch.tensor(A(2, 3, 2, seed=k))
        assert cr.feature_dropout_(ours, p, train) is ours
        opinfo.compare_tensors(ours, torch.feature_dropout_(theirs, p, train), 1e-9, 1e-9, "")
