"""cr.save and cr.load: paths and file objects, memory maps, saves that fail, map_location."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from saving_cases import make_model, raw, same, there_and_back

import chainrule as cr
from chainrule.saving import container

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
