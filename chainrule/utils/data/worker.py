"""What runs in a worker process of a DataLoader."""

from __future__ import annotations

import random
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from chainrule.autograd.dtypes import set_default_dtype
from chainrule.autograd.random import default_generator
from chainrule.backends.devices import set_default_device
from chainrule.backends.pool import set_num_threads
from chainrule.utils.data import info
from chainrule.utils.data.fetch import END, fetcher
from chainrule.utils.data.segments import SlotReader, SlotWriter


class RemoteError:
    """An exception on its way to another process: its type, and its traceback as text."""

    def __init__(self, error: BaseException, where: str) -> None:
        self.type: Any = type(error)
        text = "".join(traceback.format_exception(error))
        self.message = f"Caught {self.type.__name__} in {where}.\nOriginal {text}"

    def reraise(self) -> None:
        """Raise an exception of that type that says all of it; a RuntimeError where its type takes no message."""
        try:
            error = self.type(_Lines(self.message) if issubclass(self.type, KeyError) else self.message)
        except Exception:
            error = RuntimeError(self.message)
        try:
            raise error
        finally:
            del error  # or it would hold this frame, which would hold it, and with it the loader's workers


class _Lines(str):
    """A message whose repr, which is what a KeyError shows, keeps its line breaks."""

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Settings:
    """What a worker is told when it starts.

    Attributes:
        id, num_workers: which one it is.
        base_seed: the seed of worker 0; worker i has ``base_seed + i``.
        device, dtype: the defaults of the process that made the loader, so that batches do not depend on where they are
            made.
        payload, version: the slot with ``(dataset, batched, collate, drop_last, worker_init_fn)``.
        slots: the names of the slots for its batches.
    """

    id: int
    num_workers: int
    base_seed: int
    device: str
    dtype: Any
    payload: str
    version: int
    slots: tuple[str, ...]


def run(connection: Connection, settings: Settings) -> None:
    """Answer tasks ``(number, slot, index)`` by ``(number, kind, version)`` until the connection ends.

    The message ``None`` begins another pass over the data; ``(-1, "ready", 0)`` is the first answer.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of a terminal's processes; the main one decides
    where = f"DataLoader worker process {settings.id}"
    slots = [SlotWriter(name) for name in settings.slots]
    failed: RemoteError | None = None
    begin: Callable[[], Callable[[Any], Any]] | None = None
    try:
        begin = _set_up(settings)
    except Exception as error:
        failed = RemoteError(error, where)
    fetch: Callable[[Any], Any] | None = None
    try:
        connection.send((-1, "ready", 0))
        while True:
            task = connection.recv()
            if task is None:
                fetch = None
                continue
            number, slot, index = task
            try:
                if failed is not None or begin is None:
                    kind, value = "error", failed
                else:
                    fetch = fetch or begin()
                    value = fetch(index)
                    kind, value = ("end", None) if value is END else ("batch", value)
                version = slots[slot].write(value)
            except Exception as error:
                kind, version = "error", _write_error(slots[slot], RemoteError(error, where))
            connection.send((number, kind, version))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the loader has no more use for this worker, or its process has ended
    finally:
        for writer in slots:
            writer.close()


def _write_error(slot: SlotWriter, error: RemoteError) -> int:
    try:
        return slot.write(error)
    except Exception:  # an exception class that cannot be pickled, one defined in a function for example
        error.type = RuntimeError
        return slot.write(error)


def _set_up(settings: Settings) -> Callable[[], Callable[[Any], Any]]:
    """Seeds, defaults and the data set; gives a function that begins a pass."""
    seed = settings.base_seed + settings.id
    default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(np.random.SeedSequence(seed).generate_state(4))  # noqa: NPY002 - what data sets may still use
    set_default_dtype(settings.dtype)
    set_default_device(settings.device)
    set_num_threads(1)  # the workers are the parallelism
    reader = SlotReader(settings.payload)
    try:
        dataset, batched, collate, drop_last, worker_init_fn = reader.read(settings.version)
    except AttributeError as error:  # pickle's, for a name that the module does not have here
        raise AttributeError(
            f"{error}; put what you defined in a notebook or an interactive session into a module, or use num_workers=0"
        ) from None
    finally:
        reader.close()
    info.current = info.WorkerInfo(settings.id, settings.num_workers, seed, dataset)
    if worker_init_fn is not None:
        worker_init_fn(settings.id)
    return lambda: fetcher(dataset, batched, collate, drop_last)
