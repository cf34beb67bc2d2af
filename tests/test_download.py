"""Downloads, against a server on this machine that misbehaves on request."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chainrule.utils.download import DownloadError, default_cache_dir, download

pytestmark = pytest.mark.host

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """The first folder of a path says how the server behaves."""

    requests: list[str]

    def do_GET(self) -> None:
        self.requests.append(self.path)
        behaviour = self.path.split("/")[1]
        if behaviour == "hangs-up":  # before any answer
            self.close_connection = True
            return
        if behaviour == "missing":
            self.send_error(404)
            return
        if behaviour == "moved":
            self.send_response(302)
            self.send_header("Location", "/good/file.bin")
            self.end_headers()
            return
        self.send_response(200)
        if behaviour != "no-length":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        if behaviour == "truncated":
            self.wfile.write(CONTENT[:-1000])
        elif behaviour == "wrong":
            self.wfile.write(CONTENT[::-1])
        elif behaviour == "silent":
            self.wfile.write(CONTENT[:1000])
            self.wfile.flush()
            time.sleep(2)
        else:
            self.wfile.write(CONTENT)

    def log_message(self, *args: Any) -> None:
        """Keep the test output clean."""


class Server(ThreadingHTTPServer):
    """A server whose worker threads end with the test, quietly when the client has left."""

    daemon_threads = True

    def handle_error(self, *args: Any) -> None:
        """A client that gives up is what some tests are about."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of the server; ``Handler.requests`` lists what it was asked for."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(Handler, "requests", [], raising=False)
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def only_file(folder: Path) -> bytes:
    """The content of ``file.bin``, when it is alone in the folder: no partial download is left."""
    assert [p.name for p in folder.iterdir()] == ["file.bin"]
    return (folder / "file.bin").read_bytes()


@pytest.mark.parametrize("digests", [{}, {"sha256": SHA256}, {"md5": MD5}, {"sha256": SHA256.upper(), "md5": MD5}])
def test_a_good_mirror(server: str, tmp_path: Path, digests: dict[str, str]) -> None:
    path = download("file.bin", [f"{server}/good/"], tmp_path / "new" / "folder", **digests)
    assert path == tmp_path / "new" / "folder" / "file.bin"
    assert only_file(path.parent) == CONTENT
    assert Handler.requests == ["/good/file.bin"]


def test_a_server_that_gives_no_length_and_one_that_redirects(server: str, tmp_path: Path) -> None:
    for behaviour in ("no-length", "moved"):
        folder = tmp_path / behaviour
        download("file.bin", [f"{server}/{behaviour}"], folder, sha256=SHA256)
        assert only_file(folder) == CONTENT


@pytest.mark.parametrize("bad", ["truncated", "wrong", "missing", "hangs-up", "silent"])
def test_the_next_mirror_takes_over(server: str, tmp_path: Path, bad: str) -> None:
    mirrors = [f"{server}/{bad}", f"{server}/good"]
    path = download("file.bin", mirrors, tmp_path, sha256=SHA256, timeout=0.5)
    assert only_file(tmp_path) == CONTENT
    assert path == tmp_path / "file.bin"
    assert Handler.requests == [f"/{bad}/file.bin", "/good/file.bin"]


def test_a_truncated_body_is_noticed_without_a_checksum(server: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"/truncated/file.bin: .*255000"):
        download("file.bin", [f"{server}/truncated"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_error_lists_what_each_mirror_did(server: str, tmp_path: Path) -> None:
    bad = ["truncated", "wrong", "missing", "hangs-up", "silent"]
    with pytest.raises(DownloadError) as caught:
        download("file.bin", [f"{server}/{b}" for b in bad] + ["http://127.0.0.1:9"], tmp_path, md5=MD5, timeout=0.5)
    head, *lines, last = str(caught.value).splitlines()
    assert "could not fetch 'file.bin'" in head
    for line, url, reason in zip(
        lines,
        [f"{server}/{b}/file.bin: " for b in bad] + ["http://127.0.0.1:9/file.bin: "],
        ["255000", f"expected md5 {MD5}, got ", "404", "RemoteDisconnected", "after 1000 bytes", "ConnectionRefused"],
        strict=True,
    ):
        assert line.strip().startswith(url)
        assert reason in line
    assert str(tmp_path / "file.bin") in last
    assert list(tmp_path.iterdir()) == []


def test_a_cached_file_is_not_fetched_again(server: str, tmp_path: Path) -> None:
    for _ in range(3):
        download("file.bin", [f"{server}/good"], tmp_path, sha256=SHA256)
    assert len(Handler.requests) == 1


def test_a_damaged_cached_file_is_replaced(server: str, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(b"damaged")
    download("file.bin", [f"{server}/good"], tmp_path, sha256=SHA256)
    assert only_file(tmp_path) == CONTENT


def test_a_damaged_cached_file_stays_when_no_mirror_answers(server: str, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(b"damaged")
    with pytest.raises(DownloadError, match=r"\(cached\): expected sha256"):
        download("file.bin", [f"{server}/missing"], tmp_path, sha256=SHA256)
    assert only_file(tmp_path) == b"damaged"


def test_no_mirrors(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="no mirrors were given"):
        download("file.bin", [], tmp_path)


def test_an_interrupted_download_leaves_nothing(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        download("file.bin", [f"{server}/good"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_not_blamed_on_the_mirror(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk:
        def __enter__(self) -> FullDisk:
            return self

        def __exit__(self, *args: object) -> None:
            pass

        def write(self, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("builtins.open", lambda *args, **kwargs: FullDisk())
    with pytest.raises(OSError, match="No space left"):
        download("file.bin", [f"{server}/good", f"{server}/good"], tmp_path)
    assert len(Handler.requests) == 1


def test_a_bar_on_a_terminal(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, progress, shown in ((Terminal(), True, True), (Terminal(), False, False), (io.StringIO(), True, False)):
        monkeypatch.setattr(sys, "stderr", stream)
        download("file.bin", [f"{server}/good"], tmp_path, progress=progress).unlink()
        assert ("file.bin" in stream.getvalue()) == shown


def test_downloads_of_one_file_at_the_same_time(server: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(download, "file.bin", [f"{server}/good"], tmp_path, sha256=SHA256) for _ in range(8)]
        assert {job.result() for job in jobs} == {tmp_path / "file.bin"}
    assert only_file(tmp_path) == CONTENT


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../b", "a\\b"])
def test_a_name_that_would_leave_the_cache(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name: expected a plain file name"):
        download(name, ["https://mirror.invalid"], tmp_path)


def test_mirrors_must_be_a_list_of_urls(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="mirrors: expected a list of URLs"):
        download("file.bin", "https://mirror.invalid", tmp_path)
    with pytest.raises(ValueError, match="expected http:// or https:// URLs, got 'file:///etc'"):
        download("file.bin", ["file:///etc"], tmp_path)


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.delenv("CHAINRULE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_cache_dir() == tmp_path / "home" / ".cache" / "chainrule"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_cache_dir() == tmp_path / "home" / ".cache" / "chainrule"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_dir() == tmp_path / "xdg" / "chainrule"
    monkeypatch.setenv("CHAINRULE_CACHE", "~/own")
    assert default_cache_dir() == tmp_path / "home" / "own"


def test_the_cache_folder_is_the_default(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    assert download("file.bin", [f"{server}/good"], progress=False) == tmp_path / "cache" / "file.bin"
