"""SummaryWriter: the files decoded by a decoder of our own, and by TensorBoard where it is installed."""

from __future__ import annotations

import importlib.util
import io
import math
import struct
import threading

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.utils.tensorboard import SummaryWriter, protobuf, records, summaries

# ---- a decoder that knows nothing of the encoder --------------------------------------------------------------------


def read_varint(raw, at):
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def fields(raw):
    """{number: [values]} of a message; messages and strings stay bytes."""
    found, at = {}, 0
    while at < len(raw):
        key, at = read_varint(raw, at)
        kind = key & 7
        if kind == 0:
            value, at = read_varint(raw, at)
        elif kind == 1:
            value, at = struct.unpack_from("<d", raw, at)[0], at + 8
        elif kind == 5:
            value, at = struct.unpack_from("<f", raw, at)[0], at + 4
        else:
            assert kind == 2
            size, at = read_varint(raw, at)
            value, at = raw[at : at + size], at + size
            assert len(value) == size
        found.setdefault(key >> 3, []).append(value)
    return found


def slow_crc(raw):
    """CRC-32C bit by bit."""
    crc = 0xFFFFFFFF
    for byte in raw:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 * (crc & 1))
    return crc ^ 0xFFFFFFFF


def mask(crc):
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32


def events(folder):
    """All events of the folder's files, their checksums checked."""
    found = []
    for path in sorted(folder.iterdir()):
        if not path.is_file():
            continue
        raw, at = path.read_bytes(), 0
        while at < len(raw):
            (size,) = struct.unpack_from("<Q", raw, at)
            head, payload = raw[at : at + 8], raw[at + 12 : at + 12 + size]
            assert struct.unpack_from("<I", raw, at + 8)[0] == mask(slow_crc(head))
            assert struct.unpack_from("<I", raw, at + 12 + size)[0] == mask(slow_crc(payload))
            found.append(fields(payload))
            at += 16 + size
    return found


def values(folder):
    """(tag, step, fields of the value) of all summaries."""
    found = []
    for event in events(folder):
        for s in event.get(5, []):
            for v in fields(s)[1]:
                parts = fields(v)
                found.append((parts[1][0].decode(), event.get(2, [None])[0], parts))
    return found


def plugin_of(parts):
    plugin = fields(fields(parts[9][0])[1][0])
    return plugin[1][0].decode(), plugin[2][0]


# ---- encoding -------------------------------------------------------------------------------------------------------


@pytest.mark.host
def test_encoding():
    for n in (0, 1, 127, 128, 300, 2**32, 2**63 - 1):
        assert read_varint(protobuf.varint(n), 0) == (n, len(protobuf.varint(n)))
    assert read_varint(protobuf.integer(1, -1), 1)[0] == 2**64 - 1
    message = protobuf.integer(1, 5) + protobuf.double(2, 0.1) + protobuf.single(3, 0.5) + protobuf.data(20, "é")
    assert fields(message) == {1: [5], 2: [0.1], 3: [0.5], 20: ["é".encode()]}
    assert struct.unpack("<3d", fields(protobuf.doubles(7, [1, 2, 3]))[7][0]) == (1, 2, 3)
    rng = np.random.default_rng(0)
    for size in (0, 1, 9, 100):
        raw = rng.integers(0, 256, size).astype(np.uint8).tobytes()
        assert records.crc32c(raw) == slow_crc(raw) and records.masked(slow_crc(raw)) == mask(slow_crc(raw))


