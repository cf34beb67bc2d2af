"""The worker processes of a DataLoader, seen from the process that uses it."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import secrets
import signal
import sys
import threading
import time
import types
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from chainrule.autograd.dtypes import get_default_dtype
from chainrule.backends.devices import get_default_device
from chainrule.utils.data import worker as worker_side
from chainrule.utils.data.segments import SlotReader, SlotWriter
from chainrule.utils.data.worker import Settings

#: seconds that workers have to finish what they are at before they are ended
GRACE = 2.0
_SCRIPT_LOCK = threading.Lock()
_GUARD = (
    "A script whose own classes or functions its DataLoader's workers need must keep what it does under "
    "`if __name__ == '__main__':`, because each worker imports the script"
)


def start_context(chosen: Any) -> Any:
    """The multiprocessing context by name or object; forkserver where there is one, else spawn.

    Raises ValueError for fork: a forked child has none of the threads that its parent's locks may wait for.
    """
    methods = multiprocessing.get_all_start_methods()
    if chosen is None:
        chosen = "forkserver" if "forkserver" in methods else "spawn"
    if isinstance(chosen, str):
        if chosen not in methods:
            raise ValueError(f"DataLoader: multiprocessing_context must be one of {methods}, got {chosen!r}")
        chosen = multiprocessing.get_context(chosen)
    if not hasattr(chosen, "get_start_method"):
        raise TypeError(
            f"DataLoader: multiprocessing_context must be a context or the name of one, got {type(chosen).__name__}"
        )
    if chosen.get_start_method() == "fork":
        raise ValueError(
            "DataLoader: multiprocessing_context 'fork' is not safe in a program with threads, and NumPy and this "
            "package have some; use 'forkserver' or 'spawn'"
        )
    return chosen


@dataclass
class _Worker:
    """A process, the slots for its batches, which of them are free, and which one each of its tasks has."""

    process: Any
    connection: Any
    slots: list[SlotReader]
    free: list[int]
    tasks: dict[int, int] = field(default_factory=dict)
    ready: bool = False


class Team:
    """Workers that fetch batches; stopped by :meth:`stop`, or when nobody holds it any more.

    Args:
        context: a multiprocessing context.
        count: how many workers.
        tasks: how many tasks each of them can have at a time.
        base_seed: see :class:`Settings`.
        payload: what they work with, see :class:`Settings`.

    Raises TypeError where the payload cannot be sent to another process.
    """

    def __init__(self, context: Any, count: int, tasks: int, base_seed: int, payload: Any) -> None:
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise RuntimeError(f"DataLoader: a worker cannot start workers while it imports the script. {_GUARD}")
        token = f"cr{secrets.token_hex(4)}"  # short: macOS allows names of 31 characters
        self.tasks = tasks
        self.numbers = 0  #: tasks so far
        self.passes = 0
        self.broken = False
        self.payload = SlotWriter(f"{token}_d")
        self.workers: list[_Worker] = []
        self._owned: list[SlotReader] = [SlotReader(self.payload.name)]
        self._stop = weakref.finalize(self, _stop, os.getpid(), self.workers, self._owned, self.payload)
        try:
            version = _share(self.payload, payload)
        except BaseException:
            self.stop()
            raise
        if context.get_start_method() == "forkserver":
            _preload(context)
        device, dtype = str(get_default_device()), get_default_dtype()
        try:
            for i in range(count):
                names = tuple(f"{token}_{i}_{slot}" for slot in range(tasks))
                settings = Settings(i, count, base_seed, device, dtype, self.payload.name, version, names)
                self._start(context, settings)
        except BaseException:
            self.stop()
            raise

    def _start(self, context: Any, settings: Settings) -> None:
        here, there = context.Pipe()
        process = context.Process(target=worker_side.run, args=(there, settings), daemon=True)
        with contextlib.nullcontext() if self.payload.needs_script else _without_script():
            process.start()
        there.close()  # the worker's alone now: when it ends, so does the connection
        slots = [SlotReader(name) for name in settings.slots]
        self.workers.append(_Worker(process, here, slots, list(range(len(slots)))))

    def submit(self, which: int, index: Any) -> int:
        """Give a worker with a free slot a task; returns its number."""
        worker, number = self.workers[which], self.numbers
        self.numbers += 1
        slot = worker.tasks[number] = worker.free.pop()
        self._send(which, (number, slot, index))
        return number

    def begin_pass(self, timeout: float | None) -> None:
        """Have all workers begin the data again; what they still do for an earlier pass is awaited and dropped."""
        self.passes += 1
        while any(worker.tasks for worker in self.workers):
            self.receive(timeout)
        if self.passes == 1:
            return
        for which in range(len(self.workers)):
            self._send(which, None)

    def _send(self, which: int, message: Any) -> None:
        try:
            self.workers[which].connection.send(message)
        except (BrokenPipeError, ConnectionResetError):
            raise self._died(which) from None

    def receive(self, timeout: float | None) -> list[tuple[int, str, Any]]:
        """What workers have done, at least one thing: task number, ``batch``, ``end`` or ``error``, and the result.

        Raises RuntimeError when a worker has ended, TimeoutError when nothing came in ``timeout`` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            connections: dict[Any, int] = {worker.connection: i for i, worker in enumerate(self.workers)}
            readable = multiprocessing.connection.wait(list(connections), left)
            if not readable:
                raise TimeoutError
            done: list[tuple[int, str, Any]] = []
            for which in [connections[connection] for connection in readable]:
                try:
                    number, kind, version = self.workers[which].connection.recv()
                except (EOFError, ConnectionResetError):
                    raise self._died(which) from None
                worker = self.workers[which]
                if kind == "ready":
                    worker.ready = True
                    if all(w.ready for w in self.workers):
                        self.payload.close()  # every worker has its copy
                        self._owned[0].sweep()
                    continue
                slot = worker.tasks.pop(number)
                done.append((number, kind, worker.slots[slot].read(version)))
                worker.free.append(slot)
            if done:
                return done

    def _died(self, which: int) -> RuntimeError:
        """The error that says how a worker ended; the others are stopped."""
        worker = self.workers[which]
        worker.process.join(GRACE)
        code, pid = worker.process.exitcode, worker.process.pid
        how = f"exited with code {code}"
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                how = f"was killed by signal {signal.Signals(-code).name}"
        early = "" if worker.ready else f" before it was ready; its error output stands above. {_GUARD}"
        self.stop()
        return RuntimeError(f"DataLoader: worker process {which} (pid {pid}) {how}{early or ' unexpectedly'}")

    def stop(self) -> None:
        """End the workers and remove the shared memory."""
        self.broken = True
        self._stop()


