"""The threads of the CPU kernels: the caller, and one helper for each further core.

BLAS is held to one thread (see ``runtime.py``), so a kernel that wants every core says
``parallel(f, n)``: ``f(i)`` runs once for each ``i`` in ``range(n)``, on whichever thread is free. A result must
depend on ``i`` alone, never on the thread, so that it is the same for any number of threads.

A dispatch costs 25 to 130 us where the helper has to be woken: use it for 200 us of work or more. (Compiled kernels
have a quicker way, ``compiled/crew.py``.) Helpers start with the first such call. ``CHAINRULE_NUM_THREADS`` or
:func:`set_num_threads` sets the number of threads.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

_VARIABLE = "CHAINRULE_NUM_THREADS"


def _nothing(_: int) -> None:
    """What a closed job does."""


class _Job:
    """One call of :func:`parallel`: its items are handed out by ``items``, one at a time."""

    __slots__ = ("closed", "count", "done", "error", "function", "items", "lock", "running")

    def __init__(self, function: Callable[[int], object], count: int) -> None:
        self.function = function
        self.count = count
        self.items: Iterator[int] = itertools.count()  # next() on it is atomic, with and without the GIL's help
        self.lock = threading.Lock()
        self.done = threading.Lock()
        self.done.acquire()
        self.running = 0
        self.closed = False
        self.error: BaseException | None = None

    def drain(self) -> None:
        """Take items until none is left or one has failed."""
        function, count = self.function, self.count
        _thread.inside = True
        try:
            for i in self.items:
                if i >= count or self.error is not None:
                    return
                function(i)
        except BaseException as error:  # raised again by the caller's thread
            with self.lock:
                if self.error is None:
                    self.error = error
        finally:
            _thread.inside = False

    def help(self) -> None:
        """Drain from a helper, unless the caller has found all items taken already."""
        with self.lock:
            if self.closed:
                return
            self.running += 1
        self.drain()
        self._leave()

    def _leave(self) -> None:
        with self.lock:
            self.running -= 1
            if self.closed and not self.running:
                self.done.release()

    def wait(self) -> None:
        """Wait for the items that helpers are still at. Nobody waits for a helper that has not woken up."""
        with self.lock:
            self.closed = True
            running = self.running
        self.function = _nothing  # a helper that wakes up late finds this job, and must not keep its arrays till then
        if not running:
            return
        try:
            self.done.acquire()
        except BaseException as error:  # an interrupt: the helpers still write to the caller's arrays
            self.error = error
            self.done.acquire()


class _Thread(threading.local):
    """What belongs to one thread: whether it is inside a job, and its scratch memory."""

    def __init__(self) -> None:
        self.inside = False
        self.scratch: dict[str, np.ndarray] = {}


class _Pool:
    """The helpers, and where the last caller ran."""

    def __init__(self) -> None:
        #: what the compiled kernels share with the helpers (``compiled/crew.py``); the first word counts the jobs here
        self.memory = np.zeros(80, np.int64)
        #: looks out for work without the interpreter's lock, until the first word is no more what it is given
        self.linger: Callable[[int], None] | None = None
        self.forget()

    def forget(self) -> None:
        """Start again without helpers: a forked child has none of its parent's threads."""
        self.start_lock = threading.Lock()
        self.tasks: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.helpers: list[threading.Thread] = []
        self.memory[:] = 0
        self.cpu = -1

    def start(self, count: int) -> None:
        """Have ``count`` helpers."""
        with self.start_lock:
            while len(self.helpers) < count:
                name = f"chainrule-{len(self.helpers) + 1}"
                helper = threading.Thread(target=self._help, args=(self.tasks,), name=name, daemon=True)
                helper.start()
                self.helpers.append(helper)
            self.cpu = -1

    def _help(self, tasks: queue.SimpleQueue[_Job | None]) -> None:
        """What a helper does."""
        while True:
            self._help_with(tasks.get())
            posted, waited = int(self.memory[0]), self.linger is None
            while True:  # a job posted from here on changes the first word
                try:
                    self._help_with(tasks.get_nowait())
                    posted, waited = int(self.memory[0]), self.linger is None
                except queue.Empty:
                    if waited or self.linger is None:
                        break
                    self.linger(posted)
                    waited = True

    @staticmethod
    def _help_with(job: _Job | None) -> None:
        """Help, and keep no reference to the job; None only wakes the helper up."""
        if job is not None:
            job.help()

    def leave_core(self) -> None:
        """Keep the helpers off the caller's core: after any idle millisecond they would be woken on it."""
        cpu = _getcpu()
        if cpu == self.cpu:
            return
        self.cpu = cpu
        others = os.sched_getaffinity(0) - {cpu}
        if not others:
            return
        for helper in self.helpers:
            try:
                os.sched_setaffinity(helper.native_id or 0, others)
            except OSError:  # a container may forbid it; the helper then runs where it is put
                return


