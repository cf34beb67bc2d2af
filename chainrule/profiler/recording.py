"""``profile``: times what runs inside a ``with`` block; ``record_function`` names a part of it."""

from __future__ import annotations

import functools
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from enum import Enum
from types import TracebackType
from typing import Any, Self, TypeVar

from chainrule.autograd.location import locate
from chainrule.autograd.node import Leaf
from chainrule.autograd.tensor import Tensor
from chainrule.nn.locate import name_in
from chainrule.nn.module import Module
from chainrule.nn.parameter import is_lazy
from chainrule.profiler import trace, watching
from chainrule.profiler.averages import Averages, averages_of
from chainrule.profiler.events import Event, Track
from chainrule.profiler.memory import Kept

F = TypeVar("F", bound=Callable[..., Any])


class ProfilerActivity(Enum):
    """What to time; accepted for PyTorch's sake: operations are timed on the host, ``synchronize`` adds the device."""

    CPU = "cpu"
    CUDA = "cuda"


class profile:
    """Times every operation, forward and backward, every module, optimizer step and wait for a DataLoader inside.

    Nothing is slower while no profiler runs. Inside, an operation costs some microseconds more; about one of them stays
    in its time, the rest is left out. Only the thread that enters is profiled. On CUDA times are those of the host,
    which hands work over and goes on; ``synchronize=True`` waits after each operation: times are then the device's, and
    the whole takes longer.

    Args:
        activities: accepted as in PyTorch.
        record_shapes: keep the shapes and dtypes of arguments and results.
        profile_memory: keep the bytes of the memory that results take.
        with_stack: keep the line of the program that each operation stands in, for ``by="line"``.
        synchronize: wait for the device after each operation.
        all_threads: also what other threads do meanwhile.
        clock: gives seconds; another one than ``time.perf_counter`` for tests.

    Raises:
        RuntimeError: it is entered a second time.

    Example:
        >>> import chainrule as cr
        >>> model = cr.nn.Sequential(cr.nn.Linear(4, 8), cr.nn.ReLU())
        >>> with cr.profiler.profile() as p:
        ...     model(cr.ones(2, 4)).sum().backward()
        >>> rows = sorted(p.key_averages(), key=lambda row: row.name)
        >>> [(row.name, row.calls, row.backward_calls, row.saved_bytes) for row in rows[1:]]
        [('linear', 1, 1, 32), ('relu', 1, 1, 64), ('sum', 1, 1, 0)]
        >>> print(p.table(sort_by="self", row_limit=3))  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        synchronize: bool = False,
        all_threads: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.activities = tuple(activities or ())
        self.record_shapes = record_shapes
        self.profile_memory = profile_memory
        self.with_stack = with_stack
        self.synchronize = synchronize
        self.all_threads = all_threads
        #: all events, in the order in which they began
        self.events: list[Event] = []
        self._clock = clock
        self._tracks: dict[int, Track] = {}
        self._names: dict[tuple[int, int], str] = {}
        self._modules: dict[int, Module] = {}  # kept, so that no id is used twice
        self._kept = Kept()
        self._lock = threading.Lock()
        self._began: float | None = None
        self._total: float | None = None
        self._running = False
        #: the leaves that optimizers updated
        self._updated: weakref.WeakSet[Leaf] = weakref.WeakSet()

    # ---- beginning and end ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; what ``with`` does."""
        if self._began is not None:
            raise RuntimeError("profile: a profiler runs once; make another one")
        watching.add(self)
        self._thread = threading.get_ident()
        self._running = True
        self._began = self._clock()
        self._own = self._track()

    def stop(self) -> None:
        """End; in the thread that began."""
        if not self._running:
            raise RuntimeError("profile: stop() without start()")
        if threading.get_ident() != self._thread:
            raise RuntimeError("profile: stop() must be called in the thread that called start()")
        self._total = self._own.now()
        self._running = False
        watching.remove(self)
        for track in list(self._tracks.values()):
            if track.stack:
                track.close(track.stack[0], track.now() if track is not self._own else self._total)
        # what was measured is kept, and not the models and arrays that it was measured on
        self._kept = Kept()
        self._names.clear()
        self._modules.clear()
        for event in self.events:
            event.owner = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # ---- results ----------------------------------------------------------------------------------------------------

    @property
    def total_time(self) -> float:
        """Seconds from beginning to end, without the profiler's own work."""
        return self._own.now() if self._total is None else self._total

    @property
    def saved_bytes(self) -> int:
        """What the tape kept for backward passes, all in all; memory that is kept twice counts once."""
        return sum(e.saved_bytes for e in self.events)

    @property
    def outside(self) -> float:
        """Seconds that this thread spent in none of the events: Python between operations."""
        return self.total_time - sum(
            e.self_time for e in self.events if e.kind != "module" and e.thread == self._own.thread
        )

    def key_averages(self, group_by_input_shape: bool = False, by: str = "op") -> Averages:
        """The events added up.

        Args:
            group_by_input_shape: a row for each combination of shapes (needs ``record_shapes``).
            by: ``"op"``, ``"module"`` or ``"line"`` (needs ``with_stack``).
        """
        if group_by_input_shape and not self.record_shapes:
            raise ValueError("key_averages: group_by_input_shape needs profile(record_shapes=True)")
        if by == "line" and not self.with_stack:
            raise ValueError("key_averages: by='line' needs profile(with_stack=True)")
        return averages_of(self.events, by, group_by_input_shape, self.total_time, self.outside)

    def table(self, sort_by: str = "self", row_limit: int = 20, by: str = "op") -> str:
        """The events as a table; see :meth:`Averages.table`.

        Args:
            sort_by: ``"self"``, ``"total"``, ``"forward"``, ``"backward"``, ``"calls"``, ``"saved"``, ``"made"`` or
                ``"name"``; PyTorch's names (``"self_cpu_time_total"``) are accepted.
            row_limit: how many rows; -1 for all.
            by: ``"op"``, ``"module"`` or ``"line"``.
        """
        return self.key_averages(by=by).table(sort_by, row_limit)

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write a file for chrome://tracing and https://ui.perfetto.dev.

        Example:
            >>> import chainrule as cr
            >>> with cr.profiler.profile() as p:
            ...     _ = cr.ones(2).exp()
            >>> p.export_chrome_trace(getfixture("tmp_path") / "trace.json")
        """
        trace.write(path, self.events, {t.thread: t.name for t in self._tracks.values()})

    def __repr__(self) -> str:
        if self._began is None:
            return "<profile that has not begun>"
        return f"<profile of {len(self.events)} events in {self.total_time:.6f} s>"

    def _repr_html_(self) -> str:
        return self.key_averages()._repr_html_()

    # ---- what the handlers call -------------------------------------------------------------------------------------

    def _track(self) -> Track:
        ident = threading.get_ident()
        track = self._tracks.get(ident)
        if track is None:
            track = Track(ident, threading.current_thread().name, self._clock, self._began or 0.0)
            with self._lock:
                self._tracks[ident] = track
        return track

    def _open(self, name: str, kind: str, direction: str = "") -> Event:
        track = self._track()
        began = track.now()
        event = Event(name, kind, track.stack[-1] if track.stack else None, track)
        if direction:
            event.direction = direction
        if self.with_stack and kind != "backward":
            event.where = locate()
        if self._running:
            self.events.append(event)
            track.open(event)
        event.start = began
        track.resume(began)
        return event

    def _close(self, event: Event, result: Any = None, device: Any = None) -> None:
        track: Track = event.track  # type: ignore[assignment]
        if self.synchronize:
            result = result[0] if isinstance(result, tuple) and result else result
            device = result._device if isinstance(result, Tensor) else device
            if device is not None:
                watching.wait_for(device)
        track.close(event, track.now())

    def _close_step(self, optimizer: Any) -> None:
        first = next((t for group in optimizer.param_groups for t in group["params"]), None)
        for event in reversed(self._track().stack):
            if event.kind == "optimizer":
                self._close(event, first)
                return

    def _open_module(self, module: Module) -> Event:
        event = self._open(type(module).__name__, "module")
        track = self._track()
        began = event.start
        parent = event.owner
        if parent is None:
            event.module = type(module).__name__
        else:
            key = (id(parent), id(module))
            if key not in self._names:
                self._names[key] = name_in(parent, module)
            event.module = f"{event.module}.{self._names[key]}"
        event.owner = module
        if id(module) not in self._modules:
            self._modules[id(module)] = module
            for t in [*module._parameters.values(), *module._buffers.values()]:
                if t is not None and not is_lazy(t):
                    self._kept.keep_apart(t)
        track.resume(began)
        return event

    def _open_node(self, node: Any) -> Event:
        known = getattr(node, "_metadata", {}).get(self)
        event = self._open(node.op.label, "backward", "backward")
        if known is not None:
            event.module, event.owner, event.where = known
        return event

    def _kernels(self) -> list[str]:
        """Where the running event keeps the names of the kernels that were chosen."""
        stack = self._track().stack
        kernels: list[str] = stack[-1].details.setdefault("kernels", []) if stack else []
        return kernels

    def _note(self, event: Event, args: tuple[Any, ...], result: Any, shared: bool) -> None:
        """Keep what there is to know of an operation that ran; ``shared``: its result has no memory of its own."""
        track = self._track()
        began = track.now()
        tensors = watching.tensors_of(args)
        self._kept.keep_leaves_apart(tensors)
        node = watching.made_node(result)
        # an operation that consists of others has the last one's node, which was noted there
        if node is not None and self not in node.metadata:
            node.metadata[self] = (event.module, event.owner, event.where)
            event.saved_bytes = self._kept.add(node)
        made = [t for t in (result if isinstance(result, tuple) else (result,)) if isinstance(t, Tensor)]
        if self.profile_memory and not shared:
            event.made_bytes = sum(t.nbytes for t in made)
        if self.record_shapes:
            event.shapes = tuple([tuple(t.shape) for t in tensors])
            event.dtypes = tuple([t._data.dtype.name for t in tensors])
            if made:
                event.result = (tuple(made[0].shape), made[0]._data.dtype.name)
        track.resume(began)

    def _note_node(self, event: Event, node: Any, results: tuple[Any, ...]) -> None:
        track = self._track()
        began = track.now()
        given = [edge for edge, g in zip(node.inputs, results, strict=False) if edge is not None and g is not None]
        leaves = [weakref.ref(edge) for edge in given if type(edge) is Leaf]
        if leaves:
            event.details.update(leaves=leaves, gradients=len(given))
        first = next((g for g in results if g is not None), None)
        if self.record_shapes and first is not None:
            event.result = (tuple(first.shape), str(first.dtype))
        track.resume(began)

    def _note_leaves(self, optimizer: Any) -> None:
        for group in optimizer.param_groups:
            self._updated.update(t._node for t in group["params"] if type(t._node) is Leaf)


class record_function:
    """A span with a name of its own in the profilers that run: a context manager and a decorator.

    Example:
        >>> import chainrule as cr
        >>> with cr.profiler.profile() as p, cr.profiler.record_function("attention"):
        ...     _ = cr.ones(2).exp()
        >>> [event.name for event in p.events]
        ['attention', 'exp']
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args
        self._open: list[list[tuple[profile, Event]]] = []

    def __enter__(self) -> Self:
        opened = [(p, p._open(self.name, "span")) for p in watching.active()]
        for _, event in opened:
            if self.args is not None:
                event.details["args"] = self.args
        self._open.append(opened)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for p, event in reversed(self._open.pop()):
            p._close(event)

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name, self.args):
                return function(*args, **kwargs)

        return inner  # type: ignore[return-value]
