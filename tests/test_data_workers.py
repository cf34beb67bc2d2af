"""Worker processes of the loader: order, randomness, errors, deaths, and that nothing is left behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info


class Samples(Dataset):
    """Samples of all kinds; sample number ``kill`` ends the process, ``bad`` raises, ``slow`` takes long."""

    def __init__(self, n=11, kill=None, bad=None, slow=None, error=None):
        self.table = np.arange(2 * n).reshape(n, 2)
        self.kill, self.bad, self.slow, self.error = kill, bad, slow, error

    def __len__(self):
        return len(self.table)

    def __getitem__(self, i):
        if i == self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if i == self.bad:
            raise self.error
        if i == self.slow:
            time.sleep(60)
        return cr.full((1 + i // 4, 3), float(i)), self.table[i], f"s{i}", {"half": cr.tensor(i, dtype=cr.bfloat16)}


class Private(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)


def joined(batch):
    """Batches of the same samples whatever their shapes; large enough that segments must grow."""
    large = cr.ones(3 * len(batch) ** 6, device="cpu") if batch[0][1][0] > 4 else cr.ones(0, device="cpu")
    return [t for t, _, _, _ in batch], [s[2] for s in batch], np.stack([s[1] for s in batch]), large, batch[0][3]


class Draws(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        info = get_worker_info()
        assert info.num_workers == 2 and info.dataset is self
        return (
            cr.rand(1).item(),
            random.random(),
            np.random.rand(),
            float(info.id),
            float(info.seed % 1000),
            os.getpid(),
        )


class Shares(IterableDataset):
    """Worker 0 gives 3 numbers, worker 1 gives 5."""

    def __iter__(self):
        worker = get_worker_info().id
        return iter(range(100 * worker, 100 * worker + 3 + 2 * worker))


def failing_start(worker):
    raise OSError(f"worker {worker} has no file")


def flat(batch):
    return [t.tolist() for t in batch[0]], batch[1], batch[2].tolist(), batch[3].sum().item(), batch[4]["half"].item()


def nothing_left(loader_iterator):
    team = loader_iterator._team
    names = [team.payload.name, *(slot.name for worker in team.workers for slot in worker.slots)]
    for name in names:
        for version in range(4):
            with pytest.raises(FileNotFoundError):
                SharedMemory(f"{name}_{version}")
    return team.broken


def test_batches_are_those_of_one_process():
    options = {"batch_size": 3, "shuffle": True, "collate_fn": joined}
    alone = DataLoader(Samples(), **options, generator=cr.Generator().manual_seed(1))
    many = DataLoader(Samples(), **options, generator=cr.Generator().manual_seed(1), num_workers=2,
                      persistent_workers=True)  # fmt: skip
    for _ in range(2):
        expected, passed = list(alone), iter(many)
        got = list(passed)
        assert [flat(b) for b in got] == [flat(b) for b in expected]
    first = got[0]
    assert [t.device for t in first[0]] == [t.device for t in expected[0][0]] and type(first[2]) is np.ndarray
    assert first[4]["half"].dtype == cr.bfloat16 and first[3].device.type == "cpu"
    first[2][:] = 0  # ours alone, and writable
    first[0][0].zero_()
    processes = [worker.process for worker in passed._team.workers]
    given_up = iter(many)
    next(given_up)
    assert len(list(many)) == 4 and [worker.process for worker in passed._team.workers] == processes
    with pytest.raises(RuntimeError, match="another pass with the same persistent workers"):
        list(given_up)
    team = passed._team
    team.stop()
    assert nothing_left(passed)
    assert len(list(many)) == 4  # with new workers


def test_stopping_early_leaves_nothing():
    passed = iter(DataLoader(Samples(), num_workers=2, collate_fn=joined, prefetch_factor=3))
    next(passed)
    team, pids = passed._team, [worker.process.pid for worker in passed._team.workers]
    readers = [slot for worker in team.workers for slot in worker.slots]
    del passed
    assert not team.broken and team._stop.alive  # `team` holds it
    finalizer = team._stop
    del team
    assert not finalizer.alive
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    for name in [reader.name for reader in readers]:
        with pytest.raises(FileNotFoundError):
            SharedMemory(f"{name}_0")


def test_randomness():
    def drawn(seed):
        loader = DataLoader(Draws(), batch_size=2, num_workers=2, generator=cr.Generator().manual_seed(seed))
        return [batch[:5] for batch in loader]

    first = drawn(1)
    again = [[t.tolist() for t in batch] for batch in drawn(1)]
    assert again == [[t.tolist() for t in batch] for batch in first]
    assert [batch[3].tolist() for batch in first] == [[0, 0], [1, 1], [0, 0], [1, 1]]  # workers take turns
    for kind in range(3):
        assert len({v for batch in first for v in batch[kind].tolist()}) == 8
    seeds = [batch[4][0].item() for batch in first]
    assert (seeds[1] - seeds[0]) % 1000 == 1 and seeds[:2] == seeds[2:]
    assert get_worker_info() is None


def test_streams():
    loader = DataLoader(Shares(), batch_size=2, num_workers=2)
    assert [b.tolist() for b in loader] == [[0, 1], [100, 101], [2], [102, 103], [104]]
    loader = DataLoader(Shares(), batch_size=None, num_workers=2, in_order=False, persistent_workers=True)
    for _ in range(2):
        assert sorted(loader) == [0, 1, 2, 100, 101, 102, 103, 104]


def test_an_exception_in_a_worker():
    passed = iter(DataLoader(Samples(bad=1, error=KeyError("no such file")), num_workers=1, collate_fn=joined))
    assert next(passed)[1] == ["s0"]
    with pytest.raises(KeyError) as caught:
        next(passed)
    text = str(caught.value)
    assert text.startswith("Caught KeyError in DataLoader worker process 0.\nOriginal Traceback")
    assert "raise self.error" in text and text.endswith("KeyError: 'no such file'\n")
    assert next(passed)[1] == ["s2"]  # the others are not lost
    finalizer = passed._team._stop
    del caught, passed
    assert not finalizer.alive  # the exception, once it is forgotten, keeps nothing
    passed = iter(DataLoader(Samples(bad=0, error=Private(1, 2)), num_workers=1, collate_fn=joined))
    with pytest.raises(RuntimeError, match="Caught Private in DataLoader worker process 0"):
        next(passed)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_worker_that_is_killed():
    passed = iter(DataLoader(Samples(kill=3), num_workers=2, batch_size=2, collate_fn=joined))
    with pytest.raises(RuntimeError, match=r"worker process 1 \(pid \d+\) was killed by signal SIGKILL unexpectedly"):
        list(passed)
    assert nothing_left(passed)
    with pytest.raises(RuntimeError, match="a worker has ended, see the error before"):
        next(passed)


def test_a_worker_that_takes_too_long_and_one_that_cannot_start():
    passed = iter(DataLoader(Samples(slow=0), num_workers=1, timeout=0.2))
    with pytest.raises(RuntimeError, match=r"no worker gave a batch in 0.2 seconds"):
        next(passed)
    for worker in passed._team.workers:
        worker.process.kill()  # or the end of the test would wait for it
    passed = iter(DataLoader(Samples(), num_workers=1, worker_init_fn=failing_start))
    with pytest.raises(OSError, match=r"(?s)worker process 0.*worker 0 has no file"):
        next(passed)


def test_what_cannot_be_sent():
    with pytest.raises(TypeError, match=r"could not be pickled.*use functions and classes of a module"):
        iter(DataLoader(Samples(), num_workers=1, collate_fn=lambda batch: batch))
    w = cr.ones(3, requires_grad=True) * 2
    with pytest.raises(TypeError, match=r"could not be pickled.*detach"):
        iter(DataLoader(TensorDataset(w), num_workers=1))


SCRIPT = """
import chainrule as cr
from chainrule.utils.data import DataLoader, Dataset, TensorDataset
class Mine(Dataset):
    def __len__(self): return 2
    def __getitem__(self, i): return i
for batch in DataLoader({dataset}, num_workers=1):
    print(batch)
"""


def test_definitions_of_an_interactive_session():
    path = os.pathsep.join([str(Path(cr.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(dataset="Mine()")],
        capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": path}, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "AttributeError" in done.stderr
    assert "a notebook or an interactive session into a module, or use num_workers=0" in done.stderr


def test_scripts_without_a_guard(tmp_path):
    """They work with data sets of a library, as under PyTorch on Linux, and fail clearly with their own."""
    script = tmp_path / "script.py"
    path = os.pathsep.join([str(Path(cr.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    options = {"capture_output": True, "text": True, "timeout": 60, "env": {**os.environ, "PYTHONPATH": path}}
    script.write_text(SCRIPT.format(dataset="TensorDataset(cr.arange(2))"))
    done = subprocess.run([sys.executable, script], **options, check=True)
    assert done.stdout.count("tensor(") == 2 and not done.stderr
    script.write_text(SCRIPT.format(dataset="Mine()"))
    done = subprocess.run([sys.executable, script], **options, check=False)
    assert done.returncode == 1 and "under `if __name__ == '__main__':`" in done.stderr.splitlines()[-1]
