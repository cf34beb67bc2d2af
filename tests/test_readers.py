"""Readers of CIFAR and CSV files: what they give, and what damaged and hostile files do."""

from __future__ import annotations

import gzip
import io
import pickle
import tracemalloc

import numpy as np
import pytest

from chainrule.utils.cifar import read_cifar
from chainrule.utils.tables import read_csv

pytestmark = pytest.mark.host


def records(n=3, labels=1):
    table = np.random.default_rng(0).integers(0, 256, (n, labels + 3072), np.uint8)
    table[:, :labels] %= 10
    return table


@pytest.mark.parametrize("compress", [False, True])
def test_cifar(tmp_path, compress):
    path = tmp_path / "batch"
    content = records().tobytes()
    path.write_bytes(gzip.compress(content) if compress else content)
    images, labels = read_cifar(path)
    np.testing.assert_array_equal(images, records()[:, 1:].reshape(3, 3, 32, 32), strict=True)
    np.testing.assert_array_equal(labels, records()[:, 0], strict=True)
    images[:] = 0  # ours to change


def test_the_fine_label_of_cifar100(tmp_path):
    path = tmp_path / "train.bin"
    path.write_bytes(records(2, labels=2).tobytes())
    assert read_cifar(path, labels=2, classes=100)[1].tolist() == records(2, labels=2)[:, 1].tolist()


class Evil:
    """Unpickling it would say so."""

    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got 0 bytes in all"),
        (records().tobytes()[:-1], "truncated, or no binary CIFAR file"),
        (records(1).tobytes() + b"\0", "got 3074 bytes"),
        (bytes([11, *bytes(3072)]), "labels from 0 to 9, got 11 for image 0"),
        (pickle.dumps({"data": Evil()}), "looks like a Python pickle, which can run code"),
        (pickle.dumps({"data": b"x" * 3073 * 2, "evil": Evil()}, protocol=2), "looks like a Python pickle"),
        (gzip.compress(records().tobytes())[:200], "truncated or damaged gzip file"),
        (b"\x1f\x8b" + bytes(50), "truncated or damaged gzip file"),
    ],
)
def test_no_cifar_file(tmp_path, capsys, content, message):
    path = tmp_path / "batch.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_cifar(path)
    assert "executed" not in capsys.readouterr().out


def test_a_gzip_bomb(tmp_path):
    path = tmp_path / "bomb.bin"
    path.write_bytes(gzip.compress(bytes(50 << 20)))
    tracemalloc.start()
    with pytest.raises(ValueError, match="expected at most 4194304 bytes"):
        read_cifar(path, max_bytes=4 << 20)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


# ---- CSV ------------------------------------------------------------------------------------------------------------


def csv(text, **options):
    return read_csv(io.StringIO(text), **options)


def test_types_are_guessed():
    table = csv('n,x,kind\n1,0.5,a\n-2,1e3,"b, c"\n')
    assert table["n"].dtype == np.int64 and table["n"].tolist() == [1, -2]
    assert table["x"].dtype == np.float64 and table["x"].tolist() == [0.5, 1000.0]
    assert table["kind"].tolist() == ["a", "b, c"] and list(table) == ["n", "x", "kind"]


def test_headers_columns_and_types(tmp_path):
    assert csv("1;2\n3;4\n", header=False, delimiter=";")["1"].tolist() == [2, 4]
    table = csv("1,2\n3,4\n", header=["a", "b"], types={"b": float, 0: str})
    assert table["a"].tolist() == ["1", "3"] and table["b"].dtype == np.float64
    assert list(csv("a,b,c\n1,2,3\n", columns=["c", 0])) == ["c", "a"]
    assert csv("a\n\n 5 \n\n")["a"].tolist() == [5]  # empty lines do not count
    assert csv("a,b\n")["b"].shape == (0,)
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\r\n1,\xc3\xa4\r\n")  # a mark of Excel's, and its line ends
    assert read_csv(path)["b"].tolist() == ["ä"] and list(read_csv(path)) == ["a", "b"]


def test_missing_values():
    text = "a,b\n1,x\n,\n3,NA\n"
    assert csv(text, missing={"a": -1})["a"].tolist() == [1, -1, 3]
    np.testing.assert_array_equal(csv(text, missing=float("nan"))["a"], [1, np.nan, 3])
    assert csv(text, missing=0)["b"].tolist() == ["x", "", "NA"]  # strings are what they are


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "empty file"),
        ("a,b\n1,2\n3,\n", {}, "line 3, column 'b': the value is missing"),
        ("a,b\n1,2\n3\n", {}, "line 3: expected 2 fields, got 1"),
        ("a,b\n1,2\n3,4,5\n", {}, "line 3: expected 2 fields, got 3"),
        ("a\n1\nx\n", {"types": {"a": int}}, "line 3, column 'a': expected int, got 'x'"),
        ("a\n1.5\n", {"types": {"a": "int"}}, "expected int, got '1.5'"),
        ("a\n1_000\n", {"types": {"a": int}}, "got '1_000'"),
        ("a\n1e999\n", {"types": {"a": float}}, "got '1e999'"),
        ("a\n99999999999999999999\n", {}, "column 'a': an integer does not fit into 64 bits"),
        ("a\n1\n", {"types": {"a": list}}, "must be float, int or str, got 'list'"),
        ("a,a\n1,2\n", {}, r"the columns \['a'\] occur more than once"),
        ('a\n"1\n', {}, "unexpected end of data"),
        ("a\n" + "1" * 100 + "\n", {"max_field": 50}, "field larger than field limit"),
    ],
)
def test_no_table(text, options, message):
    with pytest.raises(ValueError, match=message):
        csv(text, **options)


def test_other_errors(tmp_path):
    with pytest.raises(KeyError, match="no column 'z'; there are a, b"):
        csv("a,b\n1,2\n", columns=["z"])
    path = tmp_path / "latin.csv"
    path.write_bytes(b"a\n\xe4\n")
    with pytest.raises(ValueError, match=r"latin.csv: line \d: 'utf-8' codec can't decode"):
        read_csv(path)
