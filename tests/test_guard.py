"""The guard does as CuPy does where CuPy and NumPy differ."""

import copy
import pickle
import sys

import ml_dtypes
import numpy as np
import pytest

from chainrule.backends import backend_for
from chainrule.backends.guard import GuardArray, GuardError
from chainrule.backends.guard_module import module, names
from chainrule.backends.namespace import _SAME_NAME


@pytest.fixture
def cupy():
    return module()


@pytest.fixture
def x(cupy):
    return cupy.asarray(np.arange(12.0, dtype=np.float32).reshape(3, 4))


HOST = np.ones((3, 4), np.float32)


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: np.asarray(x),
        lambda m, x: np.array(x, dtype=np.float64),
        lambda m, x: x + HOST,
        lambda m, x: HOST + x,
        lambda m, x: x * [1, 2, 3, 4],
        lambda m, x: x == [1, 2, 3, 4],
        lambda m, x: np.add(x, HOST),
        lambda m, x: m.maximum(x, HOST),
        lambda m, x: m.exp([1.0, 2.0]),
        lambda m, x: m.sum([1.0, 2.0]),
        lambda m, x: m.where(x > 1, x, HOST),
        lambda m, x: m.stack([x, HOST]),
        lambda m, x: m.concatenate([HOST, HOST]),
        lambda m, x: x.__setitem__(0, np.ones(4)),
        lambda m, x: x.__setitem__(0, [1, 2, 3, 4]),
        lambda m, x: x.__iadd__(HOST),
        lambda m, x: range(m.asarray(3)),
    ],
)
def test_nothing_is_mixed_with_the_host(cupy, x, call):
    with pytest.raises(TypeError):
        call(cupy, x)


def test_the_message_of_a_conversion_is_cupys(x):
    with pytest.raises(TypeError, match=r"Implicit conversion to a NumPy array is not allowed. Please use `.get\(\)`"):
        np.asarray(x)


def test_scalars_are_taken_and_follow_nep_50(cupy, x):
    assert (x + 1).dtype == (2.0 * x).dtype == (x * np.float32(2)).dtype == np.float32
    assert (x * np.float64(2)).dtype == np.float64  # a NumPy scalar is not weak
    assert (np.float32(2) * x).get()[0, 1] == 2
    assert type(np.exp(x)) is type(np.sum(x)) is GuardArray


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: x.sum(),
        lambda m, x: m.max(x),
        lambda m, x: m.argmax(x),
        lambda m, x: m.linalg.norm(x),
        lambda m, x: m.count_nonzero(x),
        lambda m, x: m.array_equal(x, x),
        lambda m, x: x[1, 2],
        lambda m, x: x[1, 2] + x[0, 0],
        lambda m, x: m.asarray(1.5),
        lambda m, x: next(iter(x[0])),
    ],
)
def test_zero_dimensional_results_stay_arrays(cupy, x, call):
    result = call(cupy, x)
    assert type(result) is GuardArray
    assert result.shape == ()
    assert float(result) == result.item()
    assert bool(result) is bool(result.item())


def test_views_know_their_owner(cupy, x):
    views = [x[1:], x[1:][0], x[1, 2], x.T, x.reshape(4, 3), x.ravel(), cupy.broadcast_to(x, (2, 3, 4)),
             cupy.swapaxes(x, 0, 1), x.view(np.int32), cupy.squeeze(x[None])]  # fmt: skip
    for view in views:
        assert view.base is x
        assert not view.flags.owndata
    for made in [x + 1, x.copy(), x[[0, 1]], x.sum(axis=0), x.T.reshape(12), cupy.stack([x, x])]:
        assert made.base is None
        assert made.flags.owndata
    assert cupy.asarray(x) is x
    assert cupy.ascontiguousarray(x) is x
    before = sys.getrefcount(x)
    view = x[0]
    assert sys.getrefcount(x) == before + 1  # the engine tells by this that somebody holds a view
    view[...] = 7.0
    assert (x.get()[0] == 7).all()


def test_results_are_in_c_order(cupy):
    f = cupy.asarray(np.asfortranarray(HOST))
    assert f.flags.f_contiguous
    assert (f + f).flags.c_contiguous
    assert cupy.exp(f).flags.c_contiguous
    assert f.copy().flags.c_contiguous
    assert cupy.copy(f).flags.f_contiguous
    assert not hasattr(f.flags, "writeable")


