"""Data sets, and loaders that make batches of them."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from chainrule.autograd import refusals as _refusals
from chainrule.utils.data.collate import default_collate as default_collate
from chainrule.utils.data.collate import default_convert as default_convert
from chainrule.utils.data.dataloader import DataLoader as DataLoader
from chainrule.utils.data.dataset import ChainDataset as ChainDataset
from chainrule.utils.data.dataset import ConcatDataset as ConcatDataset
from chainrule.utils.data.dataset import Dataset as Dataset
from chainrule.utils.data.dataset import IterableDataset as IterableDataset
from chainrule.utils.data.dataset import StackDataset as StackDataset
from chainrule.utils.data.dataset import Subset as Subset
from chainrule.utils.data.dataset import TensorDataset as TensorDataset
from chainrule.utils.data.dataset import random_split as random_split
from chainrule.utils.data.info import get_worker_info as get_worker_info
from chainrule.utils.data.sampler import BatchSampler as BatchSampler
from chainrule.utils.data.sampler import RandomSampler as RandomSampler
from chainrule.utils.data.sampler import Sampler as Sampler
from chainrule.utils.data.sampler import SequentialSampler as SequentialSampler
from chainrule.utils.data.sampler import SubsetRandomSampler as SubsetRandomSampler
from chainrule.utils.data.sampler import WeightedRandomSampler as WeightedRandomSampler

if _TYPE_CHECKING:
    from chainrule.utils.data import augment as augment
    from chainrule.utils.data import synthetic as synthetic

#: what many programs never use is imported when it is first named
_LATER = ("augment", "synthetic")


def __getattr__(name: str) -> _Any:
    if name in _LATER:
        return _import_module(f"chainrule.utils.data.{name}")
    return _refusals.missing("utils.data", name, __dir__())


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATER])
