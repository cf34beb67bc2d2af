"""Linear algebra beyond what the declarations check: errors, singular matrices, triangles, einsum's forms."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import gradcheck, gradgradcheck
from chainrule.linalg import LinAlgError


def leaf(array):
    return cr.tensor(np.asarray(array, np.float64), requires_grad=True)


def host(t):
    return t.numpy(force=True)


RNG = np.random.default_rng(3)
SQUARE = RNG.normal(size=(3, 3)) + 3 * np.eye(3)
BATCH_WITH_SINGULAR = np.stack([np.eye(2), np.array([[1.0, 2.0], [2.0, 4.0]]), np.zeros((2, 2))])

# ---- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("linalg.inv", cr.linalg.inv),
        ("linalg.solve", lambda x: cr.linalg.solve(x, x)),
        ("linalg.lu_factor", cr.linalg.lu_factor),
        ("linalg.inv_ex", lambda x: cr.linalg.inv_ex(x, check_errors=True)),
        ("linalg.solve_ex", lambda x: cr.linalg.solve_ex(x, x, check_errors=True)),
        ("linalg.lu_factor_ex", lambda x: cr.linalg.lu_factor_ex(x, check_errors=True)),
    ],
)
def test_a_singular_matrix_is_named_with_its_place_in_the_batch(name, call):
    with pytest.raises(LinAlgError, match=rf"^{name}: \(batch element 1\).*2"):
        call(cr.tensor(BATCH_WITH_SINGULAR))
    with pytest.raises(LinAlgError, match=rf"^{name}: (the matrix is singular|U\[1,1\])"):
        call(cr.zeros(2, 2))


def test_a_matrix_that_is_not_positive_definite_is_named():
    x = cr.tensor(np.stack([np.eye(3), np.diag([1.0, -1.0, 1.0])]))
    with pytest.raises(LinAlgError, match=r"^linalg.cholesky: \(batch element 1\).*order 2"):
        cr.linalg.cholesky(x)
    with pytest.raises(LinAlgError, match=r"^linalg.cholesky_ex: \(batch element 1\).*order 2"):
        cr.linalg.cholesky_ex(x, check_errors=True)
    assert cr.linalg.cholesky_ex(x).info.tolist() == [0, 2]


def test_ex_functions_say_where_and_keep_the_other_matrices():
    x = cr.tensor(BATCH_WITH_SINGULAR)
    inverse, info = cr.linalg.inv_ex(x)
    assert info.tolist() == [0, 2, 1] and info.dtype == cr.int32
    np.testing.assert_array_equal(host(inverse[0]), np.eye(2))
    assert cr.linalg.solve_ex(x, x).info.tolist() == [0, 2, 1]
    assert cr.linalg.lu_factor_ex(x).info.tolist() == [0, 2, 1]


def test_linalg_error_is_a_runtime_error_of_the_module():
    assert issubclass(LinAlgError, RuntimeError)
    assert "LinAlgError" in cr.linalg.__all__


def test_a_matrix_that_is_not_finite_fails_to_converge():
    with pytest.raises(LinAlgError, match=r"linalg.svd: .*failed to converge"):
        cr.linalg.svd(cr.full((2, 2), float("nan")))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cr.linalg.inv(cr.ones(2, 3)), ["linalg.inv", "'A'", "square", "2 by 3"]),
        (lambda: cr.linalg.inv(cr.ones(3)), ["linalg.inv", "at least 2 dimensions", r"\(3,\)"]),
        (lambda: cr.linalg.inv(cr.ones(2, 2, dtype=cr.int64)), ["linalg.inv", "floating-point", "int64"]),
        (lambda: cr.linalg.solve(cr.eye(2), cr.ones(3)), ["linalg.solve", r"\(2, 2\)", r"\(3,\)"]),
        (lambda: cr.linalg.solve(cr.eye(2), cr.ones(2, dtype=cr.float64)), ["linalg.solve", "float32", "float64"]),
        (lambda: cr.linalg.solve(cr.eye(2), cr.ones(2), left=False), ["left=False"]),
        (lambda: cr.linalg.qr(cr.eye(2), "raw"), ["linalg.qr", "mode", "'raw'"]),
        (lambda: cr.linalg.eigh(cr.eye(2), UPLO="X"), ["linalg.eigh", "UPLO", "'X'"]),
        (lambda: cr.linalg.lu(cr.eye(2), pivot=False), ["linalg.lu", "pivot"]),
        (lambda: cr.linalg.lstsq(cr.eye(2), cr.ones(2), driver="x"), ["linalg.lstsq", "driver", "'x'"]),
        (lambda: cr.linalg.matrix_norm(cr.eye(2), 3), ["linalg.matrix_norm", "got 3"]),
        (lambda: cr.linalg.vector_norm(cr.ones(2, dtype=cr.int64)), ["linalg.vector_norm", "floating-point"]),
        (lambda: cr.linalg.vector_norm(cr.ones(0), float("inf")), ["linalg.vector_norm", "inf", r"\(0,\)"]),
        (lambda: cr.linalg.cross(cr.ones(2), cr.ones(2)), ["linalg.cross", "length 3"]),
        (lambda: cr.linalg.multi_dot([cr.ones(2, 3), cr.ones(2, 3)]), ["linalg.multi_dot", "0 and 1"]),
        (lambda: cr.addmm(cr.ones(3), cr.ones(2, 2), cr.ones(2, 2)), ["addmm", r"\(3,\)", r"\(2, 2\)"]),
        (lambda: cr.tensordot(cr.ones(2, 3), cr.ones(2, 3)[:, :2], 1), ["tensordot", r"\(2, 3\)", r"\(2, 2\)"]),
        (lambda: cr.cdist(cr.ones(2, 3), cr.ones(2, 2)), ["cdist", r"\(2, 3\)", r"\(2, 2\)"]),
    ],
)
def test_errors_say_what_was_expected(call, words):
    with pytest.raises((RuntimeError, ValueError, TypeError)) as caught:
        call()
    for word in words:
        assert caught.match(word)


@pytest.mark.parametrize("call", [cr.geqrf, cr.linalg.ldl_factor, lambda x: cr.linalg.ldl_solve(x, x, x)])
def test_functions_without_a_gradient_refuse_to_lose_one(call):
    with pytest.raises(RuntimeError, match="has no gradient"):
        call(leaf(np.eye(2)))


def test_columns_that_complete_q_have_no_gradient():
    q, _ = cr.linalg.qr(leaf(SQUARE[:, :2]), "complete")
    with pytest.raises(RuntimeError, match="complete"):
        q.sum().backward()


# ---- singular and repeated values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "matrix",
    [np.zeros((3, 3)), np.outer([1.0, 2.0, 3.0], [1.0, -1.0, 2.0]), np.diag([2.0, 0.0, 3.0]), np.diag([1.0, 0.0, 0.0])],
)
def test_the_determinant_of_a_singular_matrix_has_its_gradients(matrix):
    x = leaf(matrix)
    assert gradcheck(cr.linalg.det, x) and gradgradcheck(cr.linalg.det, x)


@pytest.mark.parametrize("shape", [(4, 4), (2, 5), (5, 2)])
def test_the_norms_of_a_matrix_of_zeros_have_a_gradient(shape):
    for order in ("fro", "nuc", 2, 1, float("inf")):
        x = cr.zeros(*shape, requires_grad=True)
        cr.linalg.matrix_norm(x, order).backward()
        assert np.isfinite(host(x.grad)).all()


@pytest.mark.parametrize("order", [0, 0.5, 1, 1.5, 2, 3, float("inf"), -float("inf"), -1, -2])
def test_the_gradient_of_a_vector_norm_at_zero_is_zero(order):
    x = cr.zeros(3, requires_grad=True)
    cr.linalg.vector_norm(x, order).backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_equal_eigenvalues_are_no_problem_for_a_loss_without_vectors():
    x = leaf(np.eye(3))
    cr.linalg.eigvalsh(x).square().sum().backward()
    np.testing.assert_allclose(host(x.grad), 2 * np.eye(3), atol=1e-12)


def test_equal_singular_values_give_no_finite_gradient_and_no_warning():
    x = leaf(np.eye(2))
    u, _, _ = cr.linalg.svd(x)
    (u * cr.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=cr.float64)).sum().backward()  # warnings are errors here
    assert not np.isfinite(host(x.grad)).all()


@pytest.mark.parametrize("call", [lambda x: cr.linalg.eigh(x)[1], lambda x: cr.linalg.svd(x)[0] + cr.linalg.svd(x)[2]])
def test_a_loss_that_depends_on_phases_is_refused(call):
    x = cr.tensor([[2.0, 1.0j], [-1.0j, 3.0]], dtype=cr.complex128, requires_grad=True)
    with pytest.raises(RuntimeError, match="factors of modulus 1"):
        (call(x) * cr.tensor([[1.0, 2.0j], [3.0j, 1.0j]], dtype=cr.complex128)).sum().abs().backward()


def test_triangular_systems_with_zeros_on_the_diagonal_give_infinity():
    x = cr.linalg.solve_triangular(cr.tensor([[1.0, 0.0], [0.0, 0.0]]), cr.ones(2, 1), upper=True)
    assert x[1, 0].item() == float("inf")
    batch = cr.linalg.solve_triangular(cr.zeros(2, 1, 1), cr.ones(2, 1, 1), upper=True)
    assert batch.flatten().tolist() == [float("inf")] * 2


# ---- triangles ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upper", [False, True])
def test_only_one_triangle_of_a_hermitian_matrix_is_looked_at(upper):
    full = SQUARE @ SQUARE.T
    half = cr.tensor(np.triu(full) if upper else np.tril(full))
    full, side = cr.tensor(full), "U" if upper else "L"
    np.testing.assert_array_equal(
        host(cr.linalg.cholesky(half, upper=upper)), host(cr.linalg.cholesky(full, upper=upper))
    )
    np.testing.assert_allclose(host(cr.linalg.eigvalsh(half, side)), host(cr.linalg.eigvalsh(full, side)), rtol=1e-12)
    np.testing.assert_allclose(host(cr.linalg.eigh(half, side)[0]), host(cr.linalg.eigh(full, side)[0]), rtol=1e-12)


def test_gradients_of_hermitian_functions_are_symmetric_and_right():
    x = leaf(SQUARE @ SQUARE.T)
    for f in (cr.linalg.cholesky, lambda x: cr.linalg.eigh(x)[1].abs(), lambda x: cr.linalg.pinv(x, hermitian=True)):
        assert gradcheck(lambda x, f=f: f(x + x.mT), x)
        (g,) = cr.autograd.grad(f(x).square().sum(), x)
        np.testing.assert_allclose(host(g), host(g).T, atol=1e-8)


def test_solve_triangular_leaves_the_other_triangle_alone():
    a, b = leaf(SQUARE), leaf(SQUARE[:, :2])
    x = cr.linalg.solve_triangular(a, b, upper=False)
    np.testing.assert_allclose(np.tril(SQUARE) @ host(x), host(b), atol=1e-12)
    x.sum().backward()
    np.testing.assert_array_equal(np.triu(host(a.grad), 1), 0)


# ---- factorizations are factorizations ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 3), (0, 2), (2, 0, 2)])
def test_products_of_factors_are_the_matrix(shape):
    a = cr.tensor(RNG.normal(size=shape))
    P, L, U = cr.linalg.lu(a)
    np.testing.assert_allclose(host(P @ L @ U), host(a), atol=1e-12)
    for mode in ("reduced", "complete"):
        Q, R = cr.linalg.qr(a, mode)
        np.testing.assert_allclose(host(Q @ R), host(a), atol=1e-12)
    u, s, vh = cr.linalg.svd(a, full_matrices=False)
    np.testing.assert_allclose(host((u * s.unsqueeze(-2)) @ vh), host(a), atol=1e-12)


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("adjoint", [False, True])
def test_lu_solve_solves(left, adjoint):
    a, b = cr.tensor(np.stack([SQUARE, SQUARE.T])), cr.tensor(SQUARE @ SQUARE)
    x = cr.linalg.lu_solve(*cr.linalg.lu_factor(a), b, left=left, adjoint=adjoint)
    matrix = a.mT if adjoint else a
    np.testing.assert_allclose(host(matrix @ x if left else x @ matrix), host(b.expand(2, 3, 3)), atol=1e-10)


@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize("dtype", [cr.float64, cr.complex128])
def test_ldl_solves_indefinite_matrices(hermitian, dtype):
    a = RNG.normal(size=(2, 4, 4)) + (1j * RNG.normal(size=(2, 4, 4)) if dtype.is_complex else 0)
    a = a + (np.conj(np.swapaxes(a, 1, 2)) if hermitian else np.swapaxes(a, 1, 2))
    a[:, :2, :2] = [[0, 3], [3, 0]]  # needs a block of 2
    b = cr.tensor(RNG.normal(size=(4, 2))).to(dtype)
    x = cr.linalg.ldl_solve(*cr.linalg.ldl_factor(cr.tensor(a).to(dtype), hermitian=hermitian), b, hermitian=hermitian)
    np.testing.assert_allclose(a @ host(x), np.broadcast_to(host(b), (2, 4, 2)), atol=1e-10)


def test_reflections_multiply_as_q_does():
    a = cr.tensor(RNG.normal(size=(4, 3)))
    raw, tau = cr.geqrf(a)
    q = cr.linalg.householder_product(raw, tau)
    np.testing.assert_allclose(host(q @ raw[:3].triu()), host(a), atol=1e-12)
    complete = cr.ormqr(raw, tau, cr.eye(4, dtype=cr.float64))
    np.testing.assert_allclose(host(complete[:, :3]), host(q), atol=1e-12)
    back = cr.ormqr(raw, tau, complete, transpose=True)
    np.testing.assert_allclose(host(back), np.eye(4), atol=1e-12)
    right = cr.ormqr(raw, tau, cr.eye(4, dtype=cr.float64), left=False, transpose=True)
    np.testing.assert_allclose(host(right), host(complete).T, atol=1e-12)


def test_least_squares_of_a_matrix_without_full_rank_is_the_shortest():
    a = np.outer([1.0, 2.0, 3.0], [1.0, 1.0])
    result = cr.linalg.lstsq(cr.tensor(a), cr.tensor([[1.0], [2.0], [4.0]], dtype=cr.float64), driver="gelsd")
    np.testing.assert_allclose(host(result.solution), np.linalg.lstsq(a, [[1.0], [2.0], [4.0]])[0], atol=1e-12)
    assert result.rank.item() == 1 and result.residuals.numel() == 0 and result.singular_values.shape == (2,)


def test_tolerances_may_differ_within_a_batch():
    a = cr.tensor(np.stack([np.diag([1.0, 0.1])] * 2))
    assert cr.linalg.matrix_rank(a, atol=cr.tensor([0.5, 0.01])).tolist() == [1, 2]
    assert cr.linalg.pinv(a, rtol=cr.tensor([0.5, 0.01]))[:, 1, 1].tolist() == [0.0, 10.0]


def test_scaling_of_the_exponential_is_each_matrix_s_own():
    a = np.stack([np.zeros((2, 2)), 1e-9 * SQUARE[:2, :2], 40.0 * np.array([[0.0, 1.0], [-1.0, 0.0]])])
    found = host(cr.linalg.matrix_exp(cr.tensor(a)))
    np.testing.assert_array_equal(found[0], np.eye(2))
    np.testing.assert_allclose(found[1] - np.eye(2), a[1], rtol=1e-6)
    np.testing.assert_allclose(found[2], [[np.cos(40), np.sin(40)], [-np.sin(40), np.cos(40)]], atol=1e-12)


# ---- products -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 2)]),
        ("i,ij,j", [(2,), (2, 3), (3,)]),
        ("...ij,...jk", [(2, 1, 2, 3), (4, 3, 2)]),
        ("iij,jk->k", [(3, 3, 2), (2, 4)]),
        ("ij,ij,ij->", [(2, 3), (2, 3), (2, 3)]),
        ("ij,kl->", [(2, 3), (1, 2)]),
        ("ab,bc,cd,de,ea->", [(2, 3), (3, 2), (2, 4), (4, 2), (2, 2)]),
        ("i...->...", [(2, 3, 4)]),
        ("bij,bkj->bik", [(2, 2, 0), (2, 3, 0)]),
    ],
)
def test_einsum_and_its_gradients(equation, shapes):
    operands = [leaf(RNG.normal(size=s)) for s in shapes]
    found = cr.einsum(equation, *operands)
    np.testing.assert_allclose(host(found), np.einsum(equation, *[host(o) for o in operands]), atol=1e-12)
    if all(0 not in s for s in shapes):
        assert gradcheck(lambda *xs: cr.einsum(equation, *xs), operands)
        assert gradgradcheck(lambda *xs: cr.einsum(equation, *xs), operands)


def test_einsum_broadcasts_dimensions_of_length_one():
    x, y = leaf(RNG.normal(size=(1, 3))), leaf(RNG.normal(size=(2, 1)))
    found = cr.einsum("ij,ij->ij", x, y)
    np.testing.assert_allclose(host(found), host(x) * host(y))
    assert gradcheck(lambda x, y: cr.einsum("ij,ij->i", x, y), (x, y))


def test_einsum_takes_lists_of_numbers_and_spaces():
    x, y = cr.tensor(RNG.normal(size=(2, 3))), cr.tensor(RNG.normal(size=(3, 4)))
    wanted = host(x) @ host(y)
    np.testing.assert_allclose(host(cr.einsum(x, [0, 1], y, [1, 2], [0, 2])), wanted)
    np.testing.assert_allclose(host(cr.einsum(x, [..., 1], y, [1, 2])), wanted)
    np.testing.assert_allclose(host(cr.einsum(" i j , j k -> i k ", [x, y])), wanted)


def test_einsum_of_a_chain_makes_no_large_intermediate():
    """("ij,jk,k->i" from the left would cost n**3; the greedy choice starts with the vector.)"""
    x, v = cr.ones(4, 4, requires_grad=True), cr.ones(4)
    node = cr.einsum("ij,jk,k->i", x, x, v).grad_fn
    sizes = [edge.shape for edge in node.inputs if edge is not None]
    assert (4,) in [tuple(s) for s in sizes]


def test_integer_products_stay_integer():
    a = cr.tensor([[1, 2], [3, 4]])
    for found in (cr.einsum("ij,jk->ik", a, a), cr.linalg.matrix_power(a, 2), cr.addmm(a, a, a, beta=0)):
        assert found.dtype == cr.int64 and found.tolist() == [[7, 10], [15, 22]]


def test_beta_zero_ignores_what_the_input_holds():
    bad = cr.full((2, 2), float("nan"))
    assert cr.addmm(bad, cr.eye(2), cr.eye(2), beta=0).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    bad.addmm_(cr.eye(2), cr.eye(2), beta=0)
    assert bad.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_chains_are_multiplied_in_the_order_of_least_work():
    from chainrule.autograd.ops.matrix_products import _best_split

    assert _best_split([10, 100, 5, 50])[0, 2] == 1  # (AB)C: 7500 products, A(BC): 75000


@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 3.0, float("inf")])
def test_distances_agree_with_each_other(p):
    x = leaf(RNG.normal(size=(4, 3)))
    table = cr.cdist(x, x.detach(), p)
    rows, columns = np.triu_indices(4, 1)
    np.testing.assert_allclose(host(table)[rows, columns], host(cr.pdist(x, p)), rtol=1e-12)
    np.testing.assert_allclose(host(table)[0, 1], cr.dist(x[0], x[1], p).item(), rtol=1e-12)
    table.sum().backward()
    assert np.isfinite(host(x.grad)).all()  # the diagonal is zero


def test_many_distances_come_from_a_product():
    x = leaf(RNG.normal(size=(30, 3)))
    exact = cr.cdist(x, x + 1, compute_mode="donot_use_mm_for_euclid_dist")
    np.testing.assert_allclose(host(cr.cdist(x, x + 1)), host(exact), rtol=1e-10)
    a, b = (cr.autograd.grad(f.square().sum(), x)[0] for f in (cr.cdist(x, x.detach() + 1), exact * 1))
    assert np.isfinite(host(a)).all() and np.isfinite(host(b)).all()


@pytest.mark.parametrize("name", ["inv", "cholesky", "svdvals", "eigvalsh", "det", "pinv"])
@pytest.mark.parametrize("dtype", [cr.float16, cr.bfloat16])
def test_two_byte_floats_are_computed_in_float32(name, dtype):
    x = cr.tensor([[2.0, 0.5], [0.5, 1.0]])
    found = getattr(cr.linalg, name)(x.to(dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(host(found.float()), host(getattr(cr.linalg, name)(x)), rtol=1e-2)
