"""cr.save and cr.load: what comes back: values, dtypes, checkpoints that go on bit for bit, shared memory."""

from __future__ import annotations

import io
import math
import os
import re
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest
from saving_cases import ALL_DTYPES, make_model, same, there_and_back

import chainrule as cr
from chainrule import nn

VALUES = {
    "numbers": [0, -1, True, 1 << 62, -(1 << 70), 10**5000, 0.1, -0.0, math.inf, -math.inf, 1e-320, 1 + 2j],
    "nan": math.nan,
    "strings": ["", "ä\n\0\u2028", "tensor", None],
    "bytes": (b"\x00\xff", bytearray(b"ab")),
    "containers": {"t": (1, (2,), []), "s": {1, 2}, "f": frozenset("a"), "d": {}, "o": OrderedDict(b=1, a=2)},
    "keys": {0: "a", (1, "b"): 2, None: 3, True: 4, 0.5: 5, "0": 6, "": 7, "a.b": 8, "__metadata__": cr.ones(1)},
    "counter": Counter({30: 1, 80: 2}),
    "numpy": [np.float32(1.5), np.int64(-3), np.bool_(True), np.arange(6.0).reshape(2, 3), np.zeros((0, 3), np.int8)],
    "foreign order": np.arange(3, dtype=np.int16),
    "types": [cr.float32, cr.bfloat16, np.dtype("int8"), cr.device("cpu"), cr.ones(2, 3).shape],
    "dtypes": [cr.ones(2, 3).to(d) for d in ALL_DTYPES],
    "0-d and empty": [cr.tensor(3.0), cr.zeros(0, 5), cr.zeros(1, 1, 1)],
    "parameters": [
        nn.Parameter(cr.ones(2)), nn.Parameter(cr.ones(1), requires_grad=False), cr.ones(1, requires_grad=True),
    ],
    "a tensor": cr.arange(5.0),
    "names that meet": {"a": {"b": cr.ones(1)}, "a.b": cr.zeros(2)},
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_values_come_back(name):
    same(there_and_back(VALUES[name]), VALUES[name])


def test_bit_patterns_of_floats_survive():
    bits = np.array([0x7F800001, 0xFFC00000, 0x80000000, 1], np.uint32)
    back = there_and_back(cr.from_numpy(bits.view(np.float32))).numpy()
    np.testing.assert_array_equal(back.view(np.uint32), bits)


def test_arrays_of_foreign_byte_order_keep_their_values():
    back = there_and_back([np.arange(3, dtype=">i2"), np.array(2.5, ">f8")[()]])
    assert back[0].tolist() == [0, 1, 2] and back[0].dtype == np.int16 and back[1] == 2.5


@pytest.mark.parametrize("options", [{"weights_only": True}, {"weights_only": False}, {"mmap": False}])
def test_options_of_pytorch_are_accepted(options):
    same(there_and_back({"a": cr.ones(2)}, **options), {"a": cr.ones(2)})
    file = io.BytesIO()
    cr.save(1, file, pickle_protocol=4)


def test_a_defaultdict_comes_back_as_a_dict():
    state = defaultdict(dict, {0: {"step": 1}})
    same(there_and_back(state), {0: {"step": 1}})


def test_loaded_tensors_are_writable_and_own_their_memory():
    x = cr.ones(3)
    back = there_and_back(x)
    back.add_(1)
    assert x.tolist() == [1.0] * 3 and back.tolist() == [2.0] * 3


# ---- models and optimizers ------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "SGD": lambda p: cr.optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: cr.optim.Adam(p, lr=0.01),
    "RMSprop": lambda p: cr.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
}


