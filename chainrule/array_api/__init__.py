"""The Python Array API standard, version 2024.12, on Tensors: ``import chainrule.array_api as xp``.

Its functions have the standard's names, signatures and type promotion and are recorded like all others.
Two stated exceptions concern Tensors themselves: the operators treat 0-d tensors as PyTorch does (they are weak
in their kind), and ``x.size`` is an int that can also be called. Where the standard leaves the behaviour open (integers
with floats, say), PyTorch's is taken. New arrays of floats are float32 unless the default dtype is changed.

>>> import chainrule as cr
>>> x = cr.tensor([3.0, 4.0], requires_grad=True)
>>> xp = x.__array_namespace__()
>>> xp.sum(xp.square(x))
tensor(25., grad_fn=<SumBackward0>)
"""

from math import e as e
from math import inf as inf
from math import nan as nan
from math import pi as pi

from chainrule.array_api import fft as fft
from chainrule.array_api import linalg as linalg
from chainrule.array_api.creation_functions import arange as arange
from chainrule.array_api.creation_functions import asarray as asarray
from chainrule.array_api.creation_functions import empty as empty
from chainrule.array_api.creation_functions import empty_like as empty_like
from chainrule.array_api.creation_functions import eye as eye
from chainrule.array_api.creation_functions import from_dlpack as from_dlpack
from chainrule.array_api.creation_functions import full as full
from chainrule.array_api.creation_functions import full_like as full_like
from chainrule.array_api.creation_functions import linspace as linspace
from chainrule.array_api.creation_functions import meshgrid as meshgrid
from chainrule.array_api.creation_functions import ones as ones
from chainrule.array_api.creation_functions import ones_like as ones_like
from chainrule.array_api.creation_functions import tril as tril
from chainrule.array_api.creation_functions import triu as triu
from chainrule.array_api.creation_functions import zeros as zeros
from chainrule.array_api.creation_functions import zeros_like as zeros_like
from chainrule.array_api.data_type_functions import astype as astype
from chainrule.array_api.data_type_functions import can_cast as can_cast
from chainrule.array_api.data_type_functions import finfo as finfo
from chainrule.array_api.data_type_functions import iinfo as iinfo
from chainrule.array_api.data_type_functions import isdtype as isdtype
from chainrule.array_api.data_type_functions import result_type as result_type
from chainrule.array_api.elementwise_functions import abs as abs
from chainrule.array_api.elementwise_functions import acos as acos
from chainrule.array_api.elementwise_functions import acosh as acosh
from chainrule.array_api.elementwise_functions import add as add
from chainrule.array_api.elementwise_functions import asin as asin
from chainrule.array_api.elementwise_functions import asinh as asinh
from chainrule.array_api.elementwise_functions import atan as atan
from chainrule.array_api.elementwise_functions import atan2 as atan2
from chainrule.array_api.elementwise_functions import atanh as atanh
from chainrule.array_api.elementwise_functions import bitwise_and as bitwise_and
from chainrule.array_api.elementwise_functions import bitwise_invert as bitwise_invert
from chainrule.array_api.elementwise_functions import bitwise_left_shift as bitwise_left_shift
from chainrule.array_api.elementwise_functions import bitwise_or as bitwise_or
from chainrule.array_api.elementwise_functions import bitwise_right_shift as bitwise_right_shift
from chainrule.array_api.elementwise_functions import bitwise_xor as bitwise_xor
from chainrule.array_api.elementwise_functions import ceil as ceil
from chainrule.array_api.elementwise_functions import clip as clip
from chainrule.array_api.elementwise_functions import conj as conj
from chainrule.array_api.elementwise_functions import copysign as copysign
from chainrule.array_api.elementwise_functions import cos as cos
from chainrule.array_api.elementwise_functions import cosh as cosh
from chainrule.array_api.elementwise_functions import divide as divide
from chainrule.array_api.elementwise_functions import equal as equal
from chainrule.array_api.elementwise_functions import exp as exp
from chainrule.array_api.elementwise_functions import expm1 as expm1
from chainrule.array_api.elementwise_functions import floor as floor
from chainrule.array_api.elementwise_functions import floor_divide as floor_divide
from chainrule.array_api.elementwise_functions import greater as greater
from chainrule.array_api.elementwise_functions import greater_equal as greater_equal
from chainrule.array_api.elementwise_functions import hypot as hypot
from chainrule.array_api.elementwise_functions import imag as imag
from chainrule.array_api.elementwise_functions import isfinite as isfinite
from chainrule.array_api.elementwise_functions import isinf as isinf
from chainrule.array_api.elementwise_functions import isnan as isnan
from chainrule.array_api.elementwise_functions import less as less
from chainrule.array_api.elementwise_functions import less_equal as less_equal
from chainrule.array_api.elementwise_functions import log as log
from chainrule.array_api.elementwise_functions import log1p as log1p
from chainrule.array_api.elementwise_functions import log2 as log2
from chainrule.array_api.elementwise_functions import log10 as log10
from chainrule.array_api.elementwise_functions import logaddexp as logaddexp
from chainrule.array_api.elementwise_functions import logical_and as logical_and
from chainrule.array_api.elementwise_functions import logical_not as logical_not
from chainrule.array_api.elementwise_functions import logical_or as logical_or
from chainrule.array_api.elementwise_functions import logical_xor as logical_xor
from chainrule.array_api.elementwise_functions import maximum as maximum
from chainrule.array_api.elementwise_functions import minimum as minimum
from chainrule.array_api.elementwise_functions import multiply as multiply
from chainrule.array_api.elementwise_functions import negative as negative
from chainrule.array_api.elementwise_functions import nextafter as nextafter
from chainrule.array_api.elementwise_functions import not_equal as not_equal
from chainrule.array_api.elementwise_functions import positive as positive
from chainrule.array_api.elementwise_functions import pow as pow
from chainrule.array_api.elementwise_functions import real as real
from chainrule.array_api.elementwise_functions import reciprocal as reciprocal
from chainrule.array_api.elementwise_functions import remainder as remainder
from chainrule.array_api.elementwise_functions import round as round
from chainrule.array_api.elementwise_functions import sign as sign
from chainrule.array_api.elementwise_functions import signbit as signbit
from chainrule.array_api.elementwise_functions import sin as sin
from chainrule.array_api.elementwise_functions import sinh as sinh
from chainrule.array_api.elementwise_functions import sqrt as sqrt
from chainrule.array_api.elementwise_functions import square as square
from chainrule.array_api.elementwise_functions import subtract as subtract
from chainrule.array_api.elementwise_functions import tan as tan
from chainrule.array_api.elementwise_functions import tanh as tanh
from chainrule.array_api.elementwise_functions import trunc as trunc
from chainrule.array_api.indexing_functions import take as take
from chainrule.array_api.indexing_functions import take_along_axis as take_along_axis
from chainrule.array_api.info import __array_namespace_info__ as __array_namespace_info__
from chainrule.array_api.linear_algebra_functions import matmul as matmul
from chainrule.array_api.linear_algebra_functions import matrix_transpose as matrix_transpose
from chainrule.array_api.linear_algebra_functions import tensordot as tensordot
from chainrule.array_api.linear_algebra_functions import vecdot as vecdot
from chainrule.array_api.manipulation_functions import broadcast_arrays as broadcast_arrays
from chainrule.array_api.manipulation_functions import broadcast_to as broadcast_to
from chainrule.array_api.manipulation_functions import concat as concat
from chainrule.array_api.manipulation_functions import expand_dims as expand_dims
from chainrule.array_api.manipulation_functions import flip as flip
from chainrule.array_api.manipulation_functions import moveaxis as moveaxis
from chainrule.array_api.manipulation_functions import permute_dims as permute_dims
from chainrule.array_api.manipulation_functions import repeat as repeat
from chainrule.array_api.manipulation_functions import reshape as reshape
from chainrule.array_api.manipulation_functions import roll as roll
from chainrule.array_api.manipulation_functions import squeeze as squeeze
from chainrule.array_api.manipulation_functions import stack as stack
from chainrule.array_api.manipulation_functions import tile as tile
from chainrule.array_api.manipulation_functions import unstack as unstack
from chainrule.array_api.searching_functions import argmax as argmax
from chainrule.array_api.searching_functions import argmin as argmin
from chainrule.array_api.searching_functions import count_nonzero as count_nonzero
from chainrule.array_api.searching_functions import nonzero as nonzero
from chainrule.array_api.searching_functions import searchsorted as searchsorted
from chainrule.array_api.searching_functions import where as where
from chainrule.array_api.set_functions import unique_all as unique_all
from chainrule.array_api.set_functions import unique_counts as unique_counts
from chainrule.array_api.set_functions import unique_inverse as unique_inverse
from chainrule.array_api.set_functions import unique_values as unique_values
from chainrule.array_api.sorting_functions import argsort as argsort
from chainrule.array_api.sorting_functions import sort as sort
from chainrule.array_api.statistical_functions import cumulative_prod as cumulative_prod
from chainrule.array_api.statistical_functions import cumulative_sum as cumulative_sum
from chainrule.array_api.statistical_functions import max as max
from chainrule.array_api.statistical_functions import mean as mean
from chainrule.array_api.statistical_functions import min as min
from chainrule.array_api.statistical_functions import prod as prod
from chainrule.array_api.statistical_functions import std as std
from chainrule.array_api.statistical_functions import sum as sum
from chainrule.array_api.statistical_functions import var as var
from chainrule.array_api.utility_functions import all as all
from chainrule.array_api.utility_functions import any as any
from chainrule.array_api.utility_functions import diff as diff
from chainrule.autograd.dtypes import bool_ as bool
from chainrule.autograd.dtypes import complex64 as complex64
from chainrule.autograd.dtypes import complex128 as complex128
from chainrule.autograd.dtypes import float32 as float32
from chainrule.autograd.dtypes import float64 as float64
from chainrule.autograd.dtypes import int8 as int8
from chainrule.autograd.dtypes import int16 as int16
from chainrule.autograd.dtypes import int32 as int32
from chainrule.autograd.dtypes import int64 as int64
from chainrule.autograd.dtypes import uint8 as uint8
from chainrule.autograd.dtypes import uint16 as uint16
from chainrule.autograd.dtypes import uint32 as uint32
from chainrule.autograd.dtypes import uint64 as uint64

newaxis = None

__array_api_version__ = "2024.12"

#: versions of the standard for which ``Tensor.__array_namespace__`` gives this namespace
SUPPORTED_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")
