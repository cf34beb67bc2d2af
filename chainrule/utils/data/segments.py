"""Objects through shared memory: pickled, with the memory of their arrays beside the pickle instead of inside it.

One process writes a slot, another one reads it; a slot is written again only after it was read. The reader removes
the segments. The names follow from the slot and a version number, so that it also finds the segment of a writer that
died before it could tell about it.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from chainrule.autograd.creation import _place
from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import device as Device

_ALIGN = 64


class SlotWriter:
    """Writes objects into the segment of a slot; where one does not fit, into a larger one of the next version.

    ``needs_script`` says whether the last object has classes or functions of the program's main script.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = -1
        self.memory: SharedMemory | None = None
        self.needs_script = False

    def write(self, value: Any) -> int:
        """The version of the segment that holds ``value`` now. Raises what pickling does, and OSError without room."""
        pickled, buffers = _dumps(value)
        self.needs_script = b"__main__" in pickled
        parts = [memoryview(pickled), *buffers]
        head = np.array([len(parts), *[part.nbytes for part in parts]], np.int64)
        offsets, total = _offsets(head)
        if self.memory is None or self.memory.size < total:
            self.close()
            # room to spare: the next batch may be a little larger
            self.memory = _create(f"{self.name}_{self.version + 1}", total + total // 4)
            self.version += 1
        memory = _bytes(self.memory)
        memory[: head.nbytes] = head.view(np.uint8).data
        for offset, part in zip(offsets, parts, strict=True):
            memory[offset : offset + part.nbytes] = part
        return self.version

    def close(self) -> None:
        """Let go of the memory; the segment is the reader's to remove."""
        if self.memory is not None:
            self.memory.close()
            self.memory = None


class SlotReader:
    """Reads what a :class:`SlotWriter` of the same name wrote, and removes its segments."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = -1
        self.memory: SharedMemory | None = None

    def read(self, version: int) -> Any:
        """The object in the segment of that version; its arrays are copies."""
        if version != self.version:
            self.remove()
            self.memory, self.version = SharedMemory(f"{self.name}_{version}"), version
        assert self.memory is not None
        memory = _bytes(self.memory)
        count = int(np.frombuffer(memory, np.int64, 1)[0])
        head = np.frombuffer(memory, np.int64, 1 + count).copy()
        offsets, _ = _offsets(head)
        parts = []
        for offset, size in zip(offsets, head[1:].tolist(), strict=True):
            parts.append(np.frombuffer(memory, np.uint8, size, offset).copy())
        return pickle.loads(parts[0].data, buffers=[part.data for part in parts[1:]])

    def close(self) -> None:
        """Let go of the memory without removing the segment."""
        if self.memory is not None:
            self.memory.close()
            self.memory = None

    def remove(self) -> None:
        """Remove the segment that was read last."""
        if self.memory is not None:
            self.memory.close()
            with contextlib.suppress(FileNotFoundError):
                self.memory.unlink()
            self.memory = None

    def sweep(self) -> None:
        """Remove that segment and the one that the writer may have made since: its process has ended."""
        self.remove()
        # ValueError: the writer ended before it gave the segment a size
        with contextlib.suppress(FileNotFoundError, ValueError):
            self.memory = SharedMemory(f"{self.name}_{self.version + 1}")
            self.remove()


def _bytes(memory: SharedMemory) -> memoryview:
    view: Any = memory.buf  # None once it is closed
    assert view is not None
    return view


def _offsets(head: np.ndarray) -> tuple[list[int], int]:
    """Where the parts begin behind a head (their number, then their sizes in bytes), and where the last one ends."""
    offsets, end = [], head.nbytes
    for size in head[1:].tolist():
        begin = -(-end // _ALIGN) * _ALIGN
        offsets.append(begin)
        end = begin + size
    return offsets, end


def _create(name: str, size: int) -> SharedMemory:
    memory = SharedMemory(name, create=True, size=size)
    descriptor = getattr(memory, "_fd", -1)
    if descriptor >= 0 and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)  # a full /dev/shm would kill the process when it writes
        except OSError as error:
            memory.close()
            memory.unlink()
            raise OSError(
                error.errno,
                f"DataLoader: no room for {size} bytes of shared memory ({error.strerror}); enlarge /dev/shm "
                "(docker run --shm-size), or use smaller batches, fewer workers or a smaller prefetch_factor",
            ) from None
    return memory


class _Pickler(pickle.Pickler):
    """Hands the memory of tensors on as that of arrays is, without a copy."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is not Tensor or value._attributes():
            return NotImplemented
        if value.requires_grad and not value.is_leaf:
            raise RuntimeError(
                "DataLoader: a tensor that was computed from one that requires grad cannot leave its process, which "
                "has the graph; detach() it"
            )
        array = np.asarray(value._device.backend.to_host(value._data), order="C")
        return _rebuild, (array, str(value._device), value.requires_grad)


def _rebuild(array: np.ndarray, device: str, requires_grad: bool) -> Tensor:
    where = Device(device)
    t = wrap(array if where.type == "cpu" else _place(array, where), where)
    return t.requires_grad_() if requires_grad else t


def _dumps(value: Any) -> tuple[bytes, list[memoryview]]:
    """A pickle, and the memory of the arrays in it."""
    buffers: list[pickle.PickleBuffer] = []
    file = io.BytesIO()
    _Pickler(file, protocol=5, buffer_callback=buffers.append).dump(value)
    return file.getvalue(), [buffer.raw() for buffer in buffers]
