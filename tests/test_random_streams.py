"""Random bits, and how they become numbers."""

import ctypes
import math
import re
import shutil
import subprocess

import ml_dtypes
import numpy as np
import pytest

from chainrule.backends import backend_for, philox, random

CPU, GUARD = backend_for("cpu"), backend_for("guard")
DTYPES = [np.float64, np.float32, np.float16, ml_dtypes.bfloat16]
KEYS = [(0, 0), (1, 2), (2**64 - 1, 2**63 + 5)]


def numpys(key, stream, count):
    return np.random.Philox(key=np.array([key, stream], np.uint64)).random_raw(count)


def emulated(key, stream, count):
    """The algorithm of the CUDA kernel in Python integers, its constants read from the kernel's source."""
    found = dict(re.findall(r"([MW][01]) = (0x[0-9A-F]+)ull", philox.CUDA_SOURCE))
    m0, m1, w0, w1 = (int(found[n], 16) for n in ("M0", "M1", "W0", "W1"))
    mask, words = (1 << 64) - 1, []
    for block in range(-(-count // 4)):
        c0, c1, c2, c3, k0, k1 = block + 1, 0, 0, 0, key, stream
        for _ in range(10):
            p0, p1 = m0 * c0, m1 * c2
            c0, c1, c2, c3 = (p1 >> 64) ^ c1 ^ k0, p1 & mask, (p0 >> 64) ^ c3 ^ k1, p0 & mask
            k0, k1 = (k0 + w0) & mask, (k1 + w1) & mask
        words += [c0, c1, c2, c3]
    return words[:count]


@pytest.mark.parametrize(("key", "stream"), KEYS)
def test_words_are_numpys_philox(key, stream):
    assert emulated(key, stream, 11) == numpys(key, stream, 11).tolist()
    assert (philox.host_bits(key, stream, 11) == numpys(key, stream, 11)).all()
    assert (GUARD.random_bits(key, stream, 11).get() == numpys(key, stream, 11)).all()
    assert philox.host_bits(key, stream, 0).shape == (0,)


def test_words_do_not_depend_on_threads_and_chunks(monkeypatch):
    expected = numpys(3, 4, 1003)
    monkeypatch.setattr(philox, "_CHUNK", 16)
    for threshold in (1, 10**9):
        monkeypatch.setattr(philox, "_TWO_THREADS", threshold)
        assert (philox.host_bits(3, 4, 1003) == expected).all()
        assert (random.uniform(CPU, 3, 4, (2006,)) == random.uniform(GUARD, 3, 4, (2006,)).get()).all()


def test_an_error_in_the_second_thread_is_raised(monkeypatch):
    monkeypatch.setattr(philox, "_CHUNK", 16)
    monkeypatch.setattr(philox, "_TWO_THREADS", 1)
    monkeypatch.setattr(philox, "get_num_threads", lambda: 2)

    def convert(words, out):
        if out.ctypes.data != first:
            raise ZeroDivisionError

    out = np.zeros(32)
    first = out.ctypes.data
    with pytest.raises(ZeroDivisionError):
        philox.host_fill(0, 0, out, 1, convert)


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++ to compile the CUDA source for the host")
def test_the_cuda_source_gives_numpys_words(tmp_path):
    host = """
    #define __global__
    struct Dim { unsigned x; };
    static Dim gridDim{2}, blockDim{3}, blockIdx{0}, threadIdx{0};
    static unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
        return (unsigned long long)(((unsigned __int128)a * b) >> 64);
    }
    """
    run = """
    extern "C" void run(unsigned long long k0, unsigned long long k1, unsigned long long n, unsigned long long* out) {
        for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x)
            for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x) philox4x64(k0, k1, n, out);
    }
    """
    (tmp_path / "philox.cpp").write_text(host + philox.CUDA_SOURCE + run)
    library = tmp_path / "philox.so"
    subprocess.run(["g++", "-shared", "-fPIC", "-o", library, tmp_path / "philox.cpp"], check=True)
    for (key, stream), count in zip(KEYS, (101, 4, 1), strict=True):
        out = np.zeros(count + 1, np.uint64)
        arguments = [ctypes.c_uint64(v) for v in (key, stream, count)]
        ctypes.CDLL(str(library)).run(*arguments, ctypes.c_void_p(out.ctypes.data))
        assert (out[:-1] == numpys(key, stream, count)).all()
        assert out[-1] == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 5), (3, 0)])
def test_shapes_dtypes_and_equality_across_backends(dtype, shape):
    for draw in (random.uniform, random.normal):
        x, y = draw(CPU, 5, 6, shape, dtype), draw(GUARD, 5, 6, shape, dtype)
        assert type(x) is np.ndarray
        assert x.shape == y.shape == shape
        assert x.dtype == y.dtype == dtype
        assert (x == y.get()).all()


def test_uniform_is_its_definition():
    words = [int(w) for w in numpys(7, 8, 5)]
    assert random.uniform(CPU, 7, 8, (5,), np.float64).tolist() == [(w >> 11) / 2**53 for w in words]
    halves = [h for w in words for h in (w & 0xFFFFFFFF, w >> 32)]
    assert random.uniform(CPU, 7, 8, (9,)).tolist() == [(h >> 8) / 2**24 for h in halves[:9]]
    quarters = [(w >> s) & 0xFFFF for w in words for s in (0, 16, 32, 48)]
    assert random.uniform(CPU, 7, 8, (19,), np.float16).tolist() == [(q >> 5) / 2**11 for q in quarters[:19]]
    assert random.uniform(CPU, 7, 8, (19,), DTYPES[3]).tolist() == [(q >> 8) / 2**8 for q in quarters[:19]]


