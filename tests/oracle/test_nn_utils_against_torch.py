"""``nn.utils`` against PyTorch's: clipping, parametrised weights, the older hooks, fusion, pruning, vectors."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

torch = pytest.importorskip("torch")
pytest.importorskip("torch.nn.utils.prune")
pytestmark = pytest.mark.oracle
RNG = np.random.default_rng(0)
BOTH = pytest.mark.parametrize("library", [cr, torch], ids=["ours", "theirs"])


def close(ours, theirs, rtol=1e-9):
    np.testing.assert_allclose(ours.numpy(force=True), theirs.detach().numpy(), rtol=rtol, atol=1e-10)


def copied(ours, theirs):
    """Both in float64, ours with PyTorch's state."""
    ours.double(), theirs.double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: np.array(v.numpy()) for k, v in theirs.state_dict().items()})
    return ours, theirs


def compare_call(ours, theirs, *shape):
    """Result, gradients and state of one call, in the mode that the modules are in."""
    x = RNG.normal(size=shape)
    a, b = cr.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out, expected = ours(a), theirs(b)
    close(out, expected)
    ours.zero_grad(), theirs.zero_grad()
    (out * out).sum().backward()
    (expected * expected).sum().backward()
    close(a.grad, b.grad)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert tuple(p.shape) == tuple(q.shape), name
        assert (p.grad is None) == (q.grad is None), name
        if q.grad is not None:
            close(p.grad, q.grad, 1e-8)
    for name, value in theirs.state_dict().items():
        close(ours.state_dict()[name], value)


# ---- clipping --------------------------------------------------------------------------------------------------------


