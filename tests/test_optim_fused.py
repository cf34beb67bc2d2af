"""Optimizer steps in one compiled pass over memory, beside the same steps by NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import compiled
from chainrule.optim import Optimizer, fused, plan
from chainrule.optim.recording import ARRAY, Recording, Unrecordable

pytestmark = [
    pytest.mark.host,
    pytest.mark.skipif(
        not compiled.enabled(), reason="Numba is not installed or switched off (pip install 'chainrule[fast]')"
    ),
]
SHAPES = [(3, 2), (), (7,), (90, 20), (0, 4), (60, 41)]
OPTIMIZERS = [
    ("SGD", {}), ("SGD", {"momentum": 0.9, "nesterov": True}), ("SGD", {"momentum": 0.9, "weight_decay": 0.1}),
    ("Adam", {}), ("Adam", {"amsgrad": True, "maximize": True}), ("AdamW", {}), ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9, "centered": True}), ("Adagrad", {"lr_decay": 0.1}), ("Adadelta", {}),
    ("Adamax", {}), ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}), ("RAdam", {}), ("Lion", {}),
    ("ASGD", {"t0": 2}), ("Rprop", {}),
]  # fmt: skip
each = pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=[f"{n}-{'-'.join(o)}" for n, o in OPTIMIZERS])


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path_factory):
    """Machine code of these tests is kept in a place of its own."""
    path = tmp_path_factory.getbasetemp() / "formulas"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(path))
    return path


def use(monkeypatch, wanted):
    for name in ("worth", "worth_if_short"):
        monkeypatch.setattr(fused, name, 0 if wanted else 1 << 60)


def problem(name, dtype=np.float32, shapes=SHAPES, **options):
    rng = np.random.default_rng(1)
    params = [cr.tensor(rng.normal(size=s).astype(dtype), requires_grad=True) for s in shapes]
    kind = getattr(cr.optim, name) if isinstance(name, str) else name
    return params, kind(params, **options)


def walk(params, optimizer, start, stop):
    for step in range(start, stop):
        for i, p in enumerate(params):
            g = np.random.default_rng((i, step)).normal(size=tuple(p.shape))
            p.grad = cr.tensor(g.astype(p.numpy(force=True).dtype))
        optimizer.step()


def is_fused(optimizer):
    return [p.fused for p in optimizer._plans.values()]


def same(some, others, optimizer, other):
    for p, q in zip(some, others, strict=True):
        np.testing.assert_array_equal(p.numpy(force=True), q.numpy(force=True), strict=True)
    states, wanted = optimizer.state_dict()["state"], other.state_dict()["state"]
    assert states.keys() == wanted.keys()
    for i, entries in wanted.items():
        assert list(states[i]) == list(entries)
        for key, value in entries.items():
            np.testing.assert_array_equal(states[i][key].numpy(), value.numpy(), strict=True)


def both(monkeypatch, name, steps=6, **options):
    """Parameters and optimizer after the same steps, compiled and plain."""
    found = []
    for wanted in (True, False):
        use(monkeypatch, wanted)
        params, optimizer = problem(name, **options)
        walk(params, optimizer, 0, steps)
        found.append((params, optimizer))
    (params, optimizer), (others, other) = found
    same(params, others, optimizer, other)
    assert is_fused(other) == [False]
    return params, optimizer


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_to_the_last_bit(name, options, dtype, monkeypatch):
    _, optimizer = both(monkeypatch, name, dtype=dtype, **options)
    assert is_fused(optimizer) == [True]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_blocks_on_threads(threads, monkeypatch):
    monkeypatch.setattr(fused, "BLOCK", 100)
    before = cr.get_num_threads()
    cr.set_num_threads(threads)
    try:
        both(monkeypatch, "Adam", amsgrad=True, weight_decay=0.1)
        both(monkeypatch, "SGD", shapes=[(1001,)], momentum=0.9)
    finally:
        cr.set_num_threads(before)


def test_large_parameters(monkeypatch):
    """Those that the plain way cuts into blocks, and whose averages it takes in one pass of BLAS."""
    both(monkeypatch, "Adam", steps=3, shapes=[(300_001,), (4,), (20_000,)])


def test_another_learning_rate_compiles_nothing(monkeypatch):
    use(monkeypatch, True)
    params, optimizer = problem("Adam")
    walk(params, optimizer, 0, 1)
    loops = len(fused._loops)
    for step in range(1, 4):
        optimizer.param_groups[0]["lr"] *= 0.5
        optimizer.param_groups[0]["betas"] = (0.8, 0.9 + step / 100)
        walk(params, optimizer, step, step + 1)
    assert len(fused._loops) == loops


def test_settings_may_change(monkeypatch):
    found = []
    for wanted in (True, False):
        use(monkeypatch, wanted)
        params, optimizer = problem("Adam")
        for step, change in enumerate([{}, {"amsgrad": True}, {"weight_decay": 0.1}, {"lr": np.float64(0.1)}, {}]):
            optimizer.param_groups[0].update(change)
            walk(params, optimizer, step, step + 1)
        found.append((params, optimizer))
    (params, optimizer), (others, other) = found
    same(params, others, optimizer, other)


def test_parameters_may_move(monkeypatch):
    found = []
    for wanted in (True, False):
        use(monkeypatch, wanted)
        params, optimizer = problem("Adam")
        walk(params, optimizer, 0, 2)
        params[3].data = params[3].detach().clone() + 1
        walk(params, optimizer, 2, 4)
        optimizer.load_state_dict(optimizer.state_dict())
        walk(params[:-1], optimizer, 4, 6)
        found.append((params, optimizer))
    (params, optimizer), (others, other) = found
    same(params, others, optimizer, other)


def test_memory_that_the_loop_does_not_take(monkeypatch):
    """Transposed and half-precision parameters go the plain way, transposed gradients are copied."""
    monkeypatch.setattr(plan, "SMALL", 100)
    found = []
    for wanted in (True, False):
        use(monkeypatch, wanted)
        rng = np.random.default_rng(0)
        make = [rng.normal(size=s) for s in ((40, 30), (40, 30), (9,), (30, 40))]
        params = [
            cr.tensor(make[0]).T.requires_grad_(), cr.tensor(make[1], requires_grad=True),
            cr.tensor(make[2].astype(np.float16), requires_grad=True), cr.tensor(make[3], requires_grad=True),
        ]  # fmt: skip
        optimizer = cr.optim.AdamW(params)
        for _ in range(3):
            for i, p in enumerate(params):
                g = cr.tensor(rng.normal(size=tuple(p.shape)[::-1])).T
                p.grad = (g if i == 3 else g.contiguous()).to(p.dtype)
            optimizer.step()
        found.append((params, optimizer))
    (params, optimizer), (others, other) = found
    same(params, others, optimizer, other)
    assert is_fused(optimizer) == [True]


def test_complex_parameters(monkeypatch):
    found = []
    for wanted in (True, False):
        use(monkeypatch, wanted)
        params, optimizer = problem("Adam", dtype=np.complex64, shapes=[(30, 4), (5,)])
        walk(params, optimizer, 0, 3)
        found.append((params, optimizer))
    same(found[0][0], found[1][0], found[0][1], found[1][1])
    assert is_fused(found[0][1]) == [True]


def test_a_change_of_what_was_saved_is_noticed(monkeypatch):
    use(monkeypatch, True)
    params, optimizer = problem("SGD", shapes=[(5, 5)], lr=0.1)
    loss = (params[0] * params[0]).sum()
    walk(params, optimizer, 0, 1)
    assert is_fused(optimizer) == [True]
    with pytest.raises(RuntimeError, match="modified"):
        loss.backward()


def test_from_disk(folder, monkeypatch):
    """What one process has compiled, the next one loads."""
    both(monkeypatch, "Adam")
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert any(path.suffix == ".nbc" for path in kept)
    monkeypatch.setattr(fused, "_loops", {})
    _, optimizer = both(monkeypatch, "Adam")
    assert is_fused(optimizer) == [True]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == kept


def test_no_folder_that_can_be_written_to(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setattr(fused, "_loops", {})
    _, optimizer = both(monkeypatch, "SGD")
    assert is_fused(optimizer) == [True]


# ---- formulas of one's own ------------------------------------------------------------------------------------------


class Own(Optimizer):
    elementwise = True
    numbers = ("n",)

    def __init__(self, params, formula):
        self.formula = formula
        super().__init__(params, {"lr": 0.1})

    def init_state(self, xp, p, group):
        return {"a": xp.zeros_like(p), "b": xp.ones_like(p), "n": 2.0}

    def update(self, xp, p, g, state, group):
        return self.formula(xp, g, state)


def functions(xp, g, state):
    a, b = state["a"], state["b"]
    a += xp.clip(xp.square(g), 0.1, 2)
    a /= 1.5
    state["b"] = xp.where(g <= 0.25, xp.minimum(b, xp.abs(g)), xp.maximum(abs(-g), 1.0)) + xp.full_like(g, 0.5)
    state["n"] += 1
    return (2 - state["b"]) * xp.sign(a) - 1 / (+a + state["n"])


def test_functions(monkeypatch):
    _, optimizer = both(monkeypatch, Own, formula=functions)
    assert is_fused(optimizer) == [True]


def test_nan_and_infinity(monkeypatch):
    use(monkeypatch, True)
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 3e38], np.float32)

    def formula(xp, g, state):
        return xp.maximum(g, 0.5) + xp.minimum(0.5, g) + xp.sign(g) + xp.clip(g, -1.0, 1.0)

    found = []
    for wanted in (True, False):
        use(monkeypatch, wanted)
        params, optimizer = problem(Own, shapes=[(7,)], formula=formula)
        params[0].grad = cr.tensor(special)
        optimizer.step()
        found.append(params[0].numpy(force=True))
    np.testing.assert_array_equal(*found)


def branch(xp, g, state):
    return g if (g > 0).all() else g * 2


def truth(xp, g, state):
    return g if g > 1e9 else g * 2


def whole(xp, g, state):
    return g / xp.sqrt(xp.sum(g * g) + 1.0)


def wide_number(xp, g, state):
    return g * np.float64(0.1)


def an_array(xp, g, state):
    return g * np.full(1, 0.5, np.float32)


def one_array_twice(xp, g, state):
    state["a"] = state["b"]
    return g


def keeps_the_gradient(xp, g, state):
    state["a"] = g * 1
    state["b"] = g
    return g


@pytest.mark.parametrize("formula", [whole, wide_number, an_array, one_array_twice, keeps_the_gradient, branch])
def test_other_formulas_go_the_plain_way(formula, monkeypatch):
    _, optimizer = both(monkeypatch, Own, shapes=[(40, 30)], formula=formula)
    assert is_fused(optimizer) == [False]


def test_errors_of_a_formula_are_raised(monkeypatch):
    use(monkeypatch, True)
    params, optimizer = problem(Own, formula=truth)
    with pytest.raises(ValueError, match="truth value"):
        walk(params, optimizer, 0, 1)


def test_a_symbol_of_an_earlier_step():
    kept = []

    def step(xp, p, g, state):
        kept.append(g * 2)
        p -= kept[0]

    Recording(np.dtype(np.float32), {"step": 1, "a": ARRAY}, step)
    with pytest.raises(Unrecordable):
        Recording(np.dtype(np.float32), {"step": 2, "a": ARRAY}, step)
