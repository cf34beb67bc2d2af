"""Files: written whole or not at all, and told apart when they are of another kind."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

#: first bytes of what is not ours, and what it is
_OTHERS = (
    (b"PK\x03\x04", "a zip archive"), (b"\x93NUMPY", "a NumPy array: use cr.from_numpy(np.load(path))"),
    (b"\x89HDF", "an HDF5 file: read it with h5py"), (b"\x1f\x8b", "compressed by gzip: uncompress it first"),
)  # fmt: skip


def write_whole(f: Any, write: Callable[[BinaryIO], None], caller: str) -> None:
    """Call ``write`` with a file object; a path is replaced only after everything was written and is on the disk.

    The new file first has another name, in the same folder: a program that is killed leaves the old file as it was, and
    at worst a file ``.NAME.....tmp`` beside it.
    """
    if not isinstance(f, (str, os.PathLike)):
        if not hasattr(f, "write"):
            raise TypeError(f"{caller}: expected a path or a file open for writing in binary, got {type(f).__name__}")
        write(f)
        return
    path = Path(os.path.realpath(f))  # through a link, to the file that it names
    mode = None
    if path.exists():
        if path.is_dir():
            raise IsADirectoryError(f"{caller}: {str(f)!r} is a folder; give the name of a file in it")
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe or a device is written to, never replaced
            with open(path, "wb") as file:
                write(file)
            return
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            with os.fdopen(descriptor, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                os.chmod(temporary, stat.S_IMODE(mode))
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except FileNotFoundError:
        raise FileNotFoundError(f"{caller}: the folder {str(path.parent)!r} does not exist") from None
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Put the new name on the disk too, where folders can be opened (not on Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def open_for_reading(f: Any, caller: str) -> Iterator[tuple[BinaryIO, int]]:
    """A file object and the number of bytes from its position to its end."""
    if isinstance(f, (str, os.PathLike)):
        if os.path.isdir(f):
            raise IsADirectoryError(f"{caller}: {str(f)!r} is a folder; give the name of a file in it")
        if not os.path.exists(f):
            raise FileNotFoundError(f"{caller}: there is no file {str(f)!r}")
        with open(f, "rb") as file:
            yield file, os.fstat(file.fileno()).st_size
        return
    if not all(hasattr(f, name) for name in ("read", "seek", "tell")):
        raise TypeError(
            f"{caller}: expected a path or a file open in binary that can seek, got {type(f).__name__}; read others "
            f"into io.BytesIO first"
        )
    at = f.tell()
    end = f.seek(0, os.SEEK_END)
    f.seek(at)
    yield f, (f.tell() if end is None else end) - at


def kind_of(f: Any, file: BinaryIO, start: int) -> str:
    """What a file that cannot be read seems to be, and how to convert it; empty where nothing is known."""
    with contextlib.suppress(OSError, ValueError):
        file.seek(start)
        head = file.read(1024)
        name = os.fspath(f) if isinstance(f, (str, os.PathLike)) else "model.pt"
        name = name.decode() if isinstance(name, bytes) else name
        if head.startswith(b"PK\x03\x04") and b".npy" in head and b"data.pkl" not in head:
            return f"it is a NumPy archive: use dict(np.load({name!r}))"
        if (head.startswith(b"PK\x03\x04") and b"data.pkl" in head) or _is_pickle(head):
            new = str(Path(name).with_suffix(".safetensors"))
            return (
                f"it is a pickle (a PyTorch file is one), which could run any program and is never opened here; where "
                f"torch is installed, convert it once: safetensors.torch.save_file(torch.load({name!r}, "
                f"weights_only=True), {new!r})"
            )
        for start_bytes, what in _OTHERS:
            if head.startswith(start_bytes):
                return f"it is {what}"
    return ""


def _is_pickle(head: bytes) -> bool:
    return len(head) > 2 and head[0] == 0x80 and head[1] in range(2, 6)
