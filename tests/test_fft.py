"""Fourier transforms: their arguments, dtypes, identities and errors; PyTorch's samples run in the oracle tests."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import gradcheck, gradgradcheck

NAMES = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
REAL_ONLY = ("rfft", "ihfft")


def signal(*shape, seed=0, real=True):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    return x if real else x + 1j * rng.standard_normal(shape)


@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
@pytest.mark.parametrize("n", [None, 1, 4, 5, 9])
@pytest.mark.parametrize("name", NAMES)
def test_one_dimension_as_numpy(name, n, norm):
    x = signal(3, 6, real=name in REAL_ONLY)
    for axis in (-1, 0):
        got = getattr(cr.fft, name)(cr.tensor(x), n=n, dim=axis, norm=norm)
        expected = getattr(np.fft, name)(x, n=n, axis=axis, norm=norm)
        np.testing.assert_allclose(got.numpy(force=True), expected, atol=1e-12)


@pytest.mark.parametrize("arguments", [{}, {"s": (4, 7)}, {"dim": (0, 2)}, {"s": (-1, 3), "dim": (2, 0)}])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_gradients_over_several_dimensions(name, arguments):
    x = cr.tensor(signal(2, 3, 2, real=name in REAL_ONLY), requires_grad=True)
    f = getattr(cr.fft, f"{name}n")
    gradcheck(lambda x: f(x, **arguments, norm="ortho"), x)
    gradgradcheck(lambda x: f(x, **arguments), x)


@pytest.mark.parametrize("name", ["fft", "rfft", "hfft"])
def test_inverses(name):
    x = cr.tensor(signal(4, 6), dtype=cr.float64)
    back = {"fft": cr.fft.ifftn, "rfft": cr.fft.irfftn, "hfft": cr.fft.ihfftn}[name]
    forth = getattr(cr.fft, f"{name}n")
    for norm in (None, "ortho", "forward"):
        if name == "hfft":  # the spectrum of half a signal is real
            result = forth(back(x, norm=norm), s=x.shape, norm=norm)
        else:
            result = back(forth(x, norm=norm), norm=norm)
        np.testing.assert_allclose(result.numpy(force=True).real, x.numpy(force=True), atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_stays_single(name):
    x = signal(8, 1000, real=name in REAL_ONLY)
    got = getattr(cr.fft, name)(cr.tensor(x.astype(np.float32 if name in REAL_ONLY else np.complex64)))
    assert got.dtype == (cr.float32 if name in ("irfft", "hfft") else cr.complex64)
    expected = getattr(np.fft, name)(x)
    assert np.abs(got.numpy(force=True) - expected).max() < 5e-7 * np.abs(expected).max()


def test_integers_are_taken_as_the_default_dtype():
    assert cr.fft.fft(cr.arange(3)).dtype == cr.complex64
    assert cr.fft.rfft(cr.tensor([True, False])).dtype == cr.complex64
    assert cr.fft.irfft(cr.arange(3)).dtype == cr.float32


def test_real_input_gets_a_real_gradient():
    x = cr.tensor(signal(5), requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (cr.fft.fft(x).abs() ** 2).sum().backward()
    assert x.grad.dtype == cr.float64
    np.testing.assert_allclose(
        x.grad.numpy(force=True), 10 * x.numpy(force=True), rtol=1e-12
    )  # Parseval: sum |X|^2 = n sum x^2


def test_nothing_to_transform():
    assert cr.fft.fftn(cr.tensor(3.0)).dtype == cr.complex64
    assert cr.fft.fftn(cr.ones(3), dim=()).shape == (3,)
    assert cr.fft.fft(cr.ones(0, 3)).shape == (0, 3)
    assert cr.fft.rfft(cr.ones(0, 4)).shape == (0, 3) and cr.fft.irfft(cr.ones(0, 3)).shape == (0, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cr.fft.fft(cr.ones(3).half()), "unsupported dtype"),
        (lambda: cr.fft.fft(cr.ones(3).bfloat16()), "unsupported dtype"),
        (lambda: cr.fft.rfft(cr.ones(3) * 1j), "real input"),
        (lambda: cr.fft.ihfft(cr.ones(3) * 1j), "real input"),
        (lambda: cr.fft.fft(cr.ones(3), n=0), "number of data points"),
        (lambda: cr.fft.fft(cr.ones(0)), "number of data points"),
        (lambda: cr.fft.irfft(cr.ones(1)), "number of data points"),
        (lambda: cr.fft.fft(cr.ones(3), norm="x"), "norm must be"),
        (lambda: cr.fft.fftn(cr.ones(3, 4), s=(2,), dim=(0, 1)), "same length"),
        (lambda: cr.fft.fftn(cr.ones(3, 4), s=(2, 2, 2)), "dimensions"),
        (lambda: cr.fft.fftn(cr.ones(3, 4), dim=(0, -2)), "once"),
        (lambda: cr.fft.rfftn(cr.ones(3), dim=()), "at least one"),
        (lambda: cr.fft.irfftn(cr.ones(3), dim=()), "at least one"),
        (lambda: cr.fft.fftfreq(4, dtype=cr.int64), "floating-point dtype"),
        (lambda: cr.fft.fft(cr.ones(3), dim=1), "fft.fft"),
    ],
)
def test_errors(call, message):
    with pytest.raises((RuntimeError, IndexError), match=message):
        call()


@pytest.mark.parametrize("n", [1, 4, 5])
def test_frequencies_and_shifts(n):
    np.testing.assert_allclose(cr.fft.fftfreq(n, 0.5).numpy(force=True), np.fft.fftfreq(n, 0.5), rtol=1e-6)
    np.testing.assert_allclose(cr.fft.rfftfreq(n, 0.5).numpy(force=True), np.fft.rfftfreq(n, 0.5), rtol=1e-6)
    x = signal(n, 3)
    for dim in (None, 0, (1, 0)):
        np.testing.assert_array_equal(cr.fft.fftshift(cr.tensor(x), dim).numpy(force=True), np.fft.fftshift(x, dim))
        np.testing.assert_array_equal(cr.fft.ifftshift(cr.tensor(x), dim).numpy(force=True), np.fft.ifftshift(x, dim))


def test_imaginary_parts_that_must_be_zero_are_ignored():
    x = signal(3, real=False)
    changed = x.copy()
    changed[0] += 5j
    changed[2] -= 3j
    np.testing.assert_allclose(
        cr.fft.irfft(cr.tensor(changed)).numpy(force=True), cr.fft.irfft(cr.tensor(x)).numpy(force=True), atol=1e-12
    )
    z = cr.tensor(changed, requires_grad=True)
    cr.fft.irfft(z)[1].backward()
    assert z.grad[0].imag.item() == 0 and z.grad[2].imag.item() == 0


# ---- short-time transforms ------------------------------------------------------------------------------------------


def window(n):
    return cr.tensor(0.5 - 0.5 * np.cos(2 * math.pi * (np.arange(n) + 0.5) / n))


def test_stft_is_the_transform_of_windows():
    x, w = signal(20), window(8)
    got = cr.stft(cr.tensor(x), 8, 3, window=w, center=False, return_complex=True).numpy(force=True)
    frames = np.stack([x[i : i + 8] for i in range(0, 13, 3)])
    np.testing.assert_allclose(got, np.fft.rfft(frames * w.numpy(force=True)).T, atol=1e-12)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("onesided", [False, True])
@pytest.mark.parametrize("shape", [(30,), (2, 30)])
def test_istft_is_the_inverse_of_stft(shape, onesided, normalized):
    x = cr.tensor(signal(*shape))
    options = {"hop_length": 2, "win_length": 6, "window": window(6), "normalized": normalized, "onesided": onesided}
    spectra = cr.stft(x, 8, **options, return_complex=True)
    assert spectra.shape[-2] == (5 if onesided else 8)
    back = cr.istft(spectra, 8, **options, length=30)
    np.testing.assert_allclose(back.numpy(force=True), x.numpy(force=True), atol=1e-10)


def test_gradients_of_stft_and_istft():
    x, w = cr.tensor(signal(14), requires_grad=True), window(6).requires_grad_()
    gradcheck(lambda x, w: cr.stft(x, 6, 2, window=w, return_complex=True), [x, w])
    gradgradcheck(lambda x, w: cr.stft(x, 6, 2, window=w, return_complex=True), [x, w])
    z = cr.tensor(signal(4, 4, real=False), requires_grad=True)
    gradcheck(lambda z, w: cr.istft(z, 6, 2, window=w), [z, w])
    gradgradcheck(lambda z, w: cr.istft(z, 6, 2, window=w), [z, w], atol=1e-4)


def test_stft_pads_as_asked_and_gives_pairs():
    x, w = cr.tensor(signal(12)), window(4)
    for mode in ("reflect", "constant", "replicate", "circular"):
        padded = cr.tensor(np.pad(x.numpy(force=True), 2, {"replicate": "edge", "circular": "wrap"}.get(mode, mode)))
        pairs = cr.stft(x, 4, window=w, pad_mode=mode, return_complex=False)
        expected = cr.stft(padded, 4, window=w, center=False, return_complex=True)
        np.testing.assert_allclose(pairs.numpy(force=True), cr.view_as_real(expected).numpy(force=True), atol=1e-12)


def test_without_a_window_a_warning_says_so():
    with pytest.warns(UserWarning, match="rectangular"):
        without = cr.stft(cr.ones(16), 8, return_complex=True)
    np.testing.assert_allclose(
        without.numpy(force=True), cr.stft(cr.ones(16), 8, window=cr.ones(8), return_complex=True).numpy(force=True)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"return_complex": None}, "return_complex"),
        ({"hop_length": 0}, "hop_length"),
        ({"win_length": 9}, "win_length"),
        ({"window": cr.ones(3)}, "window of shape"),
        ({"n_fft": 60, "window": cr.ones(60), "center": False}, "signal's length"),
        ({"n_fft": 60, "window": cr.ones(60)}, "cannot be padded"),
        ({"align_to_window": True}, "center=False"),
        ({"window": cr.ones(8) * 1j, "onesided": True}, "onesided"),
    ],
)
def test_errors_of_stft(options, message):
    given = {"n_fft": 8, "window": cr.ones(8), "return_complex": True, **options}
    with pytest.raises(RuntimeError, match=message):
        cr.stft(cr.ones(16), **given)


def test_errors_of_istft():
    z, w = cr.ones(5, 4) * (1 + 0j), window(8)
    for call, message in (
        (lambda: cr.istft(cr.ones(5, 4), 8, window=w), "complex tensor"),
        (lambda: cr.istft(z, 10, window=window(10)), "frequencies"),
        (lambda: cr.istft(z, 8, window=w, return_complex=True), "onesided"),
        (lambda: cr.istft(z, 8, 9, window=w), "hop_length"),
        (lambda: cr.istft(z, 8, 8, window=cr.zeros(8)), "leave out"),
    ):
        with pytest.raises(RuntimeError, match=message):
            call()
    with pytest.warns(UserWarning, match="zeros follow"):
        assert cr.istft(z, 8, window=w, length=40).shape == (40,)
