"""Complex tensors: gradients in PyTorch's convention, views of parts, promotion, printing, what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import gradcheck, gradgradcheck

Z = [1 + 2j, 3 - 4j, -1 + 0.5j]


def leaf(values=Z, dtype=cr.complex128):
    return cr.tensor(values, dtype=dtype, requires_grad=True)


# ---- the convention: dL/dRe + i dL/dIm ------------------------------------------------------------------------------


def test_gradient_of_the_squared_modulus_is_twice_the_number():
    z = leaf()
    (z.abs() ** 2).sum().backward()
    np.testing.assert_allclose(z.grad.numpy(force=True), 2 * np.array(Z), rtol=1e-12)


def test_gradient_of_a_holomorphic_function_is_the_conjugate_derivative_times_the_seed():
    z = leaf()
    seed = cr.tensor([1j, 2.0, 1 - 1j], dtype=cr.complex128)
    (g,) = cr.autograd.grad(z * z, z, seed)
    np.testing.assert_allclose(g.numpy(force=True), seed.numpy(force=True) * np.conj(2 * np.array(Z)), rtol=1e-12)


@pytest.mark.parametrize("create_graph", [False, True])
def test_everything_a_user_sees_has_one_convention(create_graph):
    """y = 3i z, L = Re y + 2 Im y: dL/dy is 1 + 2i everywhere, dL/dz is conj(3i) times that."""
    z = leaf()
    y = z * 3j
    seen = {}
    y.retain_grad()
    y.register_hook(lambda g: seen.update(tensor=g.detach().clone()))
    y.grad_fn.register_prehook(lambda g: seen.update(before=g[0].detach().clone()))
    y.grad_fn.register_hook(lambda gi, go: seen.update(inside=gi[0].detach().clone(), outside=go[0].detach().clone()))
    z.register_hook(lambda g: seen.update(leaf=g.detach().clone()))
    (y.real + 2 * y.imag).sum().backward(create_graph=create_graph)
    seen["retained"] = y.grad.detach()
    for name in ("tensor", "before", "outside", "retained"):
        np.testing.assert_allclose(seen[name].numpy(force=True), [1 + 2j] * 3, err_msg=name)
    for name, g in (("inside", seen["inside"]), ("leaf", seen["leaf"]), ("grad", z.grad.detach())):
        np.testing.assert_allclose(g.numpy(force=True), [-3j * (1 + 2j)] * 3, err_msg=name)


def test_what_hooks_return_is_in_that_convention_too():
    z = leaf()
    y = z * 1
    y.register_hook(lambda g: g * 1j)
    y.grad_fn.register_prehook(lambda g: (g[0] + 1,))
    y.grad_fn.register_hook(lambda gi, go: (gi[0] * 2, *gi[1:]))
    z.register_hook(lambda g: g - 1)
    y.real.sum().backward()
    np.testing.assert_allclose(z.grad.numpy(force=True), [2 * (1j + 1) - 1] * 3)


def test_gradients_accumulate_and_inputs_receive_them():
    z = leaf()
    y = z * 1j
    for _ in range(2):
        y.imag.sum().backward(retain_graph=True)  # Im(i z) = Re z
    np.testing.assert_allclose(z.grad.numpy(force=True), [2.0] * 3)
    y.imag.sum().backward(inputs=[y])
    np.testing.assert_allclose(y.grad.numpy(force=True), [1j] * 3)


def test_custom_functions_take_and_give_it():
    seen = []

    class TimesThreeI(cr.autograd.Function):
        @staticmethod
        def forward(ctx, z, r):
            ctx.save_for_backward(r)
            return z * r * 3j

        @staticmethod
        def backward(ctx, g):
            (r,) = ctx.saved_tensors
            seen.append(g.detach())
            return g * r * -3j, g * 1j  # of a real argument the real part is taken

    z, r = leaf(), cr.tensor([1.0, 2.0, 3.0], dtype=cr.float64, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (gz, gr) = cr.autograd.grad(TimesThreeI.apply(z, r), [z, r], cr.full((3,), 1 + 2j, dtype=cr.complex128))
    np.testing.assert_allclose(seen[0].numpy(force=True), [1 + 2j] * 3)
    np.testing.assert_allclose(gz.numpy(force=True), np.array([1.0, 2.0, 3.0]) * (6 - 3j))
    assert gr.dtype == cr.float64
    np.testing.assert_allclose(gr.numpy(force=True), [-2.0] * 3)


def test_real_inputs_get_real_gradients_without_a_warning():
    r = cr.tensor([1.0, 2.0], requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ((r * (1 + 2j)) * (r + 1j)).sum().backward(cr.tensor(1 + 1j))
    assert r.grad.dtype == cr.float32
    expected = ((1 - 1j) * (1 + 2j) * (2 * np.array([1.0, 2.0]) + 1j)).real
    np.testing.assert_allclose(r.grad.numpy(force=True), expected, rtol=1e-6)


def test_several_paths_of_real_and_complex_gradients_meet():
    r = cr.tensor([0.5, 2.0], dtype=cr.float64, requires_grad=True)
    gradcheck(lambda r: (r * 2j).exp() * r + r, r)
    gradgradcheck(lambda r: (r * 2j).exp() * r + r, r)


def test_second_derivatives_are_recorded_through_the_conjugation():
    gradgradcheck(lambda z, w: (z * w.conj()).sin() * z.abs(), [leaf(), leaf([2j, 1 - 1j, 0.3])])


@pytest.mark.parametrize("call", [lambda y, z: y.backward(), lambda y, z: cr.autograd.grad(y, z)])
def test_a_complex_result_needs_a_seed(call):
    z = leaf()
    with pytest.raises(RuntimeError, match="only for real scalar outputs but got chainrule.complex128"):
        call(z.sum(), z)


@pytest.mark.parametrize(("complex_result", "seed"), [(True, cr.tensor(1.0)), (False, cr.tensor(1 + 0j))])
def test_a_seed_is_complex_where_the_result_is(complex_result, seed):
    z = leaf()
    with pytest.raises(RuntimeError, match="same dtype"):
        (z.sum() if complex_result else z.abs().sum()).backward(seed)


def test_gradcheck_sees_a_conjugated_rule():
    class Wrong(cr.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            ctx.save_for_backward(z)
            return z * z

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0]

    with pytest.raises(cr.autograd.GradcheckError):
        gradcheck(Wrong.apply, leaf())


# ---- parts ----------------------------------------------------------------------------------------------------------


def test_real_and_imag_are_views_that_can_be_written():
    z = cr.tensor(Z)
    z.real[0] = 10.0
    z.imag += 1
    z.real = z.real * 2
    np.testing.assert_allclose(z.numpy(force=True), [20 + 3j, 6 - 3j, -2 + 1.5j])
    x = cr.ones(2)
    assert x.real is x
    with pytest.raises(RuntimeError, match="imag"):
        _ = x.imag


def test_view_as_real_and_complex_share_memory():
    z = cr.tensor(Z)
    parts = cr.view_as_real(z)
    parts[1, 0] = 7.0
    assert z[1].item() == 7 - 4j
    cr.view_as_complex(parts)[2] = 5j
    assert parts[2].tolist() == [0.0, 5.0]


def test_gradient_through_writes_into_parts():
    def f(z, r):
        y = z * 1
        y.imag.mul_(r)
        y.real.add_(r * r)
        cr.view_as_real(y)[1].mul_(3.0)
        pairs = cr.view_as_real(z * 1j)
        cr.view_as_complex(pairs).mul_(z)
        return y * y, pairs

    r = cr.tensor([1.0, 2.0, 3.0], dtype=cr.float64, requires_grad=True)
    gradcheck(f, [leaf(), r])
    gradgradcheck(f, [leaf(), r])


def test_view_as_complex_refuses_other_layouts():
    with pytest.raises(RuntimeError, match="length 2"):
        cr.view_as_complex(cr.ones(3))
    with pytest.raises(RuntimeError, match="stride 1"):
        cr.view_as_complex(cr.ones(2, 4)[:, ::2])
    with pytest.raises(RuntimeError, match="complex tensors"):
        cr.view_as_real(cr.ones(2))


def test_parts_of_strided_tensors():
    z = cr.tensor(np.arange(6).reshape(2, 3) * (1 + 2j))
    turned = z.T[::2]
    np.testing.assert_array_equal(cr.view_as_real(turned).numpy(force=True)[..., 1], z.numpy(force=True).T[::2].imag)
    assert cr.view_as_real(z.sum()).tolist() == [15.0, 30.0]


def test_conjugates_are_computed_at_once():
    z = cr.tensor(Z)
    assert not z.conj().is_conj() and not z.is_neg()
    assert z.resolve_conj() is z and z.resolve_neg() is z
    x = cr.ones(2)
    assert x.conj() is x
    np.testing.assert_array_equal(z.conj().numpy(force=True), np.conj(Z).astype(np.complex64))
    z.conj_physical_()
    np.testing.assert_array_equal(z.numpy(force=True), np.conj(Z).astype(np.complex64))


def test_complex_and_polar_take_two_of_one_dtype():
    assert cr.complex(cr.ones(2), cr.tensor([np.inf, np.nan])).real.tolist() == [1.0, 1.0]
    assert np.signbit(cr.complex(cr.tensor(1.0), cr.tensor(-0.0)).numpy(force=True).imag)
    np.testing.assert_allclose(cr.polar(cr.tensor([2.0]), cr.tensor([np.pi])).numpy(force=True), [-2.0], atol=1e-6)
    for f in (cr.complex, cr.polar):
        with pytest.raises(RuntimeError, match="float"):
            f(cr.ones(2), cr.ones(2, dtype=cr.float64))
        with pytest.raises(RuntimeError, match="float"):
            f(cr.ones(2, dtype=cr.int64), cr.ones(2, dtype=cr.int64))


@pytest.mark.parametrize("f", [cr.abs, cr.angle, cr.sgn])
def test_gradients_at_zero_are_zero(f):
    z = leaf([0.0, 1 + 1j])
    result = f(z)
    g = cr.autograd.grad(result, z, cr.ones_like(result), create_graph=True)[0]
    assert g[0].item() == 0
    (second,) = cr.autograd.grad(g.abs().sum(), z)
    assert np.isfinite(second.numpy(force=True)).all()


# ---- dtypes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ("float32", 1j, "complex64"), ("float64", 1j, "complex128"), ("int64", 1j, "complex64"),
        ("float16", 1j, "complex64"), ("bfloat16", 1j, "complex64"), ("complex64", 2.0, "complex64"),
        ("complex128", 2, "complex128"),
    ],
)  # fmt: skip
def test_python_numbers_are_weak(x, y, expected):
    assert (cr.ones(2, dtype=getattr(cr, x)) * y).dtype == getattr(cr, expected)
    assert (y * cr.ones(2, dtype=getattr(cr, x))).dtype == getattr(cr, expected)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ("float64", "complex64", "complex128"),
        ("float32", "complex64", "complex64"),
        ("int64", "complex64", "complex64"),
    ],
)
def test_promotion_of_tensors(x, y, expected):
    assert (cr.ones(2, dtype=getattr(cr, x)) + cr.ones(2, dtype=getattr(cr, y))).dtype == getattr(cr, expected)


def test_the_default_complex_dtype_follows_the_default_dtype():
    assert cr.tensor(1j).dtype == cr.complex64 and cr.ones(1, dtype=complex).dtype == cr.complex64
    cr.set_default_dtype(cr.float64)
    try:
        assert cr.tensor(1j).dtype == cr.complex128 and cr.ones(1, dtype=complex).dtype == cr.complex128
        assert cr.full((1,), 1j).dtype == cr.complex128
    finally:
        cr.set_default_dtype(cr.float32)


def test_conversion_to_real_warns_and_keeps_the_gradient():
    z = leaf()
    with pytest.warns(UserWarning, match="discards the imaginary part"):
        x = z.to(cr.float64)
    x.sum().backward()
    np.testing.assert_array_equal(z.grad.numpy(force=True), [1.0] * 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert z.detach().bool().all() and z.detach().cfloat().dtype == cr.complex64
        assert cr.ones(1).cdouble().dtype == cr.complex128
    with pytest.raises(TypeError, match="complex32"):
        z.chalf()


@pytest.mark.parametrize("dtype", [cr.complex64, cr.complex128])
def test_random_numbers_have_variance_one(dtype):
    cr.manual_seed(0)
    z = cr.randn(20000, dtype=dtype).numpy(force=True)
    assert abs(np.mean(np.abs(z) ** 2) - 1) < 0.03
    assert abs(np.var(z.real) - 0.5) < 0.02 and abs(np.mean(z.real * z.imag)) < 0.02
    u = cr.rand(20000, dtype=dtype).numpy(force=True)
    assert 0 <= u.imag.min() and u.imag.max() < 1 and abs(u.imag.mean() - 0.5) < 0.02
    assert abs(np.mean(np.abs(cr.zeros(20000, dtype=dtype).normal_(0, 3).numpy(force=True)) ** 2) - 9) < 0.3


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda z: z < z, lambda z: cr.ones(3) >= z, lambda z: z.max(), lambda z: z.min(0), lambda z: z.sort(),
        lambda z: z.argmax(), lambda z: z.topk(1), lambda z: z.clamp(0.0), lambda z: cr.maximum(cr.ones(3), z),
        lambda z: z.sign(), lambda z: z.relu(), lambda z: z.softmax(0), lambda z: z.round(), lambda z: z.cummax(0),
        lambda z: z.median(), lambda z: cr.nn.functional.mse_loss(z, z),
    ],
)  # fmt: skip
def test_complex_numbers_have_no_order(f):
    with pytest.raises(RuntimeError, match="complex"):
        f(cr.tensor(Z))


def test_equality_and_truth_are_defined():
    z = cr.tensor([1 + 2j, 0])
    assert (z == cr.tensor([1 + 2j, 1])).tolist() == [True, False]
    assert z.bool().tolist() == [True, False] and z.any() and not z.all()
    assert cr.isreal(z).tolist() == [False, True]


# ---- statistics -----------------------------------------------------------------------------------------------------


def test_variance_and_norms_are_real():
    z = leaf()
    for f, expected in (
        (cr.var, np.var(Z, ddof=1)),
        (cr.std, np.std(Z, ddof=1)),
        (cr.norm, np.linalg.norm(Z)),
    ):
        result = f(z)
        assert result.dtype == cr.float64
        np.testing.assert_allclose(result.item(), expected, rtol=1e-12)
        gradcheck(f, z)
        gradgradcheck(f, z)


def test_second_derivative_of_the_norm_where_one_element_is_zero():
    """The norm is smooth there, though |z| is not."""
    z = leaf([0.0, 3 + 4j])
    (g,) = cr.autograd.grad(z.norm(), z, create_graph=True)
    (second,) = cr.autograd.grad(g[0].real, z)
    np.testing.assert_allclose(second.numpy(force=True), [0.2, 0.0], atol=1e-12)


def test_sigmoid_is_exact_in_both_tails():
    z = cr.tensor([1000 + 1j, -1000 + 1j, 2 - 1j], dtype=cr.complex128)
    expected = [1.0, 0.0, 1 / (1 + np.exp(-(2 - 1j)))]
    np.testing.assert_allclose(z.sigmoid().numpy(force=True), expected, rtol=1e-12)


# ---- printing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1 + 2j, 3.5 - 4j], "tensor([1.0000+2.j, 3.5000-4.j])"),
        (1j, "tensor(0.+1.j)"),
        ([complex(np.nan, 1), complex(1, np.inf)], "tensor([nan+1.j, 1.+infj])"),
        ([1.5, 10 - 20j], "tensor([ 1.5000+0.j, 10.0000-20.j])"),
    ],
)
def test_printing(values, text):
    with cr.device("cpu"):
        assert repr(cr.tensor(values)) == text


@pytest.mark.parametrize("name", ["grad", "grad_and_value", "jacrev", "jacfwd", "hessian", "jacobian"])
def test_a_function_with_complex_results_has_no_one_derivative(name):
    def f(z):
        return z * z * z.conj()

    def jacobian(f):
        return lambda z: cr.autograd.functional.jacobian(f, z)

    transform = jacobian if name == "jacobian" else getattr(cr.func, name)
    with pytest.raises(RuntimeError, match="only for real scalar outputs but got chainrule.complex128"):
        transform(f)(cr.tensor(1 + 2j, dtype=cr.complex128))


def test_a_real_function_of_complex_numbers_has_a_gradient():
    z = cr.tensor(1 + 2j, dtype=cr.complex128)
    assert cr.func.grad(lambda z: (z * z.conj()).real)(z).item() == 2 + 4j  # PyTorch's convention
