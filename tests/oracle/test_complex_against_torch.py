"""Complex programs in both libraries: training, hooks, custom functions, gradients of gradients, special values."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle

Z = [1 + 2j, 3 - 4j, -1 + 0.5j]
R = [1.0, 2.0, 3.0]


def leaves(lib):
    z = lib.tensor(Z, dtype=lib.complex128, requires_grad=True)
    r = lib.tensor(R, dtype=lib.float64, requires_grad=True)
    return z, r


def arrays(tensors):
    return [np.array(t.tolist()) for t in tensors]


def agree(program, rtol=1e-10):
    ours, theirs = arrays(program(cr)), arrays(program(torch))
    assert len(ours) == len(theirs) > 0
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert a.dtype == b.dtype, i
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-12, err_msg=f"value {i}")


def test_hooks_of_every_kind_see_the_same():
    def program(lib):
        z, r = leaves(lib)
        seen = []
        y = (z * r * (2 + 1j)).exp() * z.conj()
        y.retain_grad()
        y.register_hook(lambda g: seen.append(g))
        z.register_hook(lambda g: g * (1 + 1j))
        y.grad_fn.register_hook(lambda given, outputs: seen.extend([*given, *outputs]))
        y.grad_fn.register_prehook(lambda outputs: seen.extend(outputs))
        y.abs().sum().backward()
        return [z.grad, r.grad, y.grad, *seen]

    agree(program)


def test_gradients_of_gradients_with_respect_to_inputs_and_seeds():
    def program(lib):
        z, r = leaves(lib)
        y = (z * r).sin() * z.conj() + lib.fft.fft(z * r)
        v = lib.tensor([1j, 2, 1 - 1j], dtype=lib.complex128, requires_grad=True)
        gz, gr = lib.autograd.grad(y, [z, r], v, create_graph=True)
        second = lib.autograd.grad((gz.abs() ** 2).sum() + (gr**2).sum(), [z, r, v])
        return [gz, gr, *second]

    agree(program)


def test_custom_functions():
    def program(lib):
        seen = []

        class Product(lib.autograd.Function):
            @staticmethod
            def forward(ctx, z, r):
                ctx.save_for_backward(z, r)
                return z * z * r, z.abs()

            @staticmethod
            def backward(ctx, g, size):
                z, r = ctx.saved_tensors
                seen.extend([g.detach(), size.detach()])
                return 2 * (z * r).conj() * g + size * z / z.abs(), ((z * z).conj() * g).real

        z, r = leaves(lib)
        y, size = Product.apply(z, r)
        v = lib.tensor([1j, 2, 1 - 1j], dtype=lib.complex128)
        first = lib.autograd.grad([y, size.sum()], [z, r], [v, None], create_graph=True)
        return [*first, *lib.autograd.grad(first[0].abs().sum() + first[1].sum(), [z, r]), *seen]

    agree(program)


def test_writes_into_parts():
    def program(lib):
        z, r = leaves(lib)
        y = z * 2
        y.imag.mul_(r)
        y.real.add_(r * r)
        lib.view_as_real(y)[1].mul_(3.0)
        pairs = lib.view_as_real(z * 1j)
        lib.view_as_complex(pairs).mul_(z * r)
        first = lib.autograd.grad((y * y * z).abs().sum() + (pairs * pairs).sum(), [z, r], create_graph=True)
        return [*first, *lib.autograd.grad(first[0].abs().sum() + first[1].sum(), [z, r])]

    agree(program)


def test_training_a_complex_model():
    """Twenty steps of gradient descent on a filter in frequency space: every loss and every weight agree."""
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((4, 16)), rng.standard_normal((4, 16))
    start = rng.standard_normal(9) + 1j * rng.standard_normal(9)
    mix = rng.standard_normal((16, 16)) / 4 + 1j * rng.standard_normal((16, 16)) / 4

    def program(lib):
        w = lib.tensor(start.tolist(), dtype=lib.complex128, requires_grad=True)
        m = lib.tensor(mix.tolist(), dtype=lib.complex128, requires_grad=True)
        data, goal = (lib.tensor(a.tolist(), dtype=lib.float64) for a in (x, target))
        history = []
        for _ in range(20):
            filtered = lib.fft.irfft(lib.fft.rfft(data) * w, n=16)
            loss = ((filtered @ m.real - goal) ** 2).mean() + ((data + 0j) @ m).abs().mean()
            loss.backward()
            with lib.no_grad():
                for p in (w, m):
                    p -= 0.02 * p.grad
                    p.grad = None
            history.append(loss.detach())
        return [*history, w.detach(), m.detach()]

    agree(program)


VALUES = [0j, 1 + 0j, -1 + 0j, 1j, -1j, complex(-1, -0.0), complex(-0.0, 0.0), 1e-20 + 1e-20j, 1e200 - 1e200j]
VALUES += [complex(np.inf, 1), complex(-np.inf, 1), complex(1, np.inf), complex(np.nan, 1), complex(1, np.nan)]


@pytest.mark.parametrize(
    "name", ["abs", "angle", "sgn", "sqrt", "log", "conj", "real", "imag", "isreal", "isnan", "exp"]
)
def test_special_values(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = getattr(cr, name)(cr.tensor(VALUES, dtype=cr.complex128)).numpy(force=True)
        theirs = getattr(torch, name)(torch.tensor(VALUES, dtype=torch.complex128)).resolve_conj().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("name", ["angle", "sgn"])
def test_special_real_values(name):
    values = [0.0, -0.0, 1.0, -2.0, np.inf, -np.inf, *([np.nan] if name == "angle" else [])]
    ours = getattr(cr, name)(cr.tensor(values)).numpy(force=True)
    np.testing.assert_allclose(ours, getattr(torch, name)(torch.tensor(values)).numpy())


@pytest.mark.parametrize(
    "values",
    [
        [1 + 2j, 3.5 - 4j], 1j, [1e10 + 1j, 1], [1 + 1j, 2], [complex(np.nan, 1), complex(1, np.inf)],
        [[1.5j, 2], [3, 4]], [[1.5 - 2j, 16.5 - 22j], [0, 1]], [0.001 + 1000j, 1], [1 - 1e-6j], [[[1j]], [[2.25]]],
        list(np.arange(40) * (1.5 - 2j)),
    ],
)  # fmt: skip
def test_printing(values):
    with cr.device("cpu"):
        for dtype in ("complex64", "complex128"):
            ours = repr(cr.tensor(values, dtype=getattr(cr, dtype)))
            theirs = repr(torch.tensor(values, dtype=getattr(torch, dtype)))
            assert ours == theirs.replace("torch.", "chainrule.")


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("other", ["bool", "int64", "float16", "bfloat16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("scalar", [False, True])
def test_promotion(dtype, other, scalar):
    def result(lib):
        x = lib.ones(2, dtype=getattr(lib, dtype))
        y = lib.ones(() if scalar else (2,), dtype=getattr(lib, other))
        return [(x * y).dtype, (y * x).dtype, (x + 1.5).dtype, (y * 2j).dtype]

    def names(found):
        return [str(d).rpartition(".")[2] for d in found]

    theirs = names(result(torch))
    if other == "float16":
        theirs = ["complex64" if d == "complex32" else d for d in theirs]  # complex32 does not exist here
    assert names(result(cr)) == theirs


def test_cast_of_a_gradient_to_a_real_input_is_silent():
    def program(lib):
        r = lib.tensor(R, requires_grad=True)
        (r * 1j * r).sum().backward(lib.tensor(1 + 1j))
        return [r.grad]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agree(program, rtol=1e-6)
