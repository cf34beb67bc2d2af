"""Transforms, data sets and tools for images: values on small images, kinds of input, errors."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.utils.data import DataLoader, Subset
from chainrule.vision import datasets, models, transforms
from chainrule.vision.transforms import InterpolationMode
from chainrule.vision.transforms import functional as F
from chainrule.vision.utils import make_grid, save_image

Image = pytest.importorskip("PIL.Image", reason="needs Pillow (pip install 'chainrule[vision]')")
RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (13, 17, 3), np.uint8)


def picture(mode="RGB"):
    return Image.fromarray(BYTES).convert(mode)


def planes():
    """The picture as a uint8 tensor."""
    return cr.tensor(np.ascontiguousarray(BYTES.transpose(2, 0, 1)))


def array(image):
    """An image of any kind as an array (C, H, W)."""
    if isinstance(image, cr.Tensor):
        return image.numpy(force=True)
    pixels = np.asarray(image)
    return pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels[None]


#: what must be exactly the same on PIL images and tensors, and what it gives for the bytes
EXACT = {
    "hflip": (F.hflip, lambda a: a[:, ::-1]),
    "vflip": (F.vflip, lambda a: a[::-1]),
    "crop": (lambda x: F.crop(x, 2, 3, 5, 6), lambda a: a[2:7, 3:9]),
    "crop outside": (lambda x: F.crop(x, -1, 15, 4, 4), lambda a: np.pad(a[:3, 15:], ((1, 0), (0, 2), (0, 0)))),
    "center_crop": (lambda x: F.center_crop(x, (5, 7)), lambda a: a[4:9, 5:12]),
    "center_crop of a smaller one": (lambda x: F.center_crop(x, (5, 20)),
                                     lambda a: np.pad(a, ((0, 0), (1, 2), (0, 0)))[4:9]),
    "pad": (lambda x: F.pad(x, 2, fill=9), lambda a: np.pad(a, ((2, 2), (2, 2), (0, 0)), constant_values=9)),
    "pad two": (lambda x: F.pad(x, (1, 3)), lambda a: np.pad(a, ((3, 3), (1, 1), (0, 0)))),
    "pad four": (lambda x: F.pad(x, (1, 2, 3, 4), padding_mode="edge"),
                 lambda a: np.pad(a, ((2, 4), (1, 3), (0, 0)), mode="edge")),
    "pad reflect": (lambda x: F.pad(x, 3, padding_mode="reflect"),
                    lambda a: np.pad(a, ((3, 3), (3, 3), (0, 0)), mode="reflect")),
    "pad symmetric": (lambda x: F.pad(x, 3, padding_mode="symmetric"),
                      lambda a: np.pad(a, ((3, 3), (3, 3), (0, 0)), mode="symmetric")),
    "pad colour": (lambda x: F.pad(x, (1, 0, 0, 0), fill=(1, 2, 3)),
                   lambda a: np.concatenate([np.tile(np.uint8([[[1, 2, 3]]]), (13, 1, 1)), a], 1)),
    "rotate 90": (lambda x: F.rotate(x, 90, expand=True), lambda a: np.rot90(a)),
    "rotate 180": (lambda x: F.rotate(x, 180), lambda a: a[::-1, ::-1]),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_geometry(name):
    change, expected = EXACT[name]
    wanted = expected(BYTES).transpose(2, 0, 1)
    for image in (picture(), planes()):
        changed = change(image)
        assert type(changed) is type(image) or isinstance(changed, Image.Image)
        np.testing.assert_array_equal(array(changed), wanted)
    batch = change(cr.stack([planes(), planes().flip(0)]))
    np.testing.assert_array_equal(array(batch[0]), wanted)
    if name in ("pad", "pad colour"):  # their fill is a byte
        return
    np.testing.assert_array_equal(array(change(planes().float() / 255)), (wanted / np.float32(255)).astype(np.float32))


#: what PIL and tensors compute differently, and how far apart bytes may be
CLOSE = {
    "resize": (lambda x: F.resize(x, 7), 2),
    "resize up": (lambda x: F.resize(x, (20, 31)), 2),
    "resized_crop": (lambda x: F.resized_crop(x, 1, 2, 8, 9, (6, 6)), 2),
    "brightness": (lambda x: F.adjust_brightness(x, 1.4), 1),
    "contrast": (lambda x: F.adjust_contrast(x, 0.7), 1),
    "saturation": (lambda x: F.adjust_saturation(x, 0.4), 1),
    "hue": (lambda x: F.adjust_hue(x, 0.25), 16),  # Pillow's HSV has bytes
    "gray": (lambda x: F.rgb_to_grayscale(x, 3), 1),
}


@pytest.mark.parametrize("name", CLOSE)
def test_close(name):
    change, most = CLOSE[name]
    pil, tensor = array(change(picture())).astype(int), array(change(planes()))
    assert tensor.dtype == np.uint8 and pil.shape == tensor.shape
    assert abs(pil - tensor).max() <= most
    floats = array(change(planes().float() / 255))
    assert abs(floats * 255 - tensor).max() <= 1.5
    if pil.shape == BYTES.transpose(2, 0, 1).shape:
        assert abs(pil - array(planes())).max() > most  # something has changed


def test_adjustments_at_their_ends():
    x = planes().float() / 255
    assert not F.adjust_brightness(x, 0).any()
    for change in (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation):
        np.testing.assert_allclose(array(change(x, 1)), array(x), atol=1e-6)
    np.testing.assert_allclose(array(F.adjust_hue(x, 0)), array(x), atol=1e-6)
    red = cr.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1)
    np.testing.assert_allclose(array(F.adjust_hue(red, 1 / 3)).ravel(), [0, 1, 0], atol=1e-6)
    gray = F.adjust_saturation(x, 0)
    np.testing.assert_array_equal(array(gray[0]), array(gray[2]))
    assert F.adjust_saturation(x[:1], 0.3) is not None and array(F.adjust_hue(x[:1], 0.3)).shape == (1, 13, 17)


def test_rotation_by_any_angle():
    for center in (None, (2, 3)):
        pil = array(F.rotate(picture(), 33, center=center))
        tensor = array(F.rotate(planes(), 33, center=center))
        assert (pil != tensor).mean() < 0.02  # pixels exactly between two
    filled = array(F.rotate(planes(), 45, fill=[7.0]))
    assert (filled[:, 0, 0] == 7).all()
    assert (
        array(F.rotate(planes(), 45, InterpolationMode.BILINEAR, expand=True)).shape
        == array(F.rotate(picture(), 45, expand=True)).shape
    )


@pytest.mark.parametrize("mode", "1 L LA P RGB RGBA CMYK I F HSV YCbCr I;16".split())
def test_pil_to_tensor_and_back(mode):
    image = Image.fromarray(BYTES[..., 0].astype(np.uint16) * 200) if mode == "I;16" else picture(mode)
    tensor = F.pil_to_tensor(image)
    assert tuple(tensor.shape) == (len(image.getbands()), 13, 17)
    np.testing.assert_array_equal(array(tensor), array(image))
    scaled = F.to_tensor(image)
    if mode == "1":
        assert set(np.unique(array(scaled))) <= {0.0, 1.0}
    elif tensor.dtype == cr.uint8:
        np.testing.assert_array_equal(array(scaled), array(tensor) / np.float32(255))
        back = F.to_pil_image(tensor, None if mode == "P" else mode)
        np.testing.assert_array_equal(array(back), array(image))
    else:
        assert scaled.dtype == tensor.dtype


def test_to_tensor_of_arrays():
    assert F.to_tensor(BYTES).shape == (3, 13, 17) and F.to_tensor(BYTES).dtype == cr.float32
    doubles = F.to_tensor(np.ones((2, 3)))
    assert doubles.shape == (1, 2, 3) and doubles.dtype == cr.float64 and doubles.sum().item() == 6
    image = F.to_pil_image(cr.tensor([[0.0, 1.0], [0.5, 0.25]]))
    assert image.mode == "L" and np.asarray(image).tolist() == [[0, 255], [127, 63]]


@pytest.mark.parametrize(
    ("source", "dtype", "expected"),
    [
        (cr.uint8, cr.float32, [0.0, 1.0]),
        (cr.uint8, cr.int32, [0, 255 * 2**23]),
        (cr.int16, cr.uint8, [0, 255]),
        (cr.float32, cr.uint8, [0, 255]),
        (cr.float64, cr.float32, [0.0, 1.0]),
        (cr.float32, cr.int16, [0, 32767]),
    ],
)
def test_convert_image_dtype(source, dtype, expected):
    white = 1 if source.is_floating_point else cr.iinfo(source).max
    image = transforms.ConvertImageDtype(dtype)(cr.tensor([[0, white]], dtype=source))
    assert image.dtype == dtype and image.tolist() == [expected]


def test_normalize():
    x = cr.ones(2, 3, 1, 1)
    out = F.normalize(x, [0.0, 1.0, 2.0], [1.0, 2.0, 4.0])
    assert out[1].flatten().tolist() == [1.0, 0.0, -0.25] and x.sum().item() == 6
    assert F.normalize(x, [1.0], [1.0], inplace=True) is x and x.sum().item() == 0


def test_random_transforms():
    cr.manual_seed(0)
    image, tensor = picture(), planes()
    always, never = transforms.RandomHorizontalFlip(1.0), transforms.RandomVerticalFlip(0.0)
    np.testing.assert_array_equal(array(always(tensor)), array(tensor)[:, :, ::-1])
    assert never(image) is image
    for pic in (image, tensor):
        part = array(transforms.RandomCrop((4, 6))(pic))
        windows = np.lib.stride_tricks.sliding_window_view(array(tensor), (3, 4, 6))
        assert (windows == part).all((-3, -2, -1)).any()
        assert array(transforms.RandomCrop(20, pad_if_needed=True)(pic)).shape == (3, 20, 20)
        assert array(transforms.RandomCrop(13, padding=2, padding_mode="reflect")(pic)).shape == (3, 13, 13)
        assert array(transforms.RandomResizedCrop((6, 5))(pic)).shape == (3, 6, 5)
        assert array(transforms.RandomRotation(30, fill=3)(pic)).shape == (3, 13, 17)
        assert array(transforms.ColorJitter(0.5, 0.5, 0.5, 0.2)(pic)).shape == (3, 13, 17)
        gray = array(transforms.RandomGrayscale(1.0)(pic))
        np.testing.assert_array_equal(gray[0], gray[2])
    erased = [transforms.RandomErasing(1.0, value=v)(tensor.float()) for v in (0, (1.0, 2.0, 3.0), "random")]
    assert [1.0, 2.0, 3.0] in erased[1].reshape(3, -1).T.tolist() and not (erased[2] == erased[0]).all()
    draws = {transforms.RandomChoice([lambda x: 1, lambda x: 2], p=p)(0) for p in ([0, 1], [1, 0]) for _ in range(3)}
    assert draws == {1, 2} == {transforms.RandomChoice([lambda x: 1, lambda x: 2])(0) for _ in range(40)}
    orders = {transforms.RandomOrder([lambda x: [*x, 1], lambda x: [*x, 2]])([]).__str__() for _ in range(40)}
    assert orders == {"[1, 2]", "[2, 1]"}
    assert transforms.RandomApply([abs, lambda x: x + 1], p=1.0)(-3) == 4
    angles = [transforms.RandomRotation.get_params([-10, 20]) for _ in range(200)]
    assert -10 <= min(angles) < -5 and 15 < max(angles) <= 20


def test_transforms_are_seeded_and_picklable():
    steps = transforms.Compose([transforms.RandomCrop(9), transforms.RandomHorizontalFlip(), transforms.ToTensor()])
    copied = pickle.loads(pickle.dumps(steps))
    cr.manual_seed(3)
    first = [array(steps(picture())) for _ in range(3)]
    cr.manual_seed(3)
    for a in first:
        np.testing.assert_array_equal(array(copied(picture())), a)


def test_printed_forms():
    T = transforms
    steps = T.Compose([T.ToTensor(), T.Normalize((0.1,), (0.3,))])
    assert repr(steps) == "Compose(\n    ToTensor()\n    Normalize(mean=(0.1,), std=(0.3,))\n)"
    for transform in (
        "RandomCrop(size=(32, 32), padding=4)", "RandomHorizontalFlip(p=0.5)", "CenterCrop(size=(24, 24))",
        "Resize(size=32, interpolation=bilinear, max_size=None, antialias=True)", "Grayscale(num_output_channels=1)",
        "Pad(padding=2, fill=0, padding_mode=constant)",
    ):  # fmt: skip
        name, rest = transform.split("(", 1)
        argument = {"RandomCrop": "32, padding=4", "CenterCrop": "24", "Resize": "32", "Pad": "2"}.get(name, "")
        assert repr(eval(f"T.{name}({argument})")) == transform, rest
    assert repr(T.RandomRotation(10)) == (
        "RandomRotation(degrees=[-10.0, 10.0], interpolation=nearest, expand=False, fill=0)"
    )
    assert repr(T.RandomErasing()).startswith("RandomErasing(p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=0")
    assert repr(T.ColorJitter(0.1, (1, 2))) == (
        "ColorJitter(brightness=(0.9, 1.1), contrast=(1.0, 2.0), saturation=None, hue=None)"
    )


def test_pillow_is_imported_on_use_only():
    code = "import sys; from chainrule.vision import datasets, models, transforms, utils; print('PIL' in sys.modules)"
    path = os.pathsep.join([str(Path(cr.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    options = {"capture_output": True, "text": True, "env": {**os.environ, "PYTHONPATH": path}}
    assert subprocess.run([sys.executable, "-c", code], **options, check=True).stdout == "False\n"
    assert cr.vision.transforms is transforms
    with pytest.raises(AttributeError, match="it has datasets, models, transforms, utils"):
        cr.vision.ops  # noqa: B018


def test_grids(tmp_path):
    grid = make_grid(cr.arange(3).float().reshape(3, 1, 1, 1), nrow=2, padding=1, pad_value=9.0)
    assert grid[0].tolist() == [[9, 9, 9, 9, 9], [9, 0, 9, 1, 9], [9, 9, 9, 9, 9], [9, 2, 9, 9, 9], [9, 9, 9, 9, 9]]
    assert make_grid([cr.tensor([[[2.0, 4.0]]])], normalize=True).tolist() == [[[0.0, 1.0]]] * 3
    save_image(cr.tensor([[[0.0, 1.0]]]), tmp_path / "x.png")
    assert np.asarray(Image.open(tmp_path / "x.png")).tolist() == [[[0, 0, 0], [255, 255, 255]]]
    file = io.BytesIO()
    save_image([cr.zeros(3, 2, 2)] * 2, file, format="png", padding=0)
    assert Image.open(file).size == (4, 2)


# ---- data sets ------------------------------------------------------------------------------------------------------


def idx(pixels):
    return struct.pack(f">BBBB{pixels.ndim}I", 0, 0, 8, pixels.ndim, *pixels.shape) + pixels.tobytes()


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    monkeypatch.delenv("CHAINRULE_DATA", raising=False)
    pixels, labels = RNG.integers(0, 256, (10, 28, 28), np.uint8), np.arange(10, dtype=np.uint8)[::-1].copy()
    for folder in ("MNIST/raw", "FashionMNIST/raw", "plain", "shared/mnist"):
        path = tmp_path / folder
        path.mkdir(parents=True)
        (path / "train-images-idx3-ubyte").write_bytes(idx(pixels))
        (path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return tmp_path, pixels, labels


def test_mnist(mnist, monkeypatch):
    root, pixels, _ = mnist
    data = datasets.MNIST(root)
    image, label = data[3]
    assert image.mode == "L" and label == 6 and type(label) is int
    np.testing.assert_array_equal(np.asarray(image), pixels[3])
    assert data.data.shape == (10, 28, 28) and data.targets.dtype == cr.int64 and len(data) == 10
    assert data.class_to_idx["2 - two"] == 2 and "Split: Train" in repr(data) and f"location: {root}" in repr(data)
    assert datasets.FashionMNIST(str(root)).classes[9] == "Ankle boot"
    assert len(datasets.MNIST(root / "plain", target_transform=lambda y: y + 100)) == 10
    with pytest.raises(RuntimeError, match="pass download=True to fetch them"):
        datasets.MNIST(root / "nothing")
    monkeypatch.setenv("CHAINRULE_DATA", str(root / "shared"))
    assert len(datasets.MNIST(root / "nothing")) == 10
    with pytest.raises(RuntimeError, match="no t10k-images"):
        datasets.MNIST(root, train=False)


def test_batches_made_at_once_are_those_made_one_by_one(mnist):
    root, *_ = mnist
    steps = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    for transform in (transforms.ToTensor(), steps):
        data = datasets.MNIST(root, transform=transform, target_transform=lambda y: -y)
        slow = datasets.MNIST(root, transform=lambda x, f=transform: f(x), target_transform=lambda y: -y)
        for chosen in (data, Subset(data, [3, -1, 5, 5])):
            other = slow if chosen is data else Subset(slow, [3, -1, 5, 5])
            for (x, y), (v, w) in zip(DataLoader(chosen, 3), DataLoader(other, 3), strict=True):
                np.testing.assert_array_equal(array(x), array(v), strict=True)
                assert y.tolist() == w.tolist() and x.device == v.device


def test_cifar(tmp_path, monkeypatch):
    monkeypatch.delenv("CHAINRULE_DATA", raising=False)
    records = RNG.integers(0, 256, (10, 3073), np.uint8)
    records[:, 0] %= 10
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for i in range(1, 6):
        (folder / f"data_batch_{i}.bin").write_bytes(records[2 * i - 2 : 2 * i].tobytes())
    data = datasets.CIFAR10(tmp_path, transform=transforms.ToTensor())
    assert data.data.shape == (10, 32, 32, 3) and data.targets == records[:, 0].tolist() and data.classes[8] == "ship"
    image, label = data[7]
    np.testing.assert_array_equal(array(image) * np.float32(255), records[7, 1:].reshape(3, 32, 32))
    assert label == records[7, 0]
    ((x, _),) = DataLoader(data, 10)
    np.testing.assert_array_equal(array(x[7]), array(image))
    (folder / "data_batch_3.bin").unlink()
    with pytest.warns(UserWarning, match="found 4 of 5 files"):
        assert len(datasets.CIFAR10(tmp_path)) == 8
    with pytest.raises(RuntimeError, match=r"no test_batch.bin \(or .bin.gz\)"):
        datasets.CIFAR10(tmp_path, train=False)
    (tmp_path / "new" / "cifar-10-batches-py").mkdir(parents=True)
    with pytest.raises(RuntimeError, match="pickles, which can run code"):
        datasets.CIFAR10(tmp_path / "new")


def test_cifar100_and_its_archive(tmp_path, monkeypatch):
    monkeypatch.delenv("CHAINRULE_DATA", raising=False)
    record = np.zeros((2, 3074), np.uint8)
    record[:, 1] = 99, 3
    archive = tmp_path / "cifar-100-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in (("cifar-100-binary/test.bin", record.tobytes()), ("../../evil.bin", b"x")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    monkeypatch.setattr("chainrule.vision.datasets.cifar.fetch", lambda name, sites, root, md5: archive)
    data = datasets.CIFAR100(tmp_path / "a" / "b", train=False, download=True)
    assert data.targets == [99, 3] and data.classes[99] == "worm" and len(data.classes) == 100
    assert not list(tmp_path.rglob("evil*"))


def test_the_real_cifar(data_folder):
    with pytest.warns(UserWarning, match="found 1 of 5 files"):
        data = datasets.CIFAR10(data_folder / "cifar10")
    assert len(data) == 10_000 and [data.classes[t] for t in data.targets[:3]] == ["frog", "truck", "truck"]
    assert len(datasets.CIFAR10(data_folder / "cifar10", train=False)) == 1000


@pytest.fixture
def tree(tmp_path):
    for name, color in (("b", (255, 0, 0)), ("a", (0, 255, 0))):
        (tmp_path / name / "deep").mkdir(parents=True)
        Image.new("RGB", (4, 2), color).save(tmp_path / name / "2.png")
        Image.new("L", (4, 2), 7).save(tmp_path / name / "deep" / "1.PNG")
        (tmp_path / name / "notes.txt").write_text("not an image")
    return tmp_path


def test_image_folder(tree):
    data = datasets.ImageFolder(tree, transform=transforms.PILToTensor(), target_transform=str)
    assert data.classes == ["a", "b"] and data.targets == [0, 0, 1, 1] and len(data) == 4
    assert [path[len(str(tree)) :] for path, _ in data.imgs] == [
        "/a/2.png",
        "/a/deep/1.PNG",
        "/b/2.png",
        "/b/deep/1.PNG",
    ]
    image, target = data[2]
    assert image[:, 0, 0].tolist() == [255, 0, 0] and target == "1" and data[1][0][:, 0, 0].tolist() == [7, 7, 7]
    texts = datasets.DatasetFolder(tree, os.path.getsize, is_valid_file=lambda p: p.endswith("txt"))
    assert [target for _, target in texts.samples] == [0, 1]
    (tree / "c").mkdir()
    with pytest.raises(FileNotFoundError, match="in the folders of c in"):
        datasets.ImageFolder(tree)
    assert datasets.ImageFolder(tree, allow_empty=True).classes == ["a", "b", "c"]
    with pytest.raises(FileNotFoundError, match="expected a folder for each class"):
        datasets.ImageFolder(tree / "c")
    (tree / "a" / "2.png").write_bytes((tree / "a" / "2.png").read_bytes()[:40])
    (tree / "b" / "2.png").write_bytes(pickle.dumps([1, 2]))
    damaged = datasets.ImageFolder(tree, allow_empty=True)
    for i in (0, 2):
        with pytest.raises(ValueError, match=r"2.png: no image that can be read"):
            damaged[i]


def test_fake_data():
    data = datasets.FakeData(4, (3, 5, 6), num_classes=2)
    image, target = data[1]
    assert repr(data) == "Dataset FakeData\n    Number of datapoints: 4"
    data.transform = abs
    assert repr(data).endswith("4\n    StandardTransform\nTransform: <built-in function abs>")
    data.transform = None
    assert image.size == (6, 5) and 0 <= target < 2 and np.array_equal(data[1][0], image)
    assert not np.array_equal(data[2][0], image) and len(list(data)) == 4


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: F.to_tensor([1]), TypeError, "got list"),
        (lambda: F.to_tensor(np.zeros(3)), ValueError, r"got shape \(3,\)"),
        (lambda: F.pil_to_tensor(np.zeros((2, 2))), TypeError, "got ndarray"),
        (lambda: F.to_pil_image(cr.zeros(5, 2, 2)), ValueError, "1 to 4 channels, got 5"),
        (lambda: F.to_pil_image(cr.zeros(3, 2, 2), "L"), ValueError, "got mode='L'"),
        (lambda: F.to_pil_image(cr.zeros(1, 2, 2, dtype=cr.int64)), TypeError, "no image of 1 channels of int64"),
        (lambda: F.normalize(picture(), [0], [1]), TypeError, r"put ToTensor\(\) before"),
        (lambda: F.normalize(planes(), [0], [1]), TypeError, "got chainrule.uint8"),
        (lambda: F.normalize(cr.ones(3, 2, 2), [0], [0]), ValueError, "division by zero"),
        (lambda: F.normalize(cr.ones(3, 2, 2), [0, 0], [1]), ValueError, "each of 3 channels, got 2"),
        (lambda: F.normalize(cr.ones(2, 2), [0], [1]), ValueError, "expected shape"),
        (lambda: F.resize("x", 3), TypeError, "got str"),
        (lambda: F.resize(planes(), 0), ValueError, "positive"),
        (lambda: F.resize(planes(), (3, 3), max_size=4), ValueError, "one integer"),
        (lambda: F.resize(planes(), 3, max_size=3), ValueError, "larger than size=3"),
        (lambda: F.resize(planes(), 3, InterpolationMode.BOX), ValueError, "interpolation must be one of"),
        (lambda: F.pad(planes(), (1, 2, 3)), ValueError, "one, two or four"),
        (lambda: F.pad(planes(), 1, padding_mode="wrap"), ValueError, "got 'wrap'"),
        (lambda: F.pad(planes(), 13, padding_mode="reflect"), ValueError, "smaller than the image"),
        (lambda: F.pad(picture(), 1, fill=(1, 2)), ValueError, "each of 3 channels"),
        (lambda: F.rotate(planes(), "x"), TypeError, "got str"),
        (lambda: F.erase(picture(), 0, 0, 1, 1, 0), TypeError, r"put ToTensor\(\) before"),
        (lambda: F.convert_image_dtype(cr.ones(2, 2), cr.int64), RuntimeError, "cannot hold"),
        (lambda: F.adjust_hue(planes(), 0.6), ValueError, "from -0.5 to 0.5"),
        (lambda: F.adjust_contrast(planes(), -1), ValueError, "not be negative"),
        (lambda: F.rgb_to_grayscale(cr.ones(2, 2, 2)), TypeError, "1 or 3 channels"),
        (lambda: transforms.RandomCrop(99)(planes()), ValueError, "13x17, is smaller than size=99x99"),
        (lambda: transforms.RandomRotation(-1), ValueError, "not be negative"),
        (lambda: transforms.RandomErasing(value="x"), ValueError, "got 'x'"),
        (lambda: transforms.ColorJitter(hue=0.7), ValueError, "hue must lie between"),
        (lambda: transforms.RandomChoice([abs], p=[1, 2]), ValueError, "one weight for each of 1"),
        (lambda: transforms.Lambda(3), TypeError, "got int"),
        (lambda: make_grid(3), TypeError, "got int"),
        (lambda: models.resnet18(weights="DEFAULT"), ValueError, r"load it with load_state_dict\(\)"),
        (lambda: models.BasicBlock(4, 4, groups=2), ValueError, "expected groups=1"),
        (lambda: models.ResNet(models.BasicBlock, [1, 1]), ValueError, "expected 4 layers"),
        (lambda: datasets.VisionDataset("x", transforms=len, transform=abs), ValueError, "not both"),
        (lambda: datasets.FakeData(2)[2], IndexError, "out of range for 2"),
    ],
)
def test_bad_input(act, error, message):
    with pytest.raises(error, match=message):
        act()
