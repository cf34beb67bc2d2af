"""cr.save and cr.load: what comes back, what is refused, and files that mean harm."""

from __future__ import annotations

import copy
import io
import json
import math
import os
import pickle
import re
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.saving import container
from chainrule.utils import safetensors

ALL_DTYPES = [
    cr.bool, cr.uint8, cr.uint16, cr.uint32, cr.uint64, cr.int8, cr.int16, cr.int32, cr.int64,
    cr.float16, cr.bfloat16, cr.float32, cr.float64, cr.complex64, cr.complex128,
]  # fmt: skip


def there_and_back(value, **options):
    file = io.BytesIO()
    cr.save(value, file)
    file.seek(0)
    return cr.load(file, **options)


def same(a, b):
    """Equal, of the same types, all the way down."""
    assert type(a) is type(b)
    if isinstance(a, cr.Tensor):
        assert (a.dtype, a.shape, a.device, a.requires_grad) == (b.dtype, b.shape, b.device, b.requires_grad)
        np.testing.assert_array_equal(a.numpy(force=True), b.numpy(force=True))
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        assert [type(k) for k in a] == [type(k) for k in b]
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        assert a == b or (a != a and b != b)


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


def make_model():
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


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


# ---- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_paths(kind, tmp_path):
    path = kind(str(tmp_path / "x.st")) if kind is not os.fsencode else os.fsencode(tmp_path / "x.st")
    if kind is os.fsencode:
        path = os.fsdecode(path)
    cr.save([1, cr.ones(2)], path)
    same(cr.load(path), [1, cr.ones(2)])
    assert os.listdir(tmp_path) == ["x.st"]


def test_a_file_object_is_read_from_where_it_stands(tmp_path):
    with open(tmp_path / "x", "w+b") as file:
        file.write(b"before")
        cr.save(cr.ones(2), file)
        file.seek(6)
        same(cr.load(file), cr.ones(2))


class Drops(io.RawIOBase):
    """A file that gives few bytes at a time, and has no readinto."""

    def __init__(self, data):
        self.file = io.BytesIO(data)

    def read(self, size=-1):
        return self.file.read(min(size, 7))

    def seek(self, *where):
        return self.file.seek(*where)

    def tell(self):
        return self.file.tell()

    readinto = None


def test_files_that_give_little_at_a_time():
    file = io.BytesIO()
    cr.save(cr.arange(100.0), file)
    same(cr.load(Drops(file.getvalue())), cr.arange(100.0))


def test_mmap(tmp_path):
    path = tmp_path / "x.st"
    cr.save({"a": cr.arange(1000.0, device="cpu"), "b": cr.tensor(True, device="cpu")}, path)
    back = cr.load(path, mmap=True)
    back["a"][0] = 5
    assert back["a"][:3].tolist() == [5.0, 1.0, 2.0] and cr.load(path)["a"][0] == 0
    with pytest.raises(ValueError, match="mmap=True needs a path, got BytesIO"):
        cr.load(io.BytesIO(path.read_bytes()), mmap=True)


def test_a_failing_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.st"
    cr.save(1, path)
    with pytest.raises(TypeError):
        cr.save({"model": cr.ones(2), "f": print}, path)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        cr.save(2, path)
    assert cr.load(path) == 1 and os.listdir(tmp_path) == ["x.st"]


