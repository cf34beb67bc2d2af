"""One pass over the data of a DataLoader with worker processes: who fetches what, and in which order it is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from chainrule.utils.data.team import Team, start_context

if TYPE_CHECKING:
    from chainrule.utils.data.dataloader import DataLoader


def start_team(loader: DataLoader, base_seed: int) -> Team:
    """The workers of a loader."""
    batched = loader.batch_sampler is not None
    payload = (loader.dataset, batched, loader.collate_fn, loader.drop_last, loader.worker_init_fn)
    context = start_context(loader.multiprocessing_context)
    return Team(context, loader.num_workers, loader.prefetch_factor or 2, base_seed, payload)


class InWorkers:
    """One pass over the data of a loader with workers.

    Batch i is fetched by worker i modulo their number, whatever they draw at random is so the same in each run. Which
    workers of a stream have ended is looked at in the order of the batches, not when they say so, for the same reason.
    """

    def __init__(self, loader: DataLoader, team: Team) -> None:
        self._loader = loader
        self._team = team
        self._count = len(team.workers)
        self._limit = team.tasks * self._count
        self._active = [True] * self._count
        self._turn = 0
        self._given = 0
        self._worker_of: dict[int, int] = {}
        self._arrived: dict[int, tuple[str, Any]] = {}
        team.begin_pass(loader.timeout or None)
        self._pass, self._next = team.passes, team.numbers
        self._indices: Iterator[Any] | None = loader._indices()
        self._dispatch()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __len__(self) -> int:
        return len(self._loader)

    def __next__(self) -> Any:
        while True:
            self._dispatch()
            if not self._worker_of:
                self._finish()
                raise StopIteration
            number = self._next if self._loader.in_order else next(iter(self._arrived), -1)
            if number not in self._arrived:
                self._receive()
                continue
            kind, value = self._arrived.pop(number)
            worker = self._worker_of.pop(number)
            self._next += 1
            if kind == "end":
                self._active[worker] = False
                continue
            self._dispatch()  # before the batch is used: the workers go on meanwhile
            if kind == "error":
                value.reraise()
            self._given += 1
            self._loader._check_length(self._given)
            return value

    def _dispatch(self) -> None:
        """Give tasks to the workers until each has its share or there is nothing more to do."""
        while self._indices is not None and len(self._worker_of) < self._limit:
            worker = self._choose()
            if worker is None:
                return
            try:
                index = next(self._indices)
            except StopIteration:
                self._indices = None
                return
            self._check_pass()
            self._worker_of[self._team.submit(worker, index)] = worker
            self._turn = worker + 1

    def _choose(self) -> int | None:
        """The worker whose turn it is, if it can take a task; where order does not matter, the next that can."""
        for i in range(self._turn, self._turn + self._count):
            worker = i % self._count
            if not self._active[worker]:
                continue
            if self._team.workers[worker].free:
                return worker
            if self._loader.in_order:
                return None
        return None

    def _receive(self) -> None:
        self._check_pass()
        try:
            for number, kind, value in self._team.receive(self._loader.timeout or None):
                self._arrived[number] = kind, value
        except TimeoutError:
            raise RuntimeError(
                f"DataLoader: timed out: no worker gave a batch in {self._loader.timeout} seconds; pass a larger "
                "timeout, or look at what the data set does in __getitem__"
            ) from None

    def _check_pass(self) -> None:
        if self._team.broken:
            raise RuntimeError("DataLoader: a worker has ended, see the error before this one; iterate anew")
        if self._team.passes != self._pass:
            raise RuntimeError("DataLoader: another pass with the same persistent workers has begun since this one")

    def _finish(self) -> None:
        """The pass is over."""
        self._indices = None
        if not self._loader.persistent_workers:
            self._team.stop()
