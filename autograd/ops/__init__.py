"""The declarations of all ops, by topic; importing this package fills the registry."""

from chainrule.autograd.ops import arithmetic as arithmetic
from chainrule.autograd.ops import border as border
from chainrule.autograd.ops import comparison as comparison
from chainrule.autograd.ops import convert as convert
from chainrule.autograd.ops import convolution as convolution
from chainrule.autograd.ops import diagonal as diagonal
from chainrule.autograd.ops import elementwise as elementwise
from chainrule.autograd.ops import extremes as extremes
from chainrule.autograd.ops import gather as gather
from chainrule.autograd.ops import indexing as indexing
from chainrule.autograd.ops import joining as joining
from chainrule.autograd.ops import linalg as linalg
from chainrule.autograd.ops import masks as masks
from chainrule.autograd.ops import normalization as normalization
from chainrule.autograd.ops import ordering as ordering
from chainrule.autograd.ops import pooling as pooling
from chainrule.autograd.ops import rectifiers as rectifiers
from chainrule.autograd.ops import reduction as reduction
from chainrule.autograd.ops import reorder as reorder
from chainrule.autograd.ops import scatter as scatter
from chainrule.autograd.ops import shape as shape
from chainrule.autograd.ops import slicing as slicing
from chainrule.autograd.ops import softmax as softmax
from chainrule.autograd.ops import stacking as stacking
from chainrule.autograd.ops import statistics as statistics
from chainrule.autograd.ops import tiling as tiling
