"""cr.save and cr.load: what cannot be saved, wrong arguments, and files that mean harm."""

from __future__ import annotations

import copy
import io
import json
import pickle
import re
import tracemalloc
import zipfile

import numpy as np
import pytest
from saving_cases import Bomb, raw, with_header

import chainrule as cr
from chainrule import nn
from chainrule.saving import container

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


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def torch_like_zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(1))
        archive.writestr("archive/data/0", bytes(100))
    return file.getvalue()


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
