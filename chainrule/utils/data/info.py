"""What a worker process of a DataLoader knows of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker knows of itself: number ``id`` of ``num_workers``, its ``seed``, its copy of the ``dataset``."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


#: set in worker processes
current: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker process of a :class:`DataLoader` what it knows of itself, elsewhere None.

    Example:
        >>> from chainrule.utils.data import get_worker_info
        >>> print(get_worker_info())
        None
    """
    return current
