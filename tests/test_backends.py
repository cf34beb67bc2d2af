"""The backend switch, xp's shims and scatter-add, on the CPU and on the guard."""

import importlib
import re
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import chainrule as cr
from chainrule import backends
from chainrule.backends import cuda

CPU, GUARD = backends.backend_for("cpu"), backends.backend_for("guard")
both = pytest.mark.parametrize("backend", [CPU, GUARD], ids=["cpu", "guard"])
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _default_device(monkeypatch):
    before = backends.get_default_device()
    monkeypatch.delenv("CHAINRULE_DEVICE", raising=False)
    backends.use(None)
    yield
    # not use(None): the variable is deleted until monkeypatch has ended
    backends.use(before.type)


def test_available_and_unavailable_share_the_device_types():
    usable, missing = backends.available(), backends.unavailable()
    assert {"cpu", "guard"} <= set(usable)
    assert sorted([*usable, *missing]) == ["cpu", "cuda", "guard"]


def test_use_takes_libraries_and_devices():
    assert backends.use("guard") is backends.device("guard") is backends.get_default_device()
    assert backends.use("numpy") is backends.device("cpu")
    assert backends.use("cpu") is backends.device("cpu")
    assert backends.use(None) is backends.device("cpu")
    with pytest.raises(RuntimeError, match="argument 'name' must be one of 'numpy', .* got 'jax'"):
        backends.use("jax")
    with pytest.raises(TypeError, match="got int"):
        backends.use(3)


def test_cuda_without_cupy_gives_the_reason_and_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    cuda._find.cache_clear()
    try:
        with pytest.raises(RuntimeError, match=r"CuPy cannot be imported.*pip install 'chainrule\[cuda13\]'"):
            cuda.CupyBackend()
    finally:
        cuda._find.cache_clear()


def test_cuda_without_a_gpu_gives_the_reason(monkeypatch):
    class Runtime:
        @staticmethod
        def getDeviceCount():
            raise ValueError("cudaErrorInsufficientDriver")

    fake = type(sys)("cupy")
    fake.__version__ = "14.2.0"
    fake.cuda = type("cuda", (), {"is_available": staticmethod(lambda: False), "runtime": Runtime})
    monkeypatch.setitem(sys.modules, "cupy", fake)
    cuda._find.cache_clear()
    try:
        assert "no usable GPU (cudaErrorInsufficientDriver)" in cuda.unavailable_reason()
    finally:
        cuda._find.cache_clear()


def test_show_config_names_what_is_in_force():
    text = backends.show_config()
    assert np.__version__ in text
    assert "default device: cpu" in text
    assert "blas_threads" in text
    for reason in backends.unavailable().values():
        assert reason in text


def test_cupy_is_imported_in_backends_cuda_only():
    for path in Path(backends.__file__).parent.glob("*.py"):
        if path.name not in ("cuda.py", "guard_names.py"):
            assert not re.search(r"^\s*(import|from) cupy|import_module\(.cupy", path.read_text(), re.MULTILINE), path


@both
def test_transfer_and_clock(backend):
    host = RNG.random((3, 4))
    x = backend.from_host(host)
    assert type(x) is backend.array_type
    assert (backend.to_host(x) == host).all()
    assert not np.shares_memory(backend.to_host(x), host)
    assert backend.shares_memory(x, x[1:])
    assert not backend.shares_memory(x, x + 1)
    start, end = backend.event(), backend.event()
    assert backend.elapsed_ms(start, end) >= 0
    backends.synchronize(backend.device_type)
    assert backend.device_count() == 1
    with backend.device_context(0):
        assert backend.asarray([1, 2]).shape == (2,)
    assert all(isinstance(v, str) for v in backend.describe().values())


def host(backend, x):
    return backend.to_host(backend.asarray(x))


DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16, np.int64, np.int32, np.int8, np.uint8, np.complex64]


@both
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [7, 700])
def test_scatter_add_accumulates(backend, dtype, count):
    x = RNG.integers(0, 3, (6, 4)).astype(dtype)
    rows, v = RNG.integers(-6, 6, count), RNG.integers(0, 2, (count, 4)).astype(dtype)
    wide = x.astype(np.complex128 if np.dtype(dtype).kind == "c" else np.float64)
    np.add.at(wide, rows, v.astype(wide.dtype))
    tolerance = 2.0**-6 if dtype is ml_dtypes.bfloat16 else 0
    if np.dtype(dtype).kind in "iu":
        wide = wide.astype(np.int64).astype(dtype)  # wraps, as the sum itself does
    given = backend.from_host(x)
    got = host(backend, backend.xp.scatter_add_at(given, backend.from_host(rows), backend.from_host(v)))
    assert got.dtype == dtype
    np.testing.assert_allclose(got.astype(wide.dtype), wide, rtol=tolerance)
    assert (host(backend, given) == x).all()


@both
@pytest.mark.parametrize("count", [5, 600])
def test_scatter_add_by_any_index(backend, count):
    x = RNG.random((5, 6, 3))
    i, j = RNG.integers(0, 5, count), RNG.integers(-6, 6, count)
    mask = RNG.random((5, 6)) < 0.5
    for index in [(i, j), (slice(None), j), (i, slice(1, 3)), (Ellipsis, i % 3), mask, (slice(1, 4), 2), 1]:
        v = RNG.random(x[index].shape)
        expected = x.copy()
        np.add.at(expected, index, v)
        items = index if isinstance(index, tuple) else (index,)
        there = tuple(backend.from_host(k) if isinstance(k, np.ndarray) else k for k in items)
        got = backend.xp.scatter_add_at(backend.from_host(x), there, backend.from_host(v))
        np.testing.assert_allclose(host(backend, got), expected, rtol=1e-12)
    got = backend.xp.scatter_add_at(backend.from_host(x), backend.from_host(i), 1.0)
    np.testing.assert_allclose(host(backend, got).sum(), x.sum() + count * 18)


