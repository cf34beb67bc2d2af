"""`lobpcg` gives the eigenvalues that PyTorch's iteration converges to, and their gradients."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle


def positive(rng, n):
    a = rng.normal(size=(n, n))
    return a @ a.T + n * np.eye(n)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("general", [False, True])
def test_values_and_vectors(k, largest, general):
    rng = np.random.default_rng(10 * k + largest)
    a, b = positive(rng, 12), positive(rng, 12) if general else None
    torch.manual_seed(0)
    their_b = torch.tensor(b) if general else None
    expected, _ = torch.lobpcg(torch.tensor(a), k, their_b, largest=largest, niter=500, tol=1e-12)
    values, vectors = cr.lobpcg(cr.tensor(a), k, cr.tensor(b) if general else None, largest=largest)
    np.testing.assert_allclose(values.numpy(), expected.numpy(), rtol=1e-8)
    x = vectors.numpy()
    right = x if b is None else b @ x
    np.testing.assert_allclose(a @ x, right * values.numpy(), atol=1e-8)
    np.testing.assert_allclose(x.T @ right, np.eye(k), atol=1e-10)


def test_gradient_and_errors():
    rng = np.random.default_rng(3)
    a = positive(rng, 6)
    ours, theirs = cr.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    cr.lobpcg(ours, 2)[0].sum().backward()
    torch.linalg.eigvalsh(theirs)[-2:].sum().backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), atol=1e-9)
    with pytest.raises(ValueError, match="k must be between 1 and the 6 rows of A, got 7"):
        cr.lobpcg(ours, 7)
