"""Compiled elementwise functions, losses and their gradients, beside the plain ones and float64."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import gradcheck, gradgradcheck
from chainrule.autograd.op import OPS
from chainrule.backends import compiled, pool
from chainrule.nn import functional as F

pytestmark = [
    pytest.mark.host,
    pytest.mark.skipif(not compiled.enabled(), reason="Numba is not installed (pip install 'chainrule[fast]')"),
]
XP = cr.device("cpu").xp

#: op -> how many arrays it takes, and the attributes
CASES = [
    ("abs", 1, {}),
    ("abs_back", 2, {}),
    ("atan", 1, {}),
    ("atan_back", 2, {}),
    ("clip", 1, {"min": -0.5, "max": 0.7}),
    ("cos", 1, {}),
    ("cos_back", 2, {}),
    ("cosh", 1, {}),
    ("cosh_back", 2, {}),
    ("elu", 1, {"alpha": 0.7, "scale": 1.5, "input_scale": 2.0}),
    ("elu_back", 2, {"alpha": 0.7, "scale": 1.5, "input_scale": 2.0}),
    ("expm1", 1, {}),
    ("expm1_back", 2, {}),
    ("gelu_back", 2, {"approximate": "none"}),
    ("hardswish", 1, {}),
    ("hardswish_back", 2, {}),
    ("hardtanh_back", 2, {"min": -0.5, "max": 1}),
    ("huber", 2, {"bound": 0.7, "relative": True}),
    ("huber", 2, {"bound": 1, "relative": False}),
    ("huber_back", 3, {"bound": 0.7, "relative": True}),
    ("huber_back", 3, {"bound": 1, "relative": False}),
    ("leaky_relu", 1, {"negative_slope": 0.2}),
    ("leaky_relu_back", 2, {"negative_slope": 0.2}),
    ("log", 1, {}),
    ("log10", 1, {}),
    ("log1p", 1, {}),
    ("log1p_back", 2, {}),
    ("log2", 1, {}),
    ("log_back", 2, {"factor": 0.7}),
    ("logistic_cross_entropy", 2, {}),
    ("logistic_cross_entropy_back", 3, {}),
    ("logsigmoid", 1, {}),
    ("logsigmoid_back", 2, {}),
    ("mish", 1, {}),
    ("mish_back", 2, {}),
    ("power_back", 2, {"exponent": 2}),
    ("power_back", 2, {"exponent": 3.0}),
    ("power_back", 2, {"exponent": -1}),
    ("power_by_number", 1, {"exponent": 2}),
    ("power_by_number", 1, {"exponent": 4.0}),
    ("power_by_number", 1, {"exponent": -3}),
    ("relu_back", 2, {}),
    ("sign", 1, {}),
    ("sin", 1, {}),
    ("sin_back", 2, {}),
    ("sinh", 1, {}),
    ("sinh_back", 2, {}),
    ("softplus", 1, {"beta": 2.0, "threshold": 3.0}),
    ("softplus_back", 2, {"beta": 2.0, "threshold": 3.0}),
]
IDS = [f"{name}-{'-'.join(map(str, attributes.values()))}" for name, _, attributes in CASES]
SHAPE = (30, 20, 31)


def arrays(count, dtype, orders=((0, 1, 2),) * 3):
    """Positive where a logarithm would be undefined, and in the memory order given for each."""
    rng = np.random.default_rng(0)
    return [
        np.ascontiguousarray((rng.standard_normal(SHAPE) * 2).astype(dtype).transpose(order)).transpose(
            np.argsort(order)
        )
        for order in orders[-count:]
    ]


def both(name, operands, attributes):
    """What the plain and the compiled kernel give."""
    kept = [a.copy() for a in operands]
    with np.errstate(all="ignore"):
        wanted = cr.device("cpu").backend.plain_kernels[name](*operands, **attributes)
        got = getattr(XP, name)(*operands, **attributes)
    for a, k in zip(operands, kept, strict=True):
        np.testing.assert_array_equal(a, k)
    assert got.dtype == wanted.dtype and got.shape == wanted.shape
    return wanted, got


def agree(wanted, got):
    bound = 2e-6 if got.dtype == np.float32 else 1e-13
    scale = np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)
    np.testing.assert_allclose(got, wanted, rtol=bound, atol=bound * min(scale, 10.0))


@pytest.mark.parametrize(("name", "count", "attributes"), CASES, ids=IDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_agree_in_any_order_of_memory(name, count, attributes, dtype):
    for orders in (((0, 1, 2),) * 3, ((2, 0, 1),) * 3, ((0, 1, 2), (2, 0, 1), (1, 0, 2))):
        operands = arrays(count, dtype, orders)
        agree(*both(name, operands, attributes))
        gaps = [np.repeat(a, 2, 1)[:, ::2] for a in operands]
        assert not gaps[0].flags.forc
        agree(*both(name, gaps, attributes))


@pytest.mark.parametrize(("name", "count", "attributes"), [case for case in CASES if case[1] > 1])
def test_a_first_operand_that_is_one_number(name, count, attributes):
    operands = arrays(count, "float32")
    for number in (2.5, np.inf, np.nan):
        operands[0] = np.broadcast_to(np.float32(number), SHAPE)
        agree(*both(name, operands, attributes))
    operands[0] = np.broadcast_to(operands[1][:, :1], SHAPE)
    agree(*both(name, operands, attributes))


@pytest.mark.parametrize(("name", "count", "attributes"), CASES, ids=IDS)
def test_special_values(name, count, attributes):
    values = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 0.5, 0.7, -0.7, 6.0, 20.0, -20.0, 90.0, -104.0]
    values += [1e-45, -1e-45, 1e-20, -1e-20, 1e30, -1e30, 3.4e38]
    table = np.array(np.meshgrid(*[np.array(values, np.float32)] * max(count - (name.endswith("_back")), 1)))
    operands = [np.resize(a, compiled.worth) for a in table.reshape(len(table), -1)]
    if name.endswith("_back"):
        operands.insert(0, np.full_like(operands[0], 1.5))
    wanted, got = both(name, operands, attributes)
    tiny = np.abs(wanted) < 1e-37  # the last digits of subnormal numbers
    np.testing.assert_allclose(got[~tiny], wanted[~tiny], rtol=4e-6, atol=1e-7 * (count > 1))
    np.testing.assert_allclose(got[tiny], wanted[tiny], atol=2e-45 if count == 1 else 1e-37)
    if count == 1:
        np.testing.assert_array_equal(np.signbit(got[wanted == 0]), np.signbit(wanted[wanted == 0]))


EXACT = {"log": 1, "log2": 2, "log10": 2, "log1p": 2, "expm1": 2, "sinh": 2, "cosh": 2, "atan": 3}


@pytest.mark.parametrize(("name", "ulps"), EXACT.items())
def test_units_in_the_last_place(name, ulps):
    rng = np.random.default_rng(0)
    sizes = np.exp(np.concatenate([rng.uniform(-100, 88, 60_000), rng.uniform(-2, 2, 60_000)]))
    signed = np.concatenate([rng.uniform(-89, 89, 40_000), rng.standard_normal(40_000), sizes[60_000:]])
    x = (sizes if name.startswith("log") else signed).astype(np.float32)
    if name == "log1p":
        x = np.concatenate([x, -rng.random(30_000).astype(np.float32), -np.exp(rng.uniform(-80, -1, 30_000))])
        x = x.astype(np.float32)
    wanted = getattr(np, {"atan": "arctan"}.get(name, name))(x.astype(np.float64))
    x, wanted = x[np.abs(wanted) < 3.4e38], wanted[np.abs(wanted) < 3.4e38]
    units = np.abs(getattr(XP, name)(x) - wanted) / np.spacing(np.abs(wanted).astype(np.float32))
    assert units.max() <= ulps


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_angles(name):
    """Also where one is too large for the loops, whose special values are tested here too."""
    angles = np.random.default_rng(0).uniform(-20_000, 20_000, 100_000).astype(np.float32)
    quarters = (np.arange(-9999, 9999) * (np.pi / 2)).astype(np.float32)
    for more in ([], [3e4, 1e30]):
        x = np.concatenate([angles, quarters, np.array(more, np.float32)])
        wanted = getattr(np, name)(x.astype(np.float64))
        units = np.abs(getattr(XP, name)(x) - wanted) / np.spacing(np.abs(wanted).astype(np.float32))
        assert units.max() <= 2
    x = np.resize(np.array([np.nan, 0.0, -0.0, 1e-45, -1e-30], np.float32), compiled.worth)
    np.testing.assert_array_equal(getattr(XP, name)(x), getattr(np, name)(x))
    np.testing.assert_array_equal(np.signbit(getattr(XP, name)(x))[1:], np.signbit(getattr(np, name)(x))[1:])
    x[7] = np.inf
    with np.errstate(invalid="ignore"):
        assert np.isnan(getattr(XP, name)(x)[7])


def test_powers_of_2_have_exact_logarithms():
    n = np.resize(np.arange(-149, 128), compiled.worth)
    np.testing.assert_array_equal(XP.log2(np.ldexp(np.float32(1), n)), n)


@pytest.mark.parametrize("relative", [True, False])
def test_a_loss_with_a_tiny_bound(relative):
    x = np.resize(np.array([1e-20, -3e-25, 1e-31, 0, 1], np.float32), compiled.worth)
    wanted = np.abs(x.astype(np.float64)) * (1 if relative else 1e-30)
    got = XP.huber(x, np.zeros_like(x), bound=1e-30, relative=relative)
    np.testing.assert_allclose(got, wanted, atol=1e-30 if relative else 1e-44, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [compiled.worth, 100_003])
def test_squared_errors(dtype, size):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, size)).astype(dtype)
    exact = np.mean((x.astype(np.float64) - y) ** 2)
    for a, b in ((x, y), (x[:, None], y[:, None]), (x[::-1], y[::-1])):
        got = XP.mean_squared_error(a, b)
        assert got.dtype == dtype and got.shape == ()
        np.testing.assert_allclose(got, exact, rtol=1e-6 if dtype == "float32" else 1e-14)
    g = np.asarray(0.5, dtype)
    np.testing.assert_allclose(XP.scaled_difference(g, x, y), (x - y) * g, rtol=1e-6)


def test_the_number_of_threads_changes_nothing():
    before = pool.get_num_threads()
    operands = [np.random.default_rng(i).standard_normal(1 << 18).astype(np.float32) for i in range(3)]
    results = []
    try:
        for threads in (1, 2, 3):
            pool.set_num_threads(threads)
            results.append(
                [
                    XP.mean_squared_error(*operands[:2]),
                    XP.huber_back(*operands, bound=1.0, relative=True),
                    XP.mish_back(*operands[:2]),
                ]
            )
    finally:
        pool.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtypes", [("float32", "float64"), ("int64", "int64"), (">f4", ">f4")])
def test_other_dtypes_are_left_to_the_formula(dtypes):
    x, y = (np.resize(np.array([1, -2, 3]), compiled.worth).astype(d) for d in dtypes)
    np.testing.assert_array_equal(XP.leaky_relu_back(x, y, negative_slope=2), np.where(y > 0, x, x * 2))
    np.testing.assert_array_equal(XP.sign(x), np.sign(x))
    np.testing.assert_array_equal(XP.power_by_number(x, exponent=3), x * x * x)
    np.testing.assert_array_equal(XP.mean_squared_error(x, y), np.mean((x - y) ** 2))


FUNCTIONS = {
    "elu": F.elu,
    "selu": F.selu,
    "celu": lambda x: F.celu(x, 2.0),
    "relu6": F.relu6,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "leaky_relu": F.leaky_relu,
    "logsigmoid": F.logsigmoid,
    "cube": lambda x: x**3,
    "inverse square": lambda x: x**-2,
    "log2": lambda x: cr.log2(x.abs()),
    "expm1": cr.expm1,
    "sinh": cr.sinh,
    "atan": cr.atan,
    "mse": lambda x: F.mse_loss(x, cr.ones_like(x)),
    "smooth_l1": lambda x: F.smooth_l1_loss(x, cr.ones_like(x), beta=0.5),
    "huber": lambda x: F.huber_loss(cr.ones_like(x), x, delta=0.5),
    "with logits": lambda x: F.binary_cross_entropy_with_logits(x, cr.ones_like(x)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_to_second_order(name, monkeypatch):
    monkeypatch.setattr(compiled, "worth", 0)
    function = FUNCTIONS[name]
    x = cr.tensor(np.array([-2.1, -0.8, 0.35, 0.9, 2.2, 3.3]), requires_grad=True)
    assert gradcheck(function, [x]) and gradgradcheck(function, [x])


def test_every_op_here_is_compiled():
    assert {name for name, _, _ in CASES} <= set(compiled.MODULES)
    assert "huber" in OPS