def test_scalars(tmp_path):
    with SummaryWriter(tmp_path, filename_suffix=".mine") as writer:
        for step, value in enumerate([1.5, cr.tensor(2.5), np.float32(3.5), True, math.nan]):
            writer.add_scalar("loss/train", value, step, walltime=100.0 + step)
        writer.add_scalar("once", 7)
        assert writer.get_logdir() == writer.log_dir == str(tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("events.out.tfevents.") and path.name.endswith(".mine")
    everything = events(tmp_path)
    assert everything[0][3] == [b"brain.Event:2"] and everything[1][1] == [100.0]
    found = values(tmp_path)
    assert [(tag, step) for tag, step, _ in found] == [*(("loss/train", i) for i in range(5)), ("once", None)]
    assert [parts[2][0] for _, _, parts in found[:4]] == [1.5, 2.5, 3.5, 1.0] and math.isnan(found[4][2][2][0])
    for bad, error in [(cr.zeros(2), ValueError), ("1", TypeError), (None, TypeError)]:
        with pytest.raises(error, match="add_scalar: expected"):
            SummaryWriter(tmp_path / "bad").add_scalar("x", bad)


def test_several_scalars_are_runs_of_their_own(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalars("a/b", {"x": 1.0, "y": 2.0}, 3)
        writer.add_scalars("a/b", {"x": 4.0}, 4)
    assert [(t, s, p[2]) for t, s, p in values(tmp_path / "a_b_x")] == [("a/b", 3, [1.0]), ("a/b", 4, [4.0])]
    assert len(values(tmp_path / "a_b_y")) == 1


@pytest.mark.parametrize("bins", ["tensorflow", 5, "auto", [-10.0, 0.0, 10.0]])
def test_histograms(tmp_path, bins):
    cr.manual_seed(0)
    data = cr.randn(200)
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("w", data, 2, bins=bins)
    ((tag, step, parts),) = values(tmp_path)
    histogram, host = fields(parts[5][0]), data.numpy(force=True).astype(np.float64)
    assert (tag, step) == ("w", 2)
    expected = [host.min(), host.max(), 200, host.sum(), (host * host).sum()]
    np.testing.assert_allclose([histogram[i][0] for i in range(1, 6)], expected)
    limits = np.frombuffer(histogram[6][0])
    counts = np.frombuffer(histogram[7][0])
    assert len(limits) == len(counts) and counts.sum() == 200 and counts[0] == 0 and counts[-1] > 0
    for lower, upper, n in zip(limits, limits[1:], counts[1:], strict=False):
        last = upper == limits[-1]
        assert n == ((host >= lower) & ((host <= upper) if last else (host < upper))).sum()


def test_histograms_that_cannot_be(tmp_path):
    writer = SummaryWriter(tmp_path)
    for bad, message in [([], "no values"), ([1.0, math.inf], "not finite"), ("abc", "expected a tensor")]:
        with pytest.raises((ValueError, TypeError), match=f"add_histogram: .*{message}"):
            writer.add_histogram("w", bad)
    with pytest.raises(ValueError, match="no value for 'w' lies between the edges"):
        writer.add_histogram("w", [5.0], bins=[0.0, 1.0])
    writer.add_histogram("w", cr.tensor([3, 3]), bins="auto", max_bins=4)
    writer.close()
    assert len(values(tmp_path)) == 1


def picture(folder):
    image = pytest.importorskip("PIL.Image")
    (_, _, parts), *_ = values(folder)
    content = fields(parts[4][0])
    opened = np.asarray(image.open(io.BytesIO(content[4][0])))
    assert content[1][0], content[2][0] == opened.shape[:2]
    assert content[3][0] == (1 if opened.ndim == 2 else opened.shape[2])
    return opened


RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10


@pytest.mark.parametrize(
    ("given", "formats", "expected"),
    [
        (RGB.transpose(2, 0, 1), "CHW", RGB),
        (RGB, "HWC", RGB),
        (RGB[..., 0], "HW", RGB[..., 0]),
        (RGB[..., :1], "HWC", RGB[..., 0]),
        (RGB / 255.0, "HWC", RGB),
        (RGB > 50, "HWC", 255 * (RGB > 50)),
        (np.full((1, 2, 2), 3.0), "CHW", np.full((2, 2), 255)),
        (np.concatenate([RGB, RGB[..., :1]], -1), "HWC", np.concatenate([RGB, RGB[..., :1]], -1)),
    ],
)
def test_images(tmp_path, given, formats, expected):
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("x", cr.tensor(given), 1, dataformats=formats)
    np.testing.assert_allclose(picture(tmp_path), expected, atol=1)


def test_grids_of_images(tmp_path):
    many = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 3), dtype=np.uint8)
    with SummaryWriter(tmp_path) as writer:
        writer.add_images("x", many)
    grid = picture(tmp_path)
    assert grid.shape == (4, 24)
    assert grid[0, ::3].tolist() == list(range(8)) and grid[2, ::3].tolist() == [8, 9, 0, 0, 0, 0, 0, 0]
    for shape, formats in [((2, 2), "CHW"), ((5, 2, 2), "CHW"), ((1, 2, 2), "CCH"), ((3, 0, 2), "CHW")]:
        with pytest.raises(ValueError, match="add_image: "):
            SummaryWriter(tmp_path).add_image("x", np.zeros(shape), dataformats=formats)


def test_figures(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(2, 1), dpi=50)
    with SummaryWriter(tmp_path) as writer:
        writer.add_figure("f", figure, 3)
    assert picture(tmp_path).shape == (50, 100, 3) and not pyplot.get_fignums()


def test_texts(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_text("note", "**größe**", 5)
    ((tag, step, parts),) = values(tmp_path)
    assert (tag, step) == ("note/text_summary", 5) and plugin_of(parts) == ("text", b"")
    tensor = fields(parts[8][0])
    assert tensor[1] == [7] and tensor[8] == ["**größe**".encode()]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(), nn.Linear(4, 2))

    def forward(self, x):
        return self.layers(x)


