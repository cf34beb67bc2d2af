"""Data sets, and loaders that make batches of them."""

from chainrule.utils.data.collate import default_collate as default_collate
from chainrule.utils.data.collate import default_convert as default_convert
from chainrule.utils.data.dataset import ChainDataset as ChainDataset
from chainrule.utils.data.dataset import ConcatDataset as ConcatDataset
from chainrule.utils.data.dataset import Dataset as Dataset
from chainrule.utils.data.dataset import IterableDataset as IterableDataset
from chainrule.utils.data.dataset import StackDataset as StackDataset
from chainrule.utils.data.dataset import Subset as Subset
from chainrule.utils.data.dataset import TensorDataset as TensorDataset
from chainrule.utils.data.dataset import random_split as random_split
from chainrule.utils.data.info import get_worker_info as get_worker_info
from chainrule.utils.data.loader import DataLoader as DataLoader
from chainrule.utils.data.sampler import BatchSampler as BatchSampler
from chainrule.utils.data.sampler import RandomSampler as RandomSampler
from chainrule.utils.data.sampler import Sampler as Sampler
from chainrule.utils.data.sampler import SequentialSampler as SequentialSampler
from chainrule.utils.data.sampler import SubsetRandomSampler as SubsetRandomSampler
from chainrule.utils.data.sampler import WeightedRandomSampler as WeightedRandomSampler
