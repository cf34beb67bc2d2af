"""Where PyTorch's results cannot be compared with ours as they stand, and why. Nothing else is loosened.

Entries are named by their titles in PyTorch's database (``name`` or ``name:variant``), dtypes by their names.
"""

from __future__ import annotations

from typing import Any

RANDOM = "random values: two generators"
NO_VALUES = "uninitialised memory"
NO_TENSOR = "takes no tensor: all samples of the database are compared"

#: results of which only shape, dtype and requires_grad are compared
ONLY_SHAPES: dict[str, str] = {
    **dict.fromkeys(
        ("bernoulli", "multinomial", "normal", "normal:in_place", "normal:number_mean", "rand_like", "randint",
         "randint_like", "randn", "randn_like"), RANDOM,
    ),
    **dict.fromkeys(
        ("empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided", "resize_",
         "resize_as_"), NO_VALUES,
    ),
    "nn.functional.fractional_max_pool2d": "random regions (test_names_without_opinfo.py gives them, and compares)",
    "nn.functional.fractional_max_pool3d": "random regions (test_names_without_opinfo.py gives them, and compares)",
}  # fmt: skip


def drops(sample: Any) -> bool:
    """Whether a sample of a dropout function drops at random."""
    given = {**dict(zip(("p", "training"), sample.args, strict=False)), **sample.kwargs}
    return bool(given.get("training", True)) and 0 < given.get("p", 0.5) < 1


def is_training(sample: Any) -> bool:
    return bool(sample.kwargs.get("training", False))


def has_unequal_shapes(sample: Any) -> bool:
    return bool(sample.input.shape != sample.args[0].shape)


#: the same, for the samples of which the function is true
ONLY_SHAPES_WHERE: dict[str, tuple[Any, str]] = {
    **{f"nn.functional.{name}": (drops, RANDOM) for name in (
        "dropout", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout:with_train",
        "feature_alpha_dropout:without_train")},
    "nn.functional.rrelu": (is_training, RANDOM),
}  # fmt: skip


def without_dropout(sample: Any) -> Any:
    sample.kwargs["dropout_p"] = 0.0
    return sample


def in_evaluation(sample: Any) -> Any:
    sample.kwargs["training"] = False
    return sample


def with_constant_window(sample: Any) -> Any:
    if sample.kwargs.get("window") is not None:
        sample.kwargs["window"] = sample.kwargs["window"].detach()
    return sample


def with_double_weights(sample: Any) -> Any:
    weights = sample.kwargs.get("aweights")
    if weights is not None and weights.dtype.is_floating_point and str(sample.input.dtype).endswith(("64", "128")):
        sample.kwargs["aweights"] = weights.detach().double().requires_grad_(weights.requires_grad)
    return sample


#: samples that are changed, so that nothing in them is random, less precise, or without a gradient in PyTorch
CHANGED: dict[str, tuple[Any, str]] = {
    "cov": (with_double_weights, "float32 weights, and so gradients, beside float64 elements"),
    "istft": (with_constant_window, "PyTorch's gradient of the window is zero"),
    "nn.functional.scaled_dot_product_attention": (without_dropout, RANDOM),
    "nn.functional.multi_head_attention_forward": (in_evaluation, RANDOM),
}

#: samples that are left out: those of which the function is true
DROPPED: dict[str, tuple[Any, str]] = {
    "nn.functional.gaussian_nll_loss": (has_unequal_shapes, "refused here: losses do not broadcast"),
    "svd_lowrank": (
        lambda sample: sample.kwargs.get("M") is not None,
        "with M the matrix has a higher rank than q: what is found depends on the random projection",
    ),
}

#: titles of which other names (methods in place) are random
RANDOM_NAMES: dict[str, str] = {}

#: module.name of methods and aliases that are not compared on an entry's samples
OTHER_NAMES: dict[str, str] = {
    "torch.triplet_margin_loss": "PyTorch reduces nothing by default, but documents the mean: ours",
    "torch.Tensor.addbmm_": "PyTorch gives the tensor another shape: refused here",
    "torch.nn.functional.embedding_bag": "the samples have PyTorch's deprecated order of the arguments",
    "torch.embedding_bag": "the samples have PyTorch's deprecated order of the arguments",
}

#: (title, dtype) not compared at all; dtype "*" is every one
SKIPPED: dict[tuple[str, str], str] = {
    ("as_strided:partial_views", "*"): "the samples are views of larger memory, which is not copied to our side",
    ("chalf", "*"): "complex32 does not exist here: refused",
}

#: (title, dtype) -> relative and absolute tolerance, instead of 1e-9 (1e-4 in float32)
TOLERANCES: dict[tuple[str, str], tuple[float, str]] = {
    **{(f"special.{name}", "float64"): (1e-6, "the two differ by up to 3e-7")
       for name in ("bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1")},
    ("special.airy_ai", "float64"): (1e-8, "the two differ by up to 3e-9"),
    ("linalg.householder_product", "complex128"): (1e-8, "ill-conditioned: gradients of 2e4 differ by 6e-4"),
    **{(name, "complex128"): (1e-6, "second gradients through two random projections differ by up to 6e-6")
       for name in ("svd_lowrank", "pca_lowrank")},
    ("logcumsumexp", "float32"): (1e-3, "the float32 gradients differ by 3e-3; in float64 both agree"),
    ("matrix_exp", "float32"): (1e-3, "elements of 0.1 beside others of 1e4: 3e-4 is the rounding of the largest"),
}  # fmt: skip

#: (title, dtype) of which only the first result is compared
ONLY_FIRST: dict[tuple[str, str], str] = {
    (name, "int64"): "equal elements: which of their indices is returned is not determined"
    for name in ("topk", "kthvalue", "mode")
}

#: titles of which gradients are not compared
NO_GRADIENTS: dict[str, str] = {
    "as_strided_scatter": "PyTorch's gradient ignores that elements were overwritten (its own gradcheck fails)",
}

#: titles of which second gradients are not compared
ONLY_FIRST_ORDER: dict[str, str] = {
    "linalg.norm:subgradients_at_zero": "PyTorch's second gradient at zero is NaN",
    "nn.functional.ctc_loss": "PyTorch has no second gradient",
    "nn.functional.scaled_dot_product_attention": "PyTorch has no second gradient of its CPU kernel",
    "nn.functional.linear_cross_entropy:chunked": "PyTorch's second gradient of the chunked loss is zero",
    "nn.functional.linear_cross_entropy:chunked_none": "PyTorch's second gradient of the chunked loss is zero",
}

#: titles whose tensors cannot be non-contiguous
NEVER_STRIDED: dict[str, str] = {
    **dict.fromkeys(("as_strided", "as_strided_copy", "as_strided_scatter", "as_strided:partial_views"),
                    "counts positions in memory, which is not copied to our side"),
    "item": "one element",
    "native_group_norm": "PyTorch refuses them",
    "view_as_complex": "PyTorch refuses them",
    "linspace:tensor_overload": "tensors without dimensions",
    "logspace:tensor_overload": "tensors without dimensions",
}  # fmt: skip

#: titles with fewer than eight argument sets, or none with tensors
FEWER: dict[str, str] = dict.fromkeys(
    ("arange", "broadcast_shapes", "empty", "empty_permuted", "empty_strided", "eye", "full", "linspace", "logspace",
     "ones", "randint", "randn", "scalar_tensor", "tril_indices", "triu_indices", "zeros"), NO_TENSOR,
)  # fmt: skip