class AllOnes(type(CPU)):
    """A backend whose random words have every bit set: the largest uniforms."""

    def __init__(self, word):
        super().__init__()
        self.word = word

    def random_bits(self, key, stream, count):
        return np.full(count, self.word, np.uint64)

    def fill_from_bits(self, key, stream, out, per_word, convert):
        convert(self.random_bits(key, stream, -(-out.size // per_word)), out)


@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_words(dtype, monkeypatch):
    monkeypatch.setattr("chainrule.backends.base.KERNELS", {})  # the list of the one backend that everybody uses stays
    top = random.uniform(AllOnes(2**64 - 1), 0, 0, (4,), dtype)
    assert (top < 1).all()
    assert (top > 0.99).all()
    for word in (0, 2**64 - 1):
        assert np.isfinite(random.normal(AllOnes(word), 0, 0, (4,), dtype).astype(float)).all()


def test_normal_is_its_definition():
    words = [int(w) for w in numpys(1, 9, 6)]
    pairs = [(((w & 0xFFFFFFFF) + 1) / 2**32, (w >> 40) / 2**24) for w in words[:3]]
    r = [math.sqrt(-2 * math.log(u)) for u, _ in pairs]
    cosines = [a * math.cos(2 * math.pi * v) for a, (_, v) in zip(r, pairs, strict=True)]
    sines = [a * math.sin(2 * math.pi * v) for a, (_, v) in zip(r, pairs, strict=True)]
    np.testing.assert_allclose(random.normal(CPU, 1, 9, (5,)), [*cosines, *sines[:2]], rtol=1e-5, atol=1e-6)
    u, v = ((words[0] >> 11) + 1) / 2**53, (words[1] >> 11) / 2**53
    expected = [math.sqrt(-2 * math.log(u)) * f(2 * math.pi * v) for f in (math.cos, math.sin)]
    np.testing.assert_allclose(random.normal(CPU, 1, 9, (2,), np.float64), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_moments(dtype):
    u = random.uniform(CPU, 11, 0, (100_000,), dtype).astype(float)
    z = random.normal(CPU, 11, 1, (100_000,), dtype).astype(float)
    assert abs(u.mean() - 0.5) < 0.005
    assert abs(u.var() - 1 / 12) < 0.002
    assert abs(z.mean()) < 0.015
    assert abs(z.std() - 1) < 0.01
    assert abs((z**4).mean() - 3) < 0.15
    assert abs(np.corrcoef(z[:50_000], z[50_000:])[0, 1]) < 0.02  # cosines and sines of the same pairs


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0, 10), (-5, 3), (0, 2**32), (0, 2**32 + 1), (-(2**40), 2**61 + 17), (-(2**63), 2**63)]
)
def test_integers_are_their_definition(low, high):
    expected = [low + ((int(w) * (high - low)) >> 64) for w in numpys(3, 4, 50)]
    assert random.integers(CPU, 3, 4, (50,), low, high).tolist() == expected
    assert random.integers(GUARD, 3, 4, (5, 10), low, high).get().ravel().tolist() == expected


def test_masks_and_permutations():
    quarters = numpys(2, 2, 250).view(np.uint16)
    assert (random.keep_mask(CPU, 2, 2, (10, 100), 0.3) == (quarters < round(0.3 * 65536)).reshape(10, 100)).all()
    assert (random.keep_mask(GUARD, 2, 2, (999,), 0.3).get() == (quarters < round(0.3 * 65536))[:999]).all()
    assert random.keep_mask(CPU, 0, 0, (70_000,), 1.0).all()
    assert not random.keep_mask(CPU, 0, 0, (70_000,), 0.0).any()
    p = np.array([0.0, 1.0, 0.5], np.float32)
    assert random.bernoulli(CPU, 0, 0, (100, 3), p).mean(axis=0)[:2].tolist() == [0, 1]
    order = random.permutation(CPU, 4, 5, 1000)
    assert sorted(order.tolist()) == list(range(1000))
    assert (order == random.permutation(GUARD, 4, 5, 1000).get()).all()
    assert random.permutation(CPU, 0, 0, 0).shape == (0,)


def test_calls_and_seeds_differ():
    draws = {tuple(random.uniform(CPU, key, stream, (4,)).tolist()) for key in range(5) for stream in range(5)}
    assert len(draws) == 25


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: random.uniform(CPU, 0, 0, (2,), np.int32), TypeError, "uniform: argument 'dtype' .* got int32"),
        (lambda: random.normal(CPU, 0, 0, (2,), bool), TypeError, "normal: argument 'dtype'"),
        (lambda: random.bernoulli(CPU, 0, 0, (2,), 1.5), ValueError, "bernoulli: argument 'p'.* got 1.5"),
        (lambda: random.keep_mask(CPU, 0, 0, (2,), -0.1), ValueError, "keep_mask: argument 'keep'"),
        (lambda: random.integers(CPU, 0, 0, (2,), 3, 3), ValueError, "low < high"),
        (lambda: random.integers(CPU, 0, 0, (2,), 0, 300, np.int8), ValueError, "does not fit into int8"),
        (lambda: random.permutation(CPU, 0, 0, -1), ValueError, "permutation: argument 'n'"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