def with_grads(scale=1.0):
    shapes = [(3, 4), (), (5,), (2, 1, 3)]
    values = [RNG.normal(size=s) * scale for s in shapes]
    ours = [cr.zeros(s, dtype=cr.float64, requires_grad=True) for s in shapes]
    theirs = [torch.zeros(s, dtype=torch.float64, requires_grad=True) for s in shapes]
    for p, q, v in zip(ours, theirs, values, strict=True):
        p.grad, q.grad = cr.tensor(v), torch.tensor(v)
    no_grad = cr.zeros(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    return [*ours, no_grad[0]], [*theirs, no_grad[1]]


@pytest.mark.parametrize("norm_type", [2.0, 1, 3.5, float("inf"), "inf", 0.0])
@pytest.mark.parametrize("max_norm", [0.1, 1.0, 1e3])
def test_clip_grad_norm(norm_type, max_norm):
    ours, theirs = with_grads()
    a = nn.utils.clip_grad_norm_(ours, max_norm, norm_type)
    b = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    close(a, b)
    assert not a.requires_grad and ours[-1].grad is None
    for p, q in zip(ours[:-1], theirs[:-1], strict=True):
        close(p.grad, q.grad)


def test_clip_grad_value_and_the_parts_of_clip_grad_norm():
    ours, theirs = with_grads(3.0)
    norms = [n.utils.get_total_norm([p.grad for p in given[:-1]]) for n, given in ((nn, ours), (torch.nn, theirs))]
    close(*norms)
    nn.utils.clip_grads_with_norm_(ours, 2.0, cr.tensor(3.0, dtype=cr.float64))
    torch.nn.utils.clip_grads_with_norm_(theirs, 2.0, torch.tensor(3.0, dtype=torch.float64))
    nn.utils.clip_grad_value_(ours, 0.7, foreach=True)
    torch.nn.utils.clip_grad_value_(theirs, 0.7)
    for p, q in zip(ours[:-1], theirs[:-1], strict=True):
        close(p.grad, q.grad)
    one, other = ours[0], theirs[0]
    close(nn.utils.clip_grad_norm_(one, 0.5), torch.nn.utils.clip_grad_norm_(other, 0.5))
    close(one.grad, other.grad)


@BOTH
def test_clipping_without_gradients_and_with_nan(library):
    clip = library.nn.utils.clip_grad_norm_
    assert clip([], 1.0).item() == 0.0 and clip([library.ones(2, requires_grad=True)], 1.0).item() == 0.0
    p = library.ones(2, requires_grad=True)
    p.grad = library.tensor([float("nan"), 1.0])
    with pytest.raises(RuntimeError, match="norm of order 2.0"):
        clip([p], 1.0, error_if_nonfinite=True)
    assert p.grad[1].item() == 1.0
    assert np.isnan(clip([p], 1.0).item()) and np.isnan(p.grad[1].item())
    with pytest.warns(UserWarning, match="generator"):
        clip((q for q in ()), 1.0)
    with pytest.warns(FutureWarning):
        library.nn.utils.clip_grad_norm([p], 1.0)


# ---- parametrisations ------------------------------------------------------------------------------------------------

LAYERS = {
    "linear": (lambda n: n.Linear(4, 3), (5, 4)),
    "wide": (lambda n: n.Linear(3, 5), (2, 3)),
    "square": (lambda n: n.Linear(3, 3, bias=False), (2, 3)),
    "conv": (lambda n: n.Conv2d(2, 4, 3, padding=1), (2, 2, 4, 3)),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    "options", [("weight_norm", {}), ("weight_norm", {"dim": 1}), ("weight_norm", {"dim": None}),
                ("weight_norm", {"name": "bias"}), ("spectral_norm", {}), ("spectral_norm", {"n_power_iterations": 3}),
                ("spectral_norm", {"dim": 1}), ("spectral_norm", {"name": "bias"})], ids=str,
)  # fmt: skip
def test_norm_parametrisations(layer, options):
    make, shape = LAYERS[layer]
    name, k = options
    if k.get("name") == "bias" and make(nn).bias is None:
        return
    ours, theirs = copied(*(getattr(n.utils.parametrizations, name)(make(n), **k) for n in (nn, torch.nn)))
    assert repr(ours) == repr(theirs) and type(ours).__name__ == type(theirs).__name__
    for _ in range(2):
        compare_call(ours, theirs, *shape)
    ours.eval(), theirs.eval()
    compare_call(ours, theirs, *shape)
    for module, library in ((ours, nn), (theirs, torch.nn)):
        library.utils.parametrize.remove_parametrizations(module, k.get("name", "weight"))
        assert type(module) is type(make(library))
    compare_call(ours, theirs, *shape)


@pytest.mark.parametrize("orthogonal_map", [None, "matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("trivial", [True, False])
@pytest.mark.parametrize("layer", ["linear", "wide", "square"])
def test_orthogonal(layer, orthogonal_map, trivial):
    make, shape = LAYERS[layer]
    ours, theirs = (
        n.utils.parametrizations.orthogonal(make(n).double(), "weight", orthogonal_map, use_trivialization=trivial)
        for n in (nn, torch.nn)
    )
    copied(ours, theirs)
    assert repr(ours) == repr(theirs)
    compare_call(ours, theirs, *shape)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):  # away from the start
        change = RNG.normal(size=tuple(p.shape)) * 0.1
        change = np.tril(change, -1) if p.ndim == 2 else change  # PyTorch takes diagonals for ints
        p.data, q.data = p.data + cr.tensor(change), q.data + torch.tensor(change)
    compare_call(ours, theirs, *shape)
    w = ours.weight if ours.weight.shape[0] >= ours.weight.shape[1] else ours.weight.T
    np.testing.assert_allclose((w.T @ w).numpy(force=True), np.eye(w.shape[1]), atol=1e-10)
    if trivial or orthogonal_map == "householder":  # the weight can be assigned
        q, _ = np.linalg.qr(RNG.normal(size=tuple(w.shape)))
        q = q if ours.weight.shape == w.shape else q.T
        ours.weight = cr.tensor(q)
        np.testing.assert_allclose(ours.weight.numpy(force=True), q, atol=1e-10)


class Symmetric:
    """A parametrisation without, and one with an inverse, in either library."""

    @staticmethod
    def of(n, inverse=False):
        class Made(n.Module):
            def forward(self, X):
                return X.triu() + X.triu(1).transpose(-1, -2)

        if inverse:
            Made.right_inverse = lambda self, A: A.triu()
        return Made()


def test_own_parametrisations_chain_and_are_removed():
    layers = []
    for n in (nn, torch.nn):

        class Double(n.Module):
            def forward(self, X):
                return 2 * X

            def right_inverse(self, A):
                return A / 2

        layer = n.Linear(3, 3).double()
        n.utils.parametrize.register_parametrization(layer, "weight", Symmetric.of(n, True))
        n.utils.parametrize.register_parametrization(layer, "weight", Double())
        n.utils.parametrize.register_parametrization(layer, "bias", Double())
        layers.append(layer)
    ours, theirs = copied(*layers)
    assert repr(ours) == repr(theirs)
    compare_call(ours, theirs, 2, 3)
    value = RNG.normal(size=(3, 3))
    value = value + value.T
    ours.weight, theirs.weight = cr.tensor(value), torch.tensor(value)
    close(ours.weight, theirs.weight)
    close(ours.parametrizations.weight.original, theirs.parametrizations.weight.original)
    for n, layer in ((nn, ours), (torch.nn, theirs)):
        parametrize = n.utils.parametrize
        assert parametrize.is_parametrized(layer) and parametrize.is_parametrized(layer, "bias")
        assert parametrize.type_before_parametrizations(layer) is n.Linear
        with parametrize.cached():
            assert layer.weight is layer.weight
        assert layer.weight is not layer.weight
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
        assert parametrize.is_parametrized(layer) and not parametrize.is_parametrized(layer, "weight")
    compare_call(ours, theirs, 2, 3)
    for n, layer in ((nn, ours), (torch.nn, theirs)):
        n.utils.parametrize.remove_parametrizations(layer, "bias")
        assert type(layer) is n.Linear and not hasattr(layer, "parametrizations")
    assert list(ours.state_dict()) == list(theirs.state_dict())
    compare_call(ours, theirs, 2, 3)


@BOTH
def test_what_is_refused_changes_nothing(library):
    n, parametrize = library.nn, library.nn.utils.parametrize

    class Shorter(n.Module):
        def forward(self, X):
            return X[:1]

    class Wider(n.Module):
        def forward(self, X):
            return X.double()

    layer = n.Linear(3, 3)
    before = layer.weight.detach().clone()
    for step in (Shorter(), Wider()):
        with pytest.raises(ValueError, match=r"shape|dtype"):
            parametrize.register_parametrization(layer, "weight", step)
    with pytest.raises(ValueError, match="nothing"):
        parametrize.register_parametrization(layer, "nothing", Shorter())
    assert bool((layer.weight == before).all()) and not parametrize.is_parametrized(layer) and type(layer) is n.Linear
    with pytest.raises(ValueError, match=r"parametri[sz]"):
        parametrize.remove_parametrizations(layer, "weight")
    parametrize.register_parametrization(layer, "weight", Shorter(), unsafe=True)
    assert tuple(layer.weight.shape) == (1, 3)
    with pytest.raises(RuntimeError, match="right_inverse"):
        layer.weight = before
    other = library.nn.utils.parametrizations.weight_norm(n.Linear(3, 2))
    with pytest.raises(ValueError, match="leave_parametrized"):
        parametrize.remove_parametrizations(other, "weight", leave_parametrized=False)


def test_a_copy_of_a_parametrised_layer_is_its_own():
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    twin = copy.deepcopy(layer)
    nn.utils.parametrize.remove_parametrizations(twin, "weight")
    assert type(twin) is nn.Linear and type(layer).__name__ == "ParametrizedLinear"
    np.testing.assert_allclose(twin.weight.numpy(force=True), layer.weight.numpy(force=True), rtol=1e-6)
    taken = nn.utils.parametrize.transfer_parametrizations_and_params(layer, nn.Linear(3, 2))
    assert taken.parametrizations.weight.original0 is layer.parametrizations.weight.original0
    nn.utils.parametrize.remove_parametrizations(taken, "weight")
    assert nn.utils.parametrize.is_parametrized(layer, "weight")


def test_a_state_dict_of_the_older_weight_norm_loads():
    with pytest.warns(FutureWarning):
        old = torch.nn.utils.weight_norm(torch.nn.Linear(3, 2))
    new = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    new.load_state_dict({k: v.numpy() for k, v in old.state_dict().items()})
    x = RNG.normal(size=(4, 3)).astype(np.float32)
    close(new(cr.tensor(x)), old(torch.tensor(x)), 1e-5)


# ---- the older hooks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["linear", "conv"])
@pytest.mark.parametrize(
    "options", [("weight_norm", {}), ("weight_norm", {"dim": None}), ("spectral_norm", {})], ids=str
)
def test_hooks(layer, options):
    make, shape = LAYERS[layer]
    name, k = options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        ours, theirs = copied(*(getattr(n.utils, name)(make(n), **k) for n in (nn, torch.nn)))
        for library, module in ((nn, ours), (torch.nn, theirs)):
            with pytest.raises(RuntimeError):
                getattr(library.utils, name)(module)
    for _ in range(2):
        compare_call(ours, theirs, *shape)
    ours.eval(), theirs.eval()
    compare_call(ours, theirs, *shape)
    for library, module in ((nn, ours), (torch.nn, theirs)):
        getattr(library.utils, f"remove_{name}")(module)
        with pytest.raises(ValueError, match="not found|has no"):
            getattr(library.utils, f"remove_{name}")(module)
    compare_call(ours, theirs, *shape)


OTHER_LAYERS = {
    "conv1d": (lambda n: n.Conv1d(2, 4, 3), "weight", (2, 2, 5)),
    "transposed": (lambda n: n.ConvTranspose2d(2, 4, 3), "weight", (2, 2, 4, 3)),
    "cell": (lambda n: n.GRUCell(3, 4), "weight_hh", (2, 3)),
    "norm": (lambda n: n.LayerNorm(4), "weight", (3, 4)),
}


@pytest.mark.parametrize("layer", OTHER_LAYERS)
@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("old", [False, True])
@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
def test_norms_of_other_layers(layer, name, old):
    make, weight, shape = OTHER_LAYERS[layer]
    places = [n.utils if old else n.utils.parametrizations for n in (nn, torch.nn)]
    ours, theirs = copied(*(getattr(p, name)(make(n), weight) for p, n in zip(places, (nn, torch.nn), strict=True)))
    for _ in range(2):
        compare_call(ours, theirs, *shape)


# ---- fusion, vectors, skip_init --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("kind", ["conv", "linear"])
def test_fusion(kind, bias, affine):
    first = (lambda n: n.Conv2d(2, 3, 2, bias=bias)) if kind == "conv" else (lambda n: n.Linear(4, 3, bias=bias))
    norm = ("BatchNorm2d", affine) if kind == "conv" else ("BatchNorm1d", True)
    models = [n.Sequential(first(n), getattr(n, norm[0])(3, affine=norm[1])) for n in (nn, torch.nn)]
    for p in models[1].state_dict().values():
        if p.is_floating_point():
            p.uniform_(0.5, 1.5)
    ours, theirs = copied(*models)
    ours.eval(), theirs.eval()
    fuse = "fuse_conv_bn_eval" if kind == "conv" else "fuse_linear_bn_eval"
    fused, expected = (getattr(n.utils, fuse)(m[0], m[1]) for n, m in ((nn, ours), (torch.nn, theirs)))
    compare_call(fused, expected, *((2, 2, 4, 3) if kind == "conv" else (5, 4)))
    x = cr.tensor(RNG.normal(size=(2, 2, 4, 3) if kind == "conv" else (5, 4)))
    np.testing.assert_allclose(fused(x).numpy(force=True), ours(x).numpy(force=True), rtol=1e-9, atol=1e-12)
    with pytest.raises(RuntimeError, match="evaluation mode"):
        getattr(nn.utils, fuse)(ours[0].train(), ours[1])


def test_parameters_as_a_vector():
    ours, theirs = copied(*(n.Sequential(n.Linear(3, 2), n.Linear(2, 1)) for n in (nn, torch.nn)))
    close(nn.utils.parameters_to_vector(ours.parameters()), torch.nn.utils.parameters_to_vector(theirs.parameters()))
    vector = RNG.normal(size=11)
    mine = cr.tensor(vector)
    nn.utils.vector_to_parameters(mine, ours.parameters())
    torch.nn.utils.vector_to_parameters(torch.tensor(vector), theirs.parameters())
    compare_call(ours, theirs, 4, 3)
    mine[0] = 7.0
    assert ours[0].weight[0, 0].item() == 7.0  # memory is shared, as in PyTorch
    with pytest.raises(ValueError, match="a vector of 11 elements, got shape \\(10,\\)"):
        nn.utils.vector_to_parameters(cr.zeros(10), ours.parameters())
    with pytest.raises(TypeError):
        nn.utils.vector_to_parameters([1.0], ours.parameters())


def test_skip_init_draws_nothing():
    cr.manual_seed(3)
    expected = cr.rand(2).tolist()
    cr.manual_seed(3)
    layer = nn.utils.skip_init(nn.Linear, 3, 2, bias=False, dtype=cr.float64)
    assert layer.weight.shape == (2, 3) and layer.weight.dtype is cr.float64 and layer.bias is None
    assert cr.rand(2).tolist() == expected
    with pytest.raises(RuntimeError, match="takes no device"):
        nn.utils.skip_init(nn.ReLU)


# ---- pruning ---------------------------------------------------------------------------------------------------------

PRUNINGS = {
    "identity": lambda p, m: p.identity(m, "weight"),
    "l1, count": lambda p, m: p.l1_unstructured(m, "weight", 5),
    "l1, fraction": lambda p, m: p.l1_unstructured(m, "weight", 0.3),
    "l1, none": lambda p, m: p.l1_unstructured(m, "weight", 0),
    "ln": lambda p, m: p.ln_structured(m, "weight", 1, n=2, dim=0),
    "ln, inf": lambda p, m: p.ln_structured(m, "weight", 0.5, n=float("inf"), dim=1),
    "twice": lambda p, m: p.l1_unstructured(p.l1_unstructured(m, "weight", 0.3), "weight", 0.5),
    "mixed": lambda p, m: p.ln_structured(p.l1_unstructured(m, "weight", 0.3), "weight", 1, n=1, dim=1),
    "thrice": lambda p, m: p.l1_unstructured(PRUNINGS["mixed"](p, m), "weight", 1),
    "slices twice": lambda p, m: p.ln_structured(PRUNINGS["ln"](p, m), "weight", 1, n=1, dim=0),
    "bias too": lambda p, m: p.l1_unstructured(p.l1_unstructured(m, "weight", 0.3), "bias", 1),
}


@pytest.mark.parametrize("layer", ["linear", "conv"])
@pytest.mark.parametrize("how", PRUNINGS)
def test_pruning(layer, how):
    make, shape = LAYERS[layer]
    ours, theirs = copied(make(nn), make(torch.nn))
    PRUNINGS[how](nn.utils.prune, ours)
    PRUNINGS[how](torch.nn.utils.prune, theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert nn.utils.prune.is_pruned(ours) and torch.nn.utils.prune.is_pruned(theirs)
    compare_call(ours, theirs, *shape)
    for library, module in ((nn, ours), (torch.nn, theirs)):
        library.utils.prune.remove(module, "weight")
    assert list(ours.state_dict()) == list(theirs.state_dict())
    compare_call(ours, theirs, *shape)


def test_pruning_by_scores_masks_and_over_several_layers():
    makes = [lambda n: n.Sequential(n.Linear(4, 3), n.Linear(3, 5))] * 2
    ours, theirs = copied(makes[0](nn), makes[1](torch.nn))
    scores, mask = RNG.normal(size=(3, 4)), RNG.integers(0, 2, (5, 3))
    for library, module in ((cr, ours), (torch, theirs)):
        prune = library.nn.utils.prune
        prune.l1_unstructured(module[0], "weight", 3, importance_scores=library.tensor(scores))
        prune.custom_from_mask(module[1], "weight", library.tensor(mask))
        places = [(module[0], "weight"), (module[1], "weight")]
        prune.global_unstructured(places, prune.L1Unstructured, amount=0.4)
    compare_call(ours, theirs, 2, 4)


@BOTH
def test_random_pruning(library):
    prune = library.nn.utils.prune
    layer = prune.random_unstructured(library.nn.Linear(4, 6), "weight", 0.25)
    assert int((layer.weight == 0).sum()) == 6
    layer = prune.random_structured(library.nn.Linear(4, 6), "weight", 2, dim=1)
    assert int((layer.weight_mask.sum(0) == 0).sum()) == 2
    with pytest.raises(ValueError, match="amount"):
        prune.l1_unstructured(library.nn.Linear(4, 6), "weight", 1.5)
    with pytest.raises(ValueError, match="not pruned|has to be pruned"):
        prune.remove(library.nn.Linear(4, 6), "weight")