def test_scatter_add_on_the_cpu_checks_the_range():
    for count in (2, 1000):
        with pytest.raises(IndexError, match="out of bounds for axis 0 with size 3"):
            CPU.xp.scatter_add_at(np.zeros(3), np.full(count, 3), np.ones(count))


@both
def test_put_and_copy(backend):
    x = RNG.random((4, 3))
    given, index = backend.from_host(x), backend.from_host(np.array([2, 0]))
    made = backend.xp.put(given, index, 9.0)
    assert (host(backend, made)[[2, 0]] == 9).all()
    assert (host(backend, given) == x).all()
    assert not backend.shares_memory(backend.xp.copy(given), given)


@both
def test_ascontiguousarray_copies_only_when_it_must(backend):
    x = backend.from_host(RNG.random((4, 3)))
    assert backend.xp.ascontiguousarray(x) is x
    assert backend.xp.ascontiguousarray(x.T).flags.c_contiguous
    assert backend.xp.ascontiguousarray(backend.asarray(1.0)).shape == ()


@both
@pytest.mark.parametrize("channels_last", [False, True])
def test_sliding_windows_is_a_view_of_every_window(backend, channels_last):
    x = RNG.random((2, 3, 7, 8))
    given = backend.from_host(x)
    if channels_last:
        given = backend.xp.permute_dims(backend.from_host(np.ascontiguousarray(x.transpose(0, 2, 3, 1))), (0, 3, 1, 2))
    view = backend.xp.sliding_windows(given, (3, 2), (2, 3), (1, 2))
    assert view.shape == (2, 3, 3, 2, 3, 2)
    assert backend.shares_memory(view, given)
    for oh, ow in [(0, 0), (2, 1)]:
        expected = x[:, :, oh * 2 : oh * 2 + 3, ow * 3 : ow * 3 + 3 : 2]
        assert (host(backend, view)[:, :, oh, ow] == expected).all()
    with pytest.raises(ValueError, match="does not fit"):
        backend.xp.sliding_windows(given, (8, 2))
    with pytest.raises(ValueError, match="must have 4 dimensions"):
        backend.xp.sliding_windows(given[0], (2, 2))
    assert backend.xp.as_strided(given, shape=(2,), strides=(given.strides[0],)).shape == (2,)


@both
def test_standard_functions_where_the_libraries_differ(backend):
    xp = backend.xp
    x = np.array([[3.0, 1.0, 3.0], [0.0, 2.0, 2.0]])
    a = backend.from_host(x)
    assert host(backend, xp.argsort(a, descending=True)).tolist() == [[0, 2, 1], [1, 2, 0]]
    assert host(backend, xp.sort(a, descending=True)).tolist() == [[3, 3, 1], [2, 2, 0]]
    assert host(backend, xp.cumulative_sum(a, axis=1, include_initial=True)).tolist()[0] == [0, 3, 4, 7]
    assert host(backend, xp.cumulative_prod(a[0])).tolist() == [3, 3, 9]
    np.testing.assert_allclose(host(backend, xp.var(a, axis=0, correction=1)), x.var(axis=0, ddof=1))
    assert host(backend, xp.clip(a, 1, 2)).tolist() == [[2, 1, 2], [1, 2, 2]]
    assert not backend.shares_memory(xp.clip(a), a)
    assert host(backend, xp.count_nonzero(a, axis=1, keepdims=True)).tolist() == [[3], [2]]
    assert [host(backend, u).tolist() for u in xp.unstack(a, axis=1)] == x.T.tolist()
    assert host(backend, xp.vecdot(a, a)).tolist() == [19, 8]
    assert xp.reshape(a, shape=(3, 2)).shape == (3, 2)
    assert xp.isdtype(ml_dtypes.bfloat16, "real floating")
    assert not xp.isdtype(np.int32, ("bool", "complex floating"))
    assert float(xp.finfo(ml_dtypes.bfloat16).eps) == 2.0**-7
    with pytest.raises(ValueError, match="kind must be one of"):
        xp.isdtype(np.int32, "whole numbers")


def test_the_list_of_cupys_names_is_that_of_the_installed_cupy():
    pytest.importorskip("cupy", minversion="14.2.0")
    script = importlib.import_module("chainrule.backends.guard_names")
    from chainrule.backends.guard_module import names

    if script.collect()["cupy"] == names()["cupy"]:
        assert script.collect() == names()


def test_the_first_lines_of_a_script_choose_the_accelerator():
    device = cr.accelerator.current_accelerator().type if cr.accelerator.is_available() else "cpu"
    assert device == ("cuda" if cr.cuda.is_available() else "cpu")
    assert cr.accelerator.device_count() == cr.cuda.device_count()
    if device == "cpu":
        assert cr.accelerator.current_accelerator() is None
        with pytest.raises(RuntimeError, match="CUDA is not available"):
            cr.accelerator.synchronize()


def test_what_scripts_call_on_cuda_does_nothing_without_one():
    cr.manual_seed(3)
    if not cr.cuda.is_available():
        cr.cuda.manual_seed(1)
        cr.cuda.manual_seed_all(1)
        assert cr.initial_seed() == 3
    cr.cuda.empty_cache()


def test_switches_that_scripts_set_are_accepted(monkeypatch):
    for name, value in (("deterministic", True), ("benchmark", True), ("enabled", False)):
        monkeypatch.setattr(cr.backends.cudnn, name, value)  # an attribute that is not there would be an error
    assert not cr.backends.mps.is_available()
    assert not cr.backends.mps.is_built()
