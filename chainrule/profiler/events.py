"""What a profiler keeps of each thing that ran."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


class Event:
    """One call: of an operation, of a node of a backward pass, of a module, or a span that was named.

    Times are in seconds since the profiler began; its own work is left out.
    """

    __slots__ = (
        "name", "kind", "direction", "parent", "track", "start", "stop", "inner", "module", "owner", "where",
        "saved_bytes", "made_bytes", "shapes", "dtypes", "result", "_details", "failed",
    )  # fmt: skip

    def __init__(self, name: str, kind: str, parent: Event | None = None, track: Track | None = None) -> None:
        self.name = name
        #: ``"op"``, ``"backward"`` (a node), ``"module"``, ``"span"``, ``"data"``, ``"optimizer"`` or ``"wait"``
        self.kind = kind
        #: ``"forward"``, or ``"backward"`` for all that runs in a backward pass
        self.direction: str = "forward" if parent is None else parent.direction
        #: the event that it ran in
        self.parent = parent
        #: the thread's running events and clock
        self.track = track
        self.start = 0.0
        self.stop: float | None = None
        #: seconds of the events in it
        self.inner = 0.0
        #: path of the module, such as ``"Net.encoder.0"``; of a node, where its operation was recorded
        self.module: str = "" if parent is None else parent.module
        self.owner: Any = None if parent is None else parent.owner
        #: the line of the program; of a node, that of its operation
        self.where: Any = None
        #: what the tape began to keep for the backward pass
        self.saved_bytes = 0
        #: memory of the results (``profile_memory``)
        self.made_bytes = 0
        #: of tensor arguments (``record_shapes``)
        self.shapes: tuple[tuple[int, ...], ...] = ()
        self.dtypes: tuple[str, ...] = ()
        #: shape and dtype of the first result (``record_shapes``)
        self.result: tuple[tuple[int, ...], str] | None = None
        self._details: dict[str, Any] | None = None
        self.failed = False

    @property
    def details(self) -> dict[str, Any]:
        """What else there is to know: ``"kernels"`` that were chosen, ``"leaves"`` that got a gradient."""
        if self._details is None:  # few have any, and many objects keep the garbage collector busy
            self._details = {}
        return self._details

    @details.setter
    def details(self, details: dict[str, Any]) -> None:
        self._details = details

    @property
    def thread(self) -> int:
        """The thread that it ran in."""
        return 0 if self.track is None else self.track.thread

    @property
    def duration(self) -> float:
        """Seconds from beginning to end."""
        return 0.0 if self.stop is None else self.stop - self.start

    @property
    def self_time(self) -> float:
        """Seconds that were not spent in events inside."""
        return self.duration - self.inner

    @property
    def elements(self) -> int | None:
        """How many elements the first result has; None where shapes were not recorded."""
        if self.result is None:
            return None
        count = 1
        for n in self.result[0]:
            count *= n
        return count

    def ancestors(self) -> Iterator[Event]:
        """The events around it, innermost first."""
        event = self.parent
        while event is not None:
            yield event
            event = event.parent

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name} {self.duration:.6f} s>"


class Track:
    """The running events of one thread, and the clock that stands still while the profiler itself works."""

    __slots__ = ("thread", "name", "stack", "_clock", "_offset")

    def __init__(self, thread: int, name: str, clock: Callable[[], float], began: float) -> None:
        self.thread = thread
        self.name = name
        self.stack: list[Event] = []
        self._clock = clock
        self._offset = began

    def now(self) -> float:
        """Seconds since the profiler began, without what it took itself."""
        return self._clock() - self._offset

    def resume(self, at: float) -> None:
        """Leave out the time since ``now()`` gave ``at``."""
        self._offset = self._clock() - at

    def open(self, event: Event) -> None:
        """Begin an event."""
        self.stack.append(event)

    def close(self, event: Event, now: float) -> None:
        """End an event, and those in it that were left by an exception."""
        if event.stop is not None:
            return  # the profiler ended before it did
        while True:
            try:
                last = self.stack.pop()
            except IndexError:  # the profiler of all threads is ending this moment, in another one
                return
            last.stop = now
            if last.parent is not None:
                last.parent.inner += last.duration
            if last is event:
                return
