"""Fetching a data file once: mirrors, a progress bar, a checksum, a cache folder."""

from __future__ import annotations

import hashlib
import http.client
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from chainrule.version import __version__

_CHUNK = 1 << 16


class DownloadError(RuntimeError):
    """No mirror gave the file; the message lists what each of them did."""


class _MirrorError(Exception):
    """Why one mirror failed."""


def default_cache_dir() -> Path:
    """The folder for downloaded files: ``CHAINRULE_CACHE``, or ``chainrule`` below the user's cache folder.

    Example:
        >>> import os
        >>> os.environ["CHAINRULE_CACHE"] = "/var/cache/digits"
        >>> default_cache_dir().as_posix()
        '/var/cache/digits'
        >>> del os.environ["CHAINRULE_CACHE"]
    """
    own = os.environ.get("CHAINRULE_CACHE")
    if own:
        return Path(own).expanduser()
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # the XDG specification: a relative path is invalid and is to be ignored
    return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "chainrule"


def download(
    name: str,
    mirrors: Sequence[str],
    cache_dir: str | os.PathLike[str] | None = None,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    progress: bool = True,
    timeout: float = 30.0,
) -> Path:
    """Return the path of a file in the cache, fetched from the first mirror that gives it whole.

    The file appears under its name only when it is complete and its checksums agree, so a download that was
    interrupted leaves nothing behind, and processes that fetch the same file do not disturb each other.

    Args:
        name: the file's name, in the cache and below each mirror.
        mirrors: URLs of folders (``http`` or ``https``) that hold the file, tried in order.
        cache_dir: where to keep the file; :func:`default_cache_dir` if None. It is created when it is missing.
        sha256: the expected SHA-256 digest, hexadecimal.
        md5: the expected MD5 digest; it finds damage, but is no protection against forgery.
        progress: show a bar on standard error where that is a terminal.
        timeout: how many seconds a mirror may stay silent.

    Raises:
        DownloadError: no mirror gave the file; the message lists each mirror's failure.
        ValueError: ``name`` is not a plain file name, or a mirror is not an http(s) URL.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = pathlib.Path(folder, "a.txt").write_text("in the cache already: nothing is fetched")
        ...     download("a.txt", ["https://mirror.invalid/files"], folder).name
        'a.txt'
    """
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        raise ValueError(f"download: name: expected a plain file name, got {name!r}; choose the folder with cache_dir")
    if isinstance(mirrors, str):
        raise TypeError(f"download: mirrors: expected a list of URLs, got the string {mirrors!r}")
    for mirror in mirrors:
        if not mirror.startswith(("http://", "https://")):
            raise ValueError(f"download: mirrors: expected http:// or https:// URLs, got {mirror!r}")
    digests = {kind: value.lower() for kind, value in (("sha256", sha256), ("md5", md5)) if value is not None}
    folder = Path(cache_dir) if cache_dir is not None else default_cache_dir()
    target = folder / name
    failures: list[str] = []
    if target.is_file():
        wrong = _wrong_digest(target, digests)
        if wrong is None:
            return target
        failures.append(f"{target} (cached): {wrong}")
    folder.mkdir(parents=True, exist_ok=True)
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{name}"
        # not tempfile: it would make the file readable for its owner only
        part = folder / f".{name}.{os.getpid()}-{secrets.token_hex(4)}.part"
        try:
            with open(part, "xb") as file:
                _fetch(url, file, digests, progress, timeout)
            os.replace(part, target)
            return target
        except _MirrorError as error:
            failures.append(f"{url}: {error}")
        finally:
            part.unlink(missing_ok=True)
    tried = "".join(f"\n  {failure}" for failure in failures) or " (no mirrors were given)"
    raise DownloadError(
        f"download: could not fetch {name!r}; tried:{tried}\n"
        f"Fetch it in another way and put it at {target}, or check the network and the proxy settings."
    )


def _fetch(url: str, file: BinaryIO, digests: dict[str, str], progress: bool, timeout: float) -> None:
    """Write what ``url`` gives to ``file``; every failure of the mirror, and only those, is a _MirrorError."""
    hashes = {kind: _new_hash(kind) for kind in digests}
    request = urllib.request.Request(url, headers={"User-Agent": f"chainrule/{__version__}"})
    received = 0
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise _MirrorError(f"HTTP status {error.code} ({error.reason})") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _MirrorError(_reason(error)) from error
    with response:
        expected = _content_length(response)
        bar = tqdm(
            desc=url.rpartition("/")[2],
            total=expected,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            leave=False,
            disable=None if progress else True,
        )
        with bar:
            while True:
                try:
                    piece = response.read1(_CHUNK)
                except (OSError, http.client.HTTPException) as error:
                    raise _MirrorError(f"{_reason(error)} after {received} bytes") from error
                if not piece:
                    break
                # outside the try: a full disk is no fault of the mirror
                file.write(piece)
                received += len(piece)
                for running in hashes.values():
                    running.update(piece)
                bar.update(len(piece))
    if expected is not None and received != expected:
        raise _MirrorError(f"expected {expected} bytes, got {received}: the connection was cut")
    for kind, digest in digests.items():
        if hashes[kind].hexdigest() != digest:
            raise _MirrorError(f"expected {kind} {digest}, got {hashes[kind].hexdigest()}")


def _content_length(response: http.client.HTTPResponse) -> int | None:
    value = response.headers.get("Content-Length", "")
    return int(value) if value.isdecimal() else None


def _reason(error: Exception) -> str:
    """A readable line for an exception, many of which print as nothing or as a tuple."""
    inner = getattr(error, "reason", None)
    if isinstance(inner, Exception):
        error = inner
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _wrong_digest(path: Path, digests: dict[str, str]) -> str | None:
    """What is wrong with a file's checksums, or None."""
    for kind, digest in digests.items():
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, partial(_new_hash, kind))
        if found.hexdigest() != digest:
            return f"expected {kind} {digest}, got {found.hexdigest()}"
    return None


def _new_hash(kind: str) -> hashlib._Hash:
    # a Python built to FIPS rules has MD5 only for uses like this one
    return hashlib.new(kind, usedforsecurity=kind != "md5")