def steps(model, optimizer, schedule, count):
    losses = []
    for _ in range(count):
        loss = (model(cr.randn(5, 3)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_checkpoint_goes_on_bit_for_bit(name, tmp_path):
    def start():
        cr.manual_seed(0)
        model = make_model()
        optimizer = OPTIMIZERS[name](model.parameters())
        return model, optimizer, cr.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)

    whole = steps(*start(), 7)
    model, optimizer, schedule = start()
    steps(model, optimizer, schedule, 3)
    path = tmp_path / "checkpoint.pt"
    cr.save(
        {
            "epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(), "rng": cr.get_rng_state(),
        },
        path,
    )  # fmt: skip
    model, optimizer, schedule = start()
    checkpoint = cr.load(str(path))
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    schedule.load_state_dict(checkpoint["schedule"])
    cr.set_rng_state(checkpoint["rng"])
    assert steps(model, optimizer, schedule, 4) == whole[3:]
    assert type(checkpoint["model"]) is OrderedDict and checkpoint["epoch"] == 3


# ---- shared memory --------------------------------------------------------------------------------------------------


def test_the_same_tensor_comes_back_as_one():
    x = cr.ones(2)
    back = there_and_back({"a": x, "b": [x]})
    assert back["a"] is back["b"][0]


def test_tied_weights_stay_tied():
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    file = io.BytesIO()
    cr.save(model.state_dict(), file)
    assert file.tell() < 2 * 36 + 700  # once
    file.seek(0)
    back = cr.load(file)
    back["0.weight"].zero_()
    assert back["1.weight"].abs().sum() == 0


BASE_VIEWS = {
    "a view beside its base": lambda: (lambda x: [x, x[2:8].view(2, 3), x[2:8].view(2, 3).t(), x[::3]])(cr.arange(12.)),
    "overlapping parts": lambda: (lambda x: [x[:6], x[4:]])(cr.arange(10.0)),
    "interleaved columns": lambda: (lambda x: [x[:, 0], x[:, 1], x[:, 2]])(cr.arange(12.0).view(4, 3)),
    "other elements": lambda: (lambda x: [x, x.view(cr.int32)])(cr.arange(4.0)),
    "complex numbers and their parts": lambda: (lambda z: [z, cr.view_as_real(z)])(cr.ones(3, dtype=cr.complex128)),
    "an expanded tensor": lambda: (lambda x: [x, x.expand(1000)])(cr.ones(1)),
}


@pytest.mark.parametrize("name", BASE_VIEWS)
def test_views_share_their_memory_again(name):
    value = BASE_VIEWS[name]()
    back = there_and_back(value)
    same([b.clone() for b in back], [v.clone() for v in value])
    assert [b.stride() for b in back] == [v.stride() for v in value]
    for tensors in (value, back):  # a write through the first shows in the others in the same way
        tensors[0].view(-1)[-1] = 7 if tensors[0].is_contiguous() else 0
    if value[0].is_contiguous():
        same([b.clone() for b in back], [v.clone() for v in value])


def test_an_expanded_tensor_is_stored_as_small_as_it_is():
    file = io.BytesIO()
    cr.save(cr.ones(1).expand(10_000_000), file)
    assert file.tell() < 1000
    file.seek(0)
    assert cr.load(file).shape == (10_000_000,)


def test_parts_that_do_not_meet_are_stored_without_the_rest():
    x = cr.zeros(1000)
    file = io.BytesIO()
    cr.save([x[:2], x[500:502]], file)
    assert file.tell() < 1000


def test_a_change_of_a_shared_tensor_is_noticed_by_the_tape():
    x, view = there_and_back((lambda x: [x, x[:2]])(cr.ones(3)))
    w = cr.ones(2, requires_grad=True)
    loss = (w * view).sum()
    x.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        loss.backward()


@pytest.mark.host
def test_arrays_share_memory_too():
    a = np.arange(6)
    back = there_and_back([a, a[2:4], a[::-1]])
    back[0][2] = 9
    assert back[1].tolist() == [9, 3] and back[2].tolist() == [5, 4, 3, 2, 1, 0]


@pytest.mark.host
def test_the_page_about_saving_runs(checkout, tmp_path, monkeypatch):
    page = (checkout / "docs" / "saving.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks:
        exec(block, names)
    assert len(names["losses"]) == 5 and len(os.listdir("checkpoints")) == 3