def test_graphs(tmp_path):
    model = Net()
    before = {k: v.tolist() for k, v in model.state_dict().items()}
    random = cr.get_rng_state().tolist()
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(model, cr.randn(5, 3, generator=cr.Generator()))
        with pytest.raises(TypeError, match="add_graph: input_to_model is needed"):
            writer.add_graph(model)
    assert {k: v.tolist() for k, v in model.state_dict().items()} == before and model.layers[3].training
    assert cr.get_rng_state().tolist() == random
    (graph,) = [event[4][0] for event in events(tmp_path) if 4 in event]
    nodes = [fields(node) for node in fields(graph)[1]]
    names = [node[1][0].decode() for node in nodes]
    assert len(set(names)) == len(names) and {"input", "layers/0/weight", "layers/4/bias", "result"} <= set(names)
    assert {source.decode().split(":")[0] for node in nodes for source in node.get(3, [])} <= set(names)
    linear = nodes[next(i for i, n in enumerate(nodes) if n[2] == [b"linear"])]
    assert [s.decode() for s in linear[3]] == ["input", "layers/0/weight", "layers/0/bias"]
    attributes = {fields(entry)[1][0]: fields(entry)[2][0] for entry in linear[5]}
    shape = fields(fields(fields(attributes[b"_output_shapes"])[1][0])[7][0])
    assert [fields(dim)[1][0] for dim in shape[2]] == [5, 4]


def test_hyperparameters(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        settings = {"lr": 0.1, "layers": 3, "bias": True, "name": "a", "none": None}
        writer.add_hparams(settings, {"accuracy": cr.tensor(0.9)}, {"name": ["a", "b"]}, run_name="run", global_step=4)
        for bad, error in [({"x": [1, 2]}, ValueError), ({"x": {}}, TypeError), ([], TypeError)]:
            with pytest.raises(error, match="add_hparams"):
                writer.add_hparams(bad, {})
    found = {tag: (step, parts) for tag, step, parts in values(tmp_path / "run")}
    assert found["accuracy"][0] == 4 and found["accuracy"][1][2][0] == pytest.approx(0.9)
    name, start = plugin_of(found["_hparams_/session_start_info"][1])
    entries = [fields(e) for e in fields(fields(start)[3][0])[1]]
    decoded = {e[1][0].decode(): fields(e[2][0]) for e in entries}
    assert name == "hparams"
    assert decoded == {"lr": {2: [0.1]}, "layers": {2: [3.0]}, "bias": {4: [1]}, "name": {3: [b"a"]}, "none": {1: [0]}}


def test_runs_that_go_on_and_files_that_are_closed(tmp_path):
    writer = SummaryWriter(tmp_path, purge_step=10)
    writer.add_scalar("x", 1.0, 10)
    writer.close()
    writer.close()
    writer.add_scalar("x", 2.0, 11)  # in a new file
    writer.flush()
    assert len(list(tmp_path.iterdir())) == 2
    (session,) = [event for event in events(tmp_path) if 7 in event]
    assert session[2] == [10] and fields(session[7][0]) == {1: [1]}
    assert [step for _, step, _ in values(tmp_path)] == [10, 11]
    file = records.EventFile(tmp_path / "other")
    file.close()
    with pytest.raises(ValueError, match="is closed"):
        file.write(summaries.scalar("x", 1.0))


def test_it_is_imported_when_first_named():
    assert cr.utils.tensorboard.SummaryWriter is SummaryWriter
    with pytest.raises(AttributeError, match="no attribute .tensorbored"):
        cr.utils.tensorbored  # noqa: B018


def test_the_default_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    SummaryWriter(comment="_mine").close()
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("_mine") and len(events(folder)) == 1


def test_threads_write_whole_records(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        threads = [
            threading.Thread(target=lambda k=k: [writer.add_scalar(f"t{k}", i, i) for i in range(50)]) for k in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(values(tmp_path)) == 200


@pytest.mark.host
@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
@pytest.mark.filterwarnings("ignore")
def test_tensorboard_reads_it(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    with SummaryWriter(tmp_path) as writer:
        for step in range(3):
            writer.add_scalar("loss", 1.0 / (step + 1), step)
        writer.add_histogram("w", np.linspace(-1, 1, 50), 1)
        writer.add_image("x", RGB, 2, dataformats="HWC")
        writer.add_text("note", "hello", 0)
        writer.add_graph(Net(), cr.ones(5, 3))
        writer.add_hparams({"lr": 0.1, "name": "a"}, {"accuracy": 0.5}, run_name="run")
    read = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in read.Scalars("loss")] == [(0, 1.0), (1, 0.5), (2, np.float32(1 / 3))]
    (histogram,) = read.Histograms("w")
    assert histogram.histogram_value.num == 50 and sum(histogram.histogram_value.bucket) == 50
    (image,) = read.Images("x")
    assert (image.width, image.height) == (3, 2) and image.encoded_image_string.startswith(b"\x89PNG")
    assert read.Tensors("note/text_summary")[0].tensor_proto.string_val == [b"hello"]
    graph = read.Graph()
    assert {"input", "layers/0/weight", "result"} <= {node.name for node in graph.node}
    run = EventAccumulator(str(tmp_path / "run")).Reload()
    content = run.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert start.hparams["lr"].number_value == 0.1 and start.hparams["name"].string_value == "a"
    assert run.Scalars("accuracy")[0].value == 0.5