def _find_getcpu() -> Callable[[], int] | None:
    """The C library's ``sched_getcpu`` (0.1 us a call); None where there is none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        function: Any = ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError):
        return None
    return function if function() >= 0 else None


_thread = _Thread()
_pool = _Pool()
_found = _find_getcpu()
_getcpu: Callable[[], int] = _found if _found is not None else lambda: -1
_threads = 0


def _after_fork() -> None:
    _pool.forget()
    _thread.inside = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _default_threads() -> int:
    """The number that the environment asks for, else the number of cores this process may use."""
    wanted = os.environ.get(_VARIABLE)
    if wanted is not None:
        if not wanted.isdigit() or int(wanted) < 1:
            raise ValueError(f"{_VARIABLE} is {wanted!r}; expected a positive number of threads")
        return int(wanted)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def get_num_threads() -> int:
    """How many threads the CPU kernels use, the caller included.

    Raises ValueError when ``CHAINRULE_NUM_THREADS`` is no positive number.

    Example:
        >>> get_num_threads() >= 1
        True
    """
    global _threads
    if not _threads:
        _threads = _default_threads()
    return _threads


def set_num_threads(count: int) -> None:
    """Set how many threads the CPU kernels use, the caller included; no result depends on it.

    Raises TypeError or ValueError for anything but a positive integer.

    Example:
        >>> before = get_num_threads()
        >>> set_num_threads(1)
        >>> get_num_threads()
        1
        >>> set_num_threads(before)
    """
    global _threads
    if not isinstance(count, int) or isinstance(count, bool):
        raise TypeError(f"set_num_threads: argument 'count' must be an integer, got {type(count).__name__} {count!r}")
    if count < 1:
        raise ValueError(f"set_num_threads: argument 'count' must be at least 1, got {count}")
    _threads = count


def helpers_for(count: int) -> int:
    """How many helpers there are for ``count`` items, started if need be; 0 with one thread and inside a job."""
    helpers = min(_threads or get_num_threads(), count) - 1
    if helpers < 1 or _thread.inside:
        return 0
    if len(_pool.helpers) < helpers:
        _pool.start(helpers)
    if _found is not None:
        _pool.leave_core()
    return helpers


def wake(helpers: int) -> None:
    """Wake so many sleeping helpers: they look for work in the memory that compiled kernels share with them."""
    for _ in range(helpers):
        _pool.tasks.put(None)


def shared_memory() -> np.ndarray:
    """The words by which compiled kernels hand out work; the first changes with every call of :func:`parallel`."""
    return _pool.memory


def linger_by(function: Callable[[int], None]) -> None:
    """Have helpers call this before they go to sleep, with what the first word was when they last looked for a job."""
    _pool.linger = function


def parallel(function: Callable[[int], object], count: int) -> None:
    """Run ``function(i)`` for each ``i`` in ``range(count)`` on all threads, and wait for all of them.

    Items are handed out in order, each to the next free thread. The first exception stops the handing out and is
    raised here. Inside another ``parallel``, and with one thread, everything runs in the caller.

    Example:
        >>> squares = [0] * 4
        >>> def fill(i):
        ...     squares[i] = i * i
        >>> parallel(fill, 4)
        >>> squares
        [0, 1, 4, 9]
    """
    helpers = helpers_for(count)
    if not helpers:
        for i in range(count):
            function(i)
        return
    job = _Job(function, count)
    for _ in range(helpers):
        _pool.tasks.put(job)
    _pool.memory[0] += 1
    job.drain()
    job.wait()
    if job.error is not None:
        raise job.error


def ranges(size: int, pieces: int, multiple: int = 1) -> list[tuple[int, int]]:
    """``range(size)`` as at most ``pieces`` consecutive pieces whose bounds are multiples of ``multiple``.

    Example:
        >>> ranges(10, 3, 2)
        [(0, 4), (4, 8), (8, 10)]
    """
    step = max(multiple, -(-size // max(pieces, 1)))
    step += -step % multiple
    return [(i, min(i + step, size)) for i in range(0, size, step)]


def scratch(name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """This thread's own memory ``name``, uninitialised: valid until the thread next asks for the same name.

    It is kept and grows to the largest size asked for; kernels ask for a few MB at most.
    """
    dtype = np.dtype(dtype)
    size = dtype.itemsize
    for length in shape:
        size *= length
    memory = _thread.scratch.get(name)
    if memory is None or memory.size < size:
        memory = _thread.scratch[name] = np.empty(size, dtype=np.uint8)
    return memory[:size].view(dtype).reshape(shape)
