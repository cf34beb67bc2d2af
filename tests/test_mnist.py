"""Loading MNIST from a folder and through a download."""

from __future__ import annotations

import gzip
import hashlib
import struct
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule.utils import mnist
from chainrule.utils.download import DownloadError
from chainrule.utils.mnist import load_mnist

pytestmark = pytest.mark.host

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(array: np.ndarray) -> bytes:
    """An IDX file that holds an array of bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def arrays() -> dict[str, np.ndarray]:
    """A small data set: 20 training and 10 test images."""
    rng = np.random.default_rng(0)
    return {
        NAMES[0]: rng.integers(0, 256, (20, 28, 28), np.uint8),
        NAMES[1]: rng.integers(0, 10, 20).astype(np.uint8),
        NAMES[2]: rng.integers(0, 256, (10, 28, 28), np.uint8),
        NAMES[3]: np.arange(10, dtype=np.uint8),
    }


def write(folder: Path, *, compress: bool = True, **replaced: np.ndarray) -> Path:
    """Write the small data set; keywords replace an array: ``train_labels=...``."""
    folder.mkdir(exist_ok=True)
    for name, array in arrays().items():
        content = idx(replaced.get("_".join(name.split("-")[:2]), array))
        (folder / f"{name}{'.gz' if compress else ''}").write_bytes(
            gzip.compress(content, mtime=0) if compress else content
        )
    return folder


@pytest.mark.parametrize("compress", [False, True], ids=["raw", "gzip"])
def test_a_folder(tmp_path: Path, compress: bool) -> None:
    digits = load_mnist(str(write(tmp_path, compress=compress)))
    for got, expected in zip(digits, arrays().values(), strict=True):
        np.testing.assert_array_equal(got, expected, strict=True)
    assert digits._fields == ("train_images", "train_labels", "test_images", "test_labels")


def test_file_names_with_a_dot(tmp_path: Path) -> None:
    for path in write(tmp_path, compress=False).iterdir():
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert load_mnist(tmp_path).test_images.shape == (10, 28, 28)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (write(tmp_path) / f"{NAMES[3]}.gz").unlink()
    with pytest.raises(FileNotFoundError, match=rf"expected one of {NAMES[3]}, .*where it is not"):
        load_mnist(tmp_path)
    with pytest.raises(FileNotFoundError, match="which is no folder"):
        load_mnist(tmp_path / "nowhere")


def test_an_unknown_variant() -> None:
    with pytest.raises(ValueError, match="variant: expected one of 'mnist', 'fashion', got 'letters'"):
        load_mnist(variant="letters")


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"train_labels": np.zeros(19)}, "expected 20 labels, one for each image of .* got 19"),
        ({"t10k_labels": np.full(10, 10)}, "expected labels from 0 to 9, got 10"),
        ({"train_images": np.zeros((20, 32, 32))}, r"expected uint8 images of shape \(n, 28, 28\), got .*32"),
        ({"train_images": np.zeros(20)}, r"expected uint8 images of shape \(n, 28, 28\), got uint8 \(20,\)"),
        ({"train_labels": np.zeros((20, 1))}, r"expected uint8 labels of shape \(n,\), got uint8 \(20, 1\)"),
        ({"t10k_images": np.zeros((0, 28, 28)), "t10k_labels": np.zeros(0)}, "at least one image"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, replaced: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load_mnist(write(tmp_path, **replaced))
    assert str(tmp_path) in str(caught.value)


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, compress=False) / NAMES[2]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"{NAMES[2]}: truncated file"):
        load_mnist(tmp_path)


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder, and writes nothing."""

    def log_message(self, *args: Any) -> None:
        """Keep the test output clean."""


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder, served as the only mirror of MNIST, and an empty cache."""
    folder = write(tmp_path / "mirror")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))) as server:
        md5 = {name: hashlib.md5((folder / f"{name}.gz").read_bytes()).hexdigest() for name in NAMES}
        source = mnist.Source((f"http://127.0.0.1:{server.server_port}",), md5)
        monkeypatch.setitem(mnist.VARIANTS, "mnist", source)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder
        server.shutdown()
        thread.join()


def test_download_then_cache(mirror: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist and download=False"):
        load_mnist(download=False)
    first = load_mnist()
    assert sorted(p.name for p in (tmp_path / "cache" / "mnist").iterdir()) == sorted(f"{n}.gz" for n in NAMES)
    for path in mirror.iterdir():
        path.unlink()
    for again in (load_mnist(), load_mnist(download=False)):
        for a, b in zip(first, again, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)


def test_a_download_with_the_wrong_checksum(mirror: Path) -> None:
    write(mirror, train_labels=np.zeros(20))
    with pytest.raises(DownloadError, match=r"train-labels-idx1-ubyte.gz: expected md5"):
        load_mnist()


def test_a_damaged_cache_is_not_read(mirror: Path, tmp_path: Path) -> None:
    load_mnist()
    write(tmp_path / "cache" / "mnist", t10k_labels=np.zeros(10))
    with pytest.raises(DownloadError, match=r"\(cached\): expected md5"):
        load_mnist(download=False)
    assert load_mnist().test_labels[9] == 9


def test_every_variant_has_mirrors_and_checksums() -> None:
    for source in mnist.VARIANTS.values():
        assert len(source.mirrors) >= 2
        assert set(source.md5) == set(NAMES)
        assert all(len(digest) == 32 and int(digest, 16) for digest in source.md5.values())


def test_the_real_files(data_folder: Path) -> None:
    digits = load_mnist(data_folder / "mnist")
    assert digits.train_images.shape == (60000, 28, 28)
    assert digits.test_images.shape == (10000, 28, 28)
    # the published counts of the ten digits
    train_counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(digits.train_labels).tolist() == train_counts
    assert np.bincount(digits.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert digits.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    # 0.1307 is the mean that everybody normalises with
    assert abs(digits.train_images.mean() / 255 - 0.1307) < 1e-4
