"""Data sets, and loaders that make batches of them."""

from chainrule.utils.data.collate import default_collate as default_collate
from chainrule.utils.data.dataset import ConcatDataset as ConcatDataset
from chainrule.utils.data.dataset import Dataset as Dataset
from chainrule.utils.data.dataset import Subset as Subset
from chainrule.utils.data.dataset import TensorDataset as TensorDataset
from chainrule.utils.data.dataset import random_split as random_split
from chainrule.utils.data.loader import DataLoader as DataLoader
from chainrule.utils.data.sampler import BatchSampler as BatchSampler
from chainrule.utils.data.sampler import RandomSampler as RandomSampler
from chainrule.utils.data.sampler import Sampler as Sampler
from chainrule.utils.data.sampler import SequentialSampler as SequentialSampler
from chainrule.utils.data.sampler import SubsetRandomSampler as SubsetRandomSampler