@pytest.mark.host
def test_a_program_killed_while_it_saves_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.st"
    cr.save({"n": 1}, path)
    code = f"""
import os, signal
import chainrule as cr
from chainrule.saving import container
from chainrule.utils import safetensors
fetch = container.np.ascontiguousarray
def die(array):
    os.kill(os.getpid(), signal.SIGKILL)
container.np = type(container.np)('np'); container.np.ascontiguousarray = die
cr.save({{'n': 2, 'x': cr.ones(1000)}}, {str(path)!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == -9, done.stderr
    assert cr.load(path) == {"n": 1}


@pytest.mark.host
def test_links_and_modes_are_kept(tmp_path):
    real, link = tmp_path / "real.st", tmp_path / "link.st"
    cr.save(1, real)
    real.chmod(0o640)
    link.symlink_to(real)
    cr.save(2, link)
    assert link.is_symlink() and cr.load(real) == 2 and real.stat().st_mode & 0o777 == 0o640


@pytest.mark.host
def test_devices_and_pipes_are_written_to_and_not_replaced():
    cr.save(1, os.devnull)
    assert not os.path.isfile(os.devnull)


# ---- map_location ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where",
    ["cpu", cr.device("cpu"), {"guard": "cpu", "cuda:0": "cpu"}, lambda t, where: t, lambda t, where: t.to("cpu")],
)
def test_map_location(where):
    back = there_and_back([cr.ones(2), cr.ones(3)[1:]], map_location=where)
    assert all(t.device.type == "cpu" for t in back)


def test_tensors_go_back_to_their_device_and_share_memory_there():
    x = cr.arange(4.0, device="guard")
    back = there_and_back({"x": x, "y": x[1:3], "host": cr.ones(1, device="cpu")})
    assert back["x"].device.type == back["y"].device.type == "guard" and back["host"].device.type == "cpu"
    back["x"].zero_()
    assert back["y"].sum() == 0
    moved = there_and_back(x, map_location=lambda t, location: t.to("guard") if location == "guard" else None)
    assert moved.device.type == "guard"
    assert there_and_back(cr.ones(1, device="cpu"), map_location="guard").device.type == "guard"


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        (lambda t, location: t[:1], RuntimeError, "must return the tensor that it was given"),
        (lambda t, location: "cpu", TypeError, "must return a Tensor or None, got str"),
        (3, TypeError, "map_location must be a device, a dict or a function, got int"),
        ("tpu", RuntimeError, "unknown device 'tpu'.*map_location='cpu'"),
    ],
)
def test_a_wrong_map_location(where, error, message):
    with pytest.raises(error, match=message):
        there_and_back(cr.ones(2), map_location=where)


@pytest.mark.skipif(cr.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.host
def test_a_device_that_is_not_here():
    data = raw({"t": ("F32", [1], b"\0" * 4)}, {"tensors": [{"storage": "t"}], "storages": {"t": {"device": "cuda:1"}}})
    with pytest.raises(RuntimeError, match=r"tensors of 'cuda:1'.*cr.load\(f, map_location='cpu'\)"):
        cr.load(io.BytesIO(data))
    assert cr.load(io.BytesIO(data), map_location={"cuda:1": "cpu"}).tolist() == [0.0]


# ---- what is refused ------------------------------------------------------------------------------------------------


class Own:
    pass


@pytest.mark.host
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (nn.Linear(1, 1), "cr.save: obj is a module (Linear): save model.state_dict()"),
        ({"m": [nn.Linear(1, 1)]}, "cr.save: obj['m']['0'] is a module"),
        (cr.optim.SGD([cr.ones(1)]), "obj is of type SGD: save its state_dict()"),
        (cr.Generator(), "obj is of type Generator: save its get_state()"),
        ({"f": [1, len]}, "obj['f']['1'] is a function"),
        (Own, "obj is a class"),
        ({"o": Own()}, "obj['o'] is of type Own; saved are tensors"),
        (np.array(["a"]), "obj is a NumPy array of <U1, which no tensor can hold; use .tolist()"),
        (np.array([None]), "obj is a NumPy array of object"),
        ({Own(): 1}, "a key of obj is of type Own"),
    ],
)
def test_what_cannot_be_saved(value, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        cr.save(value, io.BytesIO())


@pytest.mark.host
def test_other_refusals(tmp_path):
    loop: list = []
    loop.append(loop)
    with pytest.raises(ValueError, match="nested more than 100 levels deep"):
        cr.save(loop, io.BytesIO())
    with pytest.raises(ValueError, match="half a surrogate pair"):
        cr.save("\ud800", io.BytesIO())
    with pytest.raises(ValueError, match="pickle_module must be None"):
        cr.save(1, io.BytesIO(), pickle_module=pickle)
    with pytest.raises(ValueError, match="pickle_module must be None"):
        cr.load(io.BytesIO(), pickle_module=pickle)
    with pytest.raises(TypeError, match="expected a path or a file open for writing in binary, got int"):
        cr.save(1, 5)
    with pytest.raises(TypeError, match="expected a path or a file open in binary that can seek, got int"):
        cr.load(5)
    for call in (lambda p: cr.save(1, p), cr.load):
        with pytest.raises(IsADirectoryError, match="is a folder"):
            call(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        cr.load(tmp_path / "none.st")
    with pytest.raises(FileNotFoundError, match=r"the folder '.*nowhere' does not exist"):
        cr.save(1, tmp_path / "nowhere" / "x.st")


# ---- files that mean harm -------------------------------------------------------------------------------------------


def with_header(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def raw(tensors, table=None, value=None):
    """A file by hand: tensors are (dtype, shape, bytes)."""
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    if table is not None:
        text = json.dumps({"version": 1, "value": {"tensor": 0} if value is None else value, **table})
        header["__metadata__"] = {"chainrule": text}
    return with_header(header, data)


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def torch_like_zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(1))
        archive.writestr("archive/data/0", bytes(100))
    return file.getvalue()


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was run",))


BOMB = b"[" * 100_000
HARMFUL = {
    "empty": (b"", "has 0 bytes, too few for a header"),
    "seven bytes": (b"\0" * 7, "has 7 bytes"),
    "header of 2**60": (with_header(b"{}", length=1 << 60), "header claims 1,152,921,504,606,846,976 bytes, 2 are"),
    "header of 2**64 - 1": (with_header(b"{}", length=(1 << 64) - 1), "header claims 18,446,744"),
    "header cut short": (with_header({"a": entry()})[:-9], "header claims"),
    "text": (b"hello, this is a text file and no tensors at all", "header claims"),
    "no JSON": (with_header(b"xxxx"), "header is no JSON"),
    "no UTF-8": (with_header(b'{"\xff": 1}'), "header is no JSON"),
    "no object": (with_header(b"[]"), "header is no JSON object"),
    "NaN": (with_header(b'{"a": NaN}'), "NaN is no JSON number"),
    "a number of a million digits": (with_header(b'{"a": ' + b"9" * 1_000_000 + b"}"), "header is no JSON"),
    "nesting bomb": (with_header(BOMB), "nested too deeply|no JSON"),
    "nesting bomb of objects": (with_header(b'{"a":' * 100_000), "nested too deeply|no JSON"),
    "keys given twice": (with_header(b'{"a": 1, "a": 2}'), "the key 'a' stands there twice"),
    "a shape given twice": (with_header(b'{"a": {"shape": [1], "shape": [9]}}'), "'shape' stands there twice"),
    "no entry": (with_header({"a": 3}), "the entry 'a' must have"),
    "entry with more": (with_header({"a": {**entry(), "x": 1}}, b"\0" * 4), "the entry 'a' must have"),
    "metadata of numbers": (with_header({"__metadata__": {"a": 1}}), "must map strings to strings"),
    "unknown dtype": (with_header({"a": entry("F8_E4M3")}, b"\0" * 4), "dtype of 'a' must be one of"),
    "object dtype": (with_header({"a": entry("O")}, b"\0" * 4), "dtype of 'a' must be one of"),
    "negative shape": (with_header({"a": entry(shape=[-1, -1])}, b"\0" * 4), "the shape of 'a'"),
    "fractional shape": (with_header({"a": entry(shape=[1.0])}, b"\0" * 4), "the shape of 'a'"),
    "bool shape": (with_header({"a": entry(shape=[True])}, b"\0" * 4), "the shape of 'a'"),
    "huge shape": (with_header({"a": entry(shape=[1 << 62, 1 << 62])}, b"\0" * 4), "'a' takes"),
    "shape that overflows to 4 bytes": (with_header({"a": entry(shape=[1 << 62, 4, 1])}, b"\0" * 4), "'a' takes"),
    "huge and empty": (with_header({"a": entry(shape=[0, 1 << 62], offsets=(0, 0))}), "beyond all sizes"),
    "many dimensions": (with_header({"a": entry(shape=[1] * 65)}, b"\0" * 4), "at most 64 sizes"),
    "offsets behind the end": (with_header({"a": entry(offsets=(0, 8), shape=[2])}, b"\0" * 4), "it was cut short"),
    "offsets reversed": (with_header({"a": entry(offsets=(4, 0))}, b"\0" * 4), "data_offsets of 'a'"),
    "negative offsets": (with_header({"a": entry(offsets=(-4, 0))}, b"\0" * 4), "data_offsets of 'a'"),
    "overlap": (with_header({"a": entry(), "b": entry()}, b"\0" * 4), "'b'.* overlaps the one before it"),
    "gap": (with_header({"a": entry(offsets=(4, 8))}, b"\0" * 8), "leaves a gap"),
    "cut short": (with_header({"a": entry(shape=[2], offsets=(0, 8))}, b"\0" * 7), "it was cut short"),
    "too long": (with_header({"a": entry()}, b"\0" * 5), "something else follows"),
    "bool of 2": (with_header({"a": entry("BOOL", [1], [0, 1])}, b"\2"), "bytes other than 0 and 1"),
    "pickle": (pickle.dumps(Bomb()), "it is a pickle.*never opened here.*safetensors.torch.save_file"),
    "old pickle": (pickle.dumps(Bomb(), protocol=2), "it is a pickle"),
    "long pickle": (pickle.dumps([bytes(1 << 20), Bomb()]), "it is a pickle"),
    "PyTorch file": (torch_like_zip(), r"it is a pickle.*torch.load\('model.pt', weights_only=True\)"),
    "NumPy array": (b"\x93NUMPY\x01\0" + bytes(100), "it is a NumPy array"),
    "gzip": (b"\x1f\x8b\x08" + bytes(100), "compressed by gzip"),
}  # fmt: skip


@pytest.mark.host
@pytest.mark.parametrize("name", HARMFUL)
@pytest.mark.parametrize("mmap", [False, True])
def test_harmful_files_are_refused(name, mmap, tmp_path):
    data, message = HARMFUL[name]
    path = tmp_path / "model.pt"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(RuntimeError, match=message.replace("model.pt", ".*model.pt")) as caught:
            cr.load(path if mmap else io.BytesIO(data), mmap=mmap)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith("cr.load: ")
    assert len(str(caught.value)) < 1000
    assert peak < 4 * len(data) + 1_000_000  # the error's own traceback among it


@pytest.mark.host
def test_a_header_beyond_the_limit(monkeypatch):
    monkeypatch.setattr(container, "LONGEST_HEADER", 1000)
    with pytest.raises(RuntimeError, match="claims 1,001 bytes, more than the 1,000 that are allowed"):
        cr.load(io.BytesIO(with_header(b"{}" + b" " * 999)))
    with pytest.raises(ValueError, match="beside the tensors are .* and 1,000 that can be read; make"):
        cr.save(list(range(1000)), io.BytesIO())


@pytest.mark.host
def test_too_many_values(monkeypatch):
    file = io.BytesIO()
    cr.save([[]] * 1000, file)
    monkeypatch.setattr(container, "MOST_VALUES", 1000)
    file.seek(0)
    with pytest.raises(RuntimeError, match="its header has more than the 1,000 values that are allowed"):
        cr.load(file)
    with pytest.raises(ValueError, match="make tensors or arrays"):
        cr.save([[]] * 1000, io.BytesIO())


def table(*tensors, **storages):
    return {"tensors": list(tensors), "storages": storages}


ONE = {"t": ("F32", [4], bytes(16))}
#: (the table of tensors, the value, what the message says)
DAMAGED = {
    "tensor out of range": (table({"storage": "t"}), {"tensor": 1}, "there is no tensor 1"),
    "negative tensor": (table({"storage": "t"}), {"tensor": -1}, "there is no tensor -1"),
    "tensor by name": (table({"storage": "t"}), {"tensor": "t"}, "there is no tensor 't'"),
    "no such storage": (table({"storage": "u"}), None, "damaged 'tensor'"),
    "no storage": (table({}), None, "damaged 'tensor'"),
    "a note that is none": (table(3), None, "damaged 'tensor'"),
    "tables missing": ({}, None, "table of tensors is missing"),
    "storages of another kind": ({"tensors": [], "storages": 3}, 1, "table of storages is missing"),
    "storage of another kind": (table({"storage": "t"}, t=3), None, "damaged 'tensor'"),
    "view beyond": (table({"storage": "t", "view": ["float32", 0, [5], [1]]}), None, "reaches beyond its memory"),
    "view beyond by stride": (table({"storage": "t", "view": ["float32", 0, [2], [4]]}), None, "reaches beyond"),
    "view beyond by offset": (table({"storage": "t", "view": ["float32", 4, [4], [1]]}), None, "reaches beyond"),
    "view beyond by dtype": (table({"storage": "t", "view": ["float64", 0, [4], [1]]}), None, "reaches beyond"),
    "view before": (table({"storage": "t", "view": ["float32", -4, [1], [1]]}), None, "whole numbers"),
    "view backwards": (table({"storage": "t", "view": ["float32", 0, [2], [-1]]}), None, "whole numbers"),
    "view of 2**70": (table({"storage": "t", "view": ["float32", 0, [1 << 70], [0]]}), None, "reaches beyond"),
    "view of an unknown dtype": (table({"storage": "t", "view": ["O", 0, [1], [1]]}), None, "damaged 'tensor'"),
    "view of few": (table({"storage": "t", "view": ["float32"]}), None, "damaged 'tensor'"),
    "complex128 in float32": (table({"storage": "t"}, t={"dtype": "complex128"}), None, "pairs of F64"),
    "device that is none": (table({"storage": "t"}, t={"device": 3}), None, "a device must be a name"),
    "unknown kind": (table(), {"os.system": "true"}, "unknown kind 'os.system'"),
    "two kinds": (table(), {"tuple": [], "list": []}, "which means nothing"),
    "dict of no pairs": (table(), {"dict": [1]}, "damaged 'dict'"),
    "dict as a key": (table(), {"dict": [[{"dict": []}, 1]]}, "damaged 'dict'"),
    "scalar of many": (table(), {"scalar": ["int8", "AAAA"]}, "expected one number"),
    "scalar of objects": (table(), {"scalar": ["O", "AAAAAAAAAAA="]}, "damaged 'scalar'"),
    "no base64": (table(), {"bytes": "&&&&"}, "damaged 'bytes'"),
    "float that is none": (table(), {"float": "1e5"}, "damaged 'float'"),
    "device unknown": (table(), {"device": "tpu"}, "unknown device"),
    "nesting": (table(), json.loads("[" * 300 + "]" * 300), "nested too deeply"),
    "nesting of kinds": (table(), json.loads('{"tuple": [' * 300 + "]}" * 300), "nested too deeply"),
    "newer version": ({"version": 2, **table()}, 1, "version 2 of the format.*update chainrule"),
    "integer that requires grad": (table({"storage": "t", "grad": True, "view": ["int32", 0, [1], [1]]}), None, "grad"),
}


@pytest.mark.host
@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_tables_are_refused(name):
    tables, value, message = DAMAGED[name]
    with pytest.raises(RuntimeError, match=message) as caught:
        cr.load(io.BytesIO(raw(ONE, tables, value)))
    assert str(caught.value).startswith("cr.load: BytesIO: ")


@pytest.mark.host
def test_damaged_json_in_a_whole_container():
    for text, message in (
        ("{", "table of values is no JSON"), ("[]", "has version None"), ("[" * 50_000, "nested too deeply|no JSON"),
        ('{"version": 1, "tensors": [], "storages": {}}', "its value is missing"),
    ):  # fmt: skip
        data = with_header({"__metadata__": {"chainrule": text}})
        with pytest.raises(RuntimeError, match=message):
            cr.load(io.BytesIO(data))


@pytest.mark.host
def test_every_truncation_is_refused():
    file = io.BytesIO()
    cr.save({"a": cr.ones(3), "b": (1, "x")}, file)
    data = file.getvalue()
    for length in range(len(data)):
        with pytest.raises(RuntimeError):
            cr.load(io.BytesIO(data[:length]))


@pytest.mark.host
def test_no_changed_byte_does_more_than_fail_or_change_a_value():
    file = io.BytesIO()
    cr.save({"a": cr.ones(3), "b": (1, "x", {2: cr.zeros(2, 2).t()}), "c": np.float32(1)}, file)
    data = bytearray(file.getvalue())
    rng = np.random.default_rng(0)
    for _ in range(3000):
        changed = copy.copy(data)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            changed[place] = rng.integers(0, 256)
        try:
            cr.load(io.BytesIO(bytes(changed)))
        except RuntimeError as error:
            assert str(error).startswith(("cr.load: ", "device: "))  # noqa: PT017


@pytest.mark.host
def test_loading_allocates_no_more_than_the_file(tmp_path):
    path = tmp_path / "x.st"
    cr.save({f"layer{i}": np.ones(1 << 18, np.float32) for i in range(10)}, path)
    size = path.stat().st_size
    cr.load(path)  # imports
    for options, most in (({}, size + 100_000), ({"mmap": True}, 200_000)):
        tracemalloc.start()
        back = cr.load(path, **options)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < most, options
        assert len(back) == 10


@pytest.mark.host
def test_names_in_the_file_are_the_dotted_ones():
    file = io.BytesIO()
    cr.save({"model": make_model().state_dict(), "steps": [cr.ones(1)]}, file)
    size = file.tell()
    file.seek(0)
    entries, metadata, at = container.read_header(file, size)
    assert {"model.0.weight", "model.1.running_mean", "steps.0"} <= set(entries)
    assert metadata["format"] == "chainrule" and at % 8 == 0
    assert all(e.start % e.dtype.itemsize == 0 for e in entries.values())


# ---- chainrule.utils.safetensors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ALL_DTYPES[:-1], ids=str)
def test_safetensors_of_every_dtype(dtype, tmp_path):
    x = cr.arange(6).view(2, 3).to(dtype)
    safetensors.save_file({"x": x, "t": x.clone().t(), "a": np.arange(3)}, tmp_path / "x", {"k": "v"})
    back = safetensors.load_file(tmp_path / "x", device=x.device)
    same(back["x"], x)
    same(back["t"].contiguous(), x.t().contiguous())
    assert back["a"].tolist() == [0, 1, 2]
    assert safetensors.load(safetensors.save({"x": x}))["x"].dtype == dtype


def test_safetensors_tied_models(tmp_path):
    def model():
        tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, bias=False), nn.Linear(3, 3))
        tied[1].weight = tied[0].weight
        return tied

    source, target = model(), model()
    safetensors.save_model(source, tmp_path / "x")
    assert safetensors.load_model(target, tmp_path / "x") == ([], [])
    same(target.state_dict(), source.state_dict())
    # a file that kept the other of the two names
    state = source.state_dict()
    del state["0.weight"]
    safetensors.save_file(state, tmp_path / "y")
    assert safetensors.load_model(model(), tmp_path / "y") == ([], [])
    other = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(RuntimeError, match=r"(?s)missing.*1.weight.*unexpected.*2.weight"):
        safetensors.load_model(other, tmp_path / "x")
    same(other.state_dict(), before)
    missing, unexpected = safetensors.load_model(other, tmp_path / "x", strict=False)
    assert (missing, sorted(unexpected)) == (["1.weight", "1.bias"], ["2.bias", "2.weight"])


@pytest.mark.host
@pytest.mark.parametrize(
    ("tensors", "error", "message"),
    [
        ([1], TypeError, "save: expected a dict of names and tensors, got list"),
        ({1: cr.ones(1)}, TypeError, "a name must be a string other than '__metadata__', got 1"),
        ({"__metadata__": cr.ones(1)}, TypeError, "a name must be a string other than"),
        ({"a": [1.0]}, TypeError, "'a' must be a Tensor or a NumPy array, got list"),
        ({"a": cr.ones(1, dtype=cr.complex128)}, TypeError, "'a' is chainrule.complex128, which the format"),
        ((lambda x: {"a": x, "b": x})(cr.ones(2)), RuntimeError, "share memory.*use save_model"),
        ((lambda x: {"a": x, "b": x[1:]})(cr.ones(2)), RuntimeError, r"\[\['a', 'b'\]\] share memory"),
    ],
)
def test_safetensors_refusals(tensors, error, message):
    with pytest.raises(error, match=message):
        safetensors.save(tensors)


@pytest.mark.host
def test_safetensors_metadata_must_be_strings():
    with pytest.raises(TypeError, match="save: metadata must map strings to strings"):
        safetensors.save({}, {"epoch": 3})
    with pytest.raises(RuntimeError, match="load: .*it is a pickle"):
        safetensors.load(pickle.dumps(Bomb()))


@pytest.mark.host
def test_partly_shared_parameters_are_no_tied_ones(tmp_path):
    model = nn.Linear(2, 2)
    model.bias = nn.Parameter(model.weight.detach()[0])
    with pytest.raises(RuntimeError, match="'bias' and 'weight' share a part of their memory only; use cr.save"):
        safetensors.save_model(model, tmp_path / "x")


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