@contextlib.contextmanager
def _without_script() -> Iterator[None]:
    """Have a process start without importing the main script: where nothing of it is needed, its start is faster, and
    scripts without ``if __name__ == "__main__"`` work."""
    with _SCRIPT_LOCK:
        script = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")  # neither a file nor a spec: nothing to import
        try:
            yield
        finally:
            sys.modules["__main__"] = script


def _share(slot: SlotWriter, payload: Any) -> int:
    try:
        return slot.write(payload)
    except OSError:
        raise
    except Exception as error:
        raise TypeError(
            "DataLoader: dataset, collate_fn and worker_init_fn are sent to the workers, but could not be pickled "
            f"({type(error).__name__}: {error}); use functions and classes of a module instead of lambdas and local "
            "ones, or num_workers=0"
        ) from error


def _preload(context: Any) -> None:
    """Have the server from which workers fork import this package, once, unless the program has wishes of its own."""
    from multiprocessing import forkserver

    if getattr(forkserver._forkserver, "_preload_modules", None) == ["__main__"]:
        context.set_forkserver_preload(["__main__", worker_side.__name__])


def _stop(pid: int, workers: list[_Worker], owned: list[SlotReader], payload: SlotWriter) -> None:
    if os.getpid() != pid:
        return  # a forked copy of the process that has the workers
    for worker in workers:
        worker.connection.close()  # a worker ends when it has nothing more to read
    deadline = time.monotonic() + GRACE
    endings: list[Callable[[Any], Any]] = [lambda process: None, lambda p: p.terminate(), lambda p: p.kill()]
    for end in endings:
        for worker in workers:
            if worker.process.is_alive():
                end(worker.process)
        for worker in workers:
            worker.process.join(max(deadline - time.monotonic(), 0.0))
        if not any(worker.process.is_alive() for worker in workers):
            break
        deadline = time.monotonic() + GRACE
    payload.close()
    for reader in [*owned, *(slot for worker in workers for slot in worker.slots)]:
        reader.sweep()
    for worker in workers:
        with contextlib.suppress(ValueError):
            worker.process.close()