def test_integer_arrays_wrap_and_plain_integers_do_not(cupy, x):
    index = cupy.asarray([3, -4, 7])
    assert (x[index].get() == x.get()[[0, 2, 1]]).all()
    assert (x[:, cupy.asarray([4])].get() == x.get()[:, [0]]).all()
    assert (cupy.take(x, index, axis=0).get() == x.get()[[0, 2, 1]]).all()
    x[cupy.asarray([5])] = -1.0
    assert (x.get()[2] == -1).all()
    with pytest.raises(IndexError):
        x[3]
    with pytest.raises(IndexError):
        x[cupy.asarray([0.0])]


def test_an_element_assigned_twice_is_an_error(cupy, x):
    values = cupy.asarray(np.arange(8.0, dtype=np.float32).reshape(2, 4))
    with pytest.raises(GuardError, match=r"element \(1, 0\) more than once"):
        x[cupy.asarray([1, 1])] = values
    with pytest.raises(GuardError, match="more than once"):
        x[cupy.asarray([1, -2])] = values  # the same row, by another name
    x[cupy.asarray([1, 1])] = 5.0  # defined: both are 5
    assert (x.get()[1] == 5).all()
    x[cupy.asarray([0, 2])] = values
    assert (x.get()[[0, 2]] == values.get()).all()


def test_only_cupys_names_and_keywords(cupy, x):
    for name in ["vecdot", "unstack", "nosuchname"]:
        with pytest.raises(AttributeError, match=name):
            getattr(cupy, name)
    with pytest.raises(TypeError, match="no keyword 'where'"):
        cupy.sum(x, where=x > 1)
    with pytest.raises(TypeError, match="no keyword 'initial'"):
        x.max(initial=0)
    with pytest.raises(TypeError, match="no keyword 'where'"):
        cupy.add(x, x, where=x > 1)
    with pytest.raises(TypeError, match="no keyword 'mode'"):
        cupy.take(x, cupy.asarray([1]), mode="clip")
    with pytest.raises(ValueError, match="repeats"):
        cupy.repeat(x, cupy.asarray([1, 2, 3]), axis=0)
    with pytest.raises(ValueError, match="Unsupported dtype"):
        cupy.asarray(np.ones(2, np.longdouble))


def test_cupys_parameter_names_work(cupy, x):
    assert cupy.reshape(x, newshape=(4, 3)).shape == (4, 3)
    assert cupy.stack(tup=[x, x]).shape == (2, 3, 4)
    assert cupy.clip(x, a_min=1, a_max=3).get().max() == 3


def test_in_place_operators_keep_the_array(cupy, x):
    same = x
    x += 1
    x *= cupy.asarray(2.0)
    assert x is same
    assert x.get()[0, 0] == 2


def test_bfloat16_passes_through(cupy):
    b = cupy.asarray(np.ones(3, ml_dtypes.bfloat16))
    assert b.dtype == (b * b).dtype == b.sum().dtype == cupy.exp(b).dtype == b[0].dtype == ml_dtypes.bfloat16
    assert b.astype(np.float32).get().tolist() == [1, 1, 1]


def test_copies_and_pickles(x):
    for other in [copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))]:
        assert type(other) is GuardArray
        assert other is not x
        assert (other.get() == x.get()).all()
    x.set(np.zeros((3, 4), np.float32))
    assert not x.get().any()
    with pytest.raises(ValueError, match="expected float32"):
        x.set(np.zeros(3))


def test_scatter_add_takes_the_dtypes_of_atomic_additions(cupy):
    with pytest.raises(TypeError, match="int64"):
        cupy.zeros(3, dtype=np.int64).scatter_add(cupy.asarray([0]), 1)


def test_every_name_of_xp_is_in_cupys_list():
    listed = names()["modules"][""]
    assert [n for n in _SAME_NAME if n not in listed and n not in ("iinfo",)] == []
    assert names()["cupy"] == "14.2.0"
    for name in _SAME_NAME:
        assert getattr(backend_for("guard").xp, name) is not None
