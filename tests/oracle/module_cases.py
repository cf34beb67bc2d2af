"""Arguments for layers, with which PyTorch's database is completed."""

from __future__ import annotations

import inspect

import torch
from moduleinfo import Recorded, Sample

# ---- arguments: functions of a dtype, so that a table is one for all -------------------------------------------------


def real(*shape, low=-2.0, high=2.0, grad=True):
    return lambda dtype: torch.empty(shape, dtype=dtype).uniform_(low, high).requires_grad_(grad)


def index(limit, *shape, low=0):
    return lambda dtype: torch.randint(low, limit, shape)


def signs(*shape):
    return lambda dtype: torch.randint(0, 2, shape).to(dtype) * 2 - 1


def distribution(*shape):
    return lambda dtype: torch.rand(shape, dtype=dtype).softmax(-1)


def ints(*values):
    return lambda dtype: torch.tensor(values)


def on(*inputs, **named):
    return inputs, named


def case(*args, inputs, **kwargs):
    """A layer ``(*args, **kwargs)`` and one call of it."""
    given, named = inputs
    return args, kwargs, given, named


def sample(entry, dtype):
    """The tensors of a case, in a dtype."""

    def made(value):
        return value(dtype) if getattr(value, "__module__", "") == __name__ and inspect.isfunction(value) else value

    args, kwargs, inputs, named = entry
    return Sample(
        tuple(map(made, args)), {k: made(v) for k, v in kwargs.items()},
        tuple(map(made, inputs)), {k: made(v) for k, v in named.items()},
    )  # fmt: skip


# ---- the table -------------------------------------------------------------------------------------------------------

SHAPES = ((3, 4), (5,), (), (2, 1, 3), (0, 3), (2, 3, 4, 2))

#: elementwise layers, with keyword arguments of their constructors; each is tried on all shapes
ELEMENTWISE = {
    "CELU": [{}, {"alpha": 2.0}, {"inplace": True}],
    "ELU": [{}, {"alpha": 0.5}, {"inplace": True}],
    "GELU": [{}, {"approximate": "tanh"}],
    "Hardshrink": [{}, {"lambd": 1.0}],
    "Hardsigmoid": [{}, {"inplace": True}],
    "Hardswish": [{}, {"inplace": True}],
    "Hardtanh": [{}, {"min_val": -0.5, "max_val": 1.5}, {"inplace": True}],
    "Identity": [{}, {"anything": 3}],
    "LeakyReLU": [{}, {"negative_slope": 0.2}, {"inplace": True}],
    "LogSigmoid": [{}],
    "Mish": [{}, {"inplace": True}],
    "PReLU": [{}, {"init": 0.1}],
    "ReLU": [{}, {"inplace": True}],
    "ReLU6": [{}, {"inplace": True}],
    "SELU": [{}, {"inplace": True}],
    "SiLU": [{}, {"inplace": True}],
    "Sigmoid": [{}],
    "Softplus": [{}, {"beta": 2.0}, {"threshold": 0.5}],
    "Softshrink": [{}, {"lambd": 1.0}],
    "Softsign": [{}],
    "Tanh": [{}],
    "Tanhshrink": [{}],
    "Threshold": [{"threshold": 0.5, "value": 3.0}, {"threshold": -0.5, "value": 1.0, "inplace": True}],
}

CASES = {name: [case(inputs=on(real(*s)), **k) for k in given for s in SHAPES] for name, given in ELEMENTWISE.items()}
CASES["PReLU"] += [case(3, inputs=on(real(2, 3))), case(3, 0.5, inputs=on(real(2, 3, 4)))]

X = real(2, 3, 4)
CASES |= {
    name: [case(d, inputs=on(X)) for d in (0, 1, 2, -1)]
    + [case(dim=0, inputs=on(real(5))), case(dim=1, inputs=on(real(2, 3, 4, 2)))]
    for name in ("Softmax", "Softmin", "LogSoftmax")
}
CASES["Softmax2d"] = [case(inputs=on(real(*s))) for s in ((2, 3, 4, 2), (3, 4, 2), (1, 1, 2, 2), (1, 5, 1, 1))]
CASES["GLU"] = [case(inputs=on(real(2, 4))), case(0, inputs=on(real(4, 3))), case(dim=1, inputs=on(real(2, 6, 3)))]
CASES["Linear"] = [
    case(3, 2, inputs=on(real(3))), case(3, 2, inputs=on(real(2, 4, 3))),
    case(3, 2, bias=False, inputs=on(X2 := real(4, 3))),
    case(1, 1, inputs=on(real(2, 1))), case(3, 5, inputs=on(real(0, 3))), case(3, 2, inputs=on(input=X2)),
]  # fmt: skip
CASES["LazyLinear"] = [
    case(2, inputs=on(real(3))), case(2, inputs=on(real(2, 4, 3))), case(2, bias=False, inputs=on(X2)),
    case(1, inputs=on(real(2, 1))), case(5, inputs=on(real(0, 3))), case(2, inputs=on(input=X2)),
]  # fmt: skip
CASES["Bilinear"] = [
    case(2, 3, 4, inputs=on(real(2), real(3))), case(2, 3, 4, inputs=on(real(5, 2), real(5, 3))),
    case(2, 3, 1, inputs=on(real(2, 5, 2), real(2, 5, 3))),
    case(2, 3, 4, bias=False, inputs=on(real(5, 2), real(5, 3))),
]  # fmt: skip
CASES["CosineSimilarity"] = [
    case(inputs=on(real(4, 3), real(4, 3))), case(0, inputs=on(real(4, 3), real(4, 3))),
    case(-1, inputs=on(real(4, 3), real(3))), case(dim=2, inputs=on(real(2, 3, 4), real(1, 3, 4))),
    case(eps=1.0, inputs=on(real(4, 3, low=-0.1, high=0.1), real(4, 3))), case(0, inputs=on(x1=real(4), x2=real(4))),
]  # fmt: skip
CASES["PairwiseDistance"] = [
    case(inputs=on(real(4, 3), real(4, 3))), case(1, inputs=on(real(4, 3), real(4, 3))),
    case(p=float("inf"), inputs=on(real(4, 3), real(3))), case(3.5, keepdim=True, inputs=on(X, real(1, 3, 4))),
    case(eps=0.1, inputs=on(real(4, 3), real(4, 3))), case(inputs=on(real(3), real(3))),
]  # fmt: skip
CASES["Flatten"] = [
    case(inputs=on(X)), case(0, inputs=on(X)), case(1, 1, inputs=on(X)), case(-2, inputs=on(X)),
    case(start_dim=0, end_dim=1, inputs=on(X)), case(inputs=on(real(2, 0, 3))),
]  # fmt: skip
CASES["Unflatten"] = [
    case(1, (3, 4), inputs=on(real(2, 12))), case(0, (2, 1), inputs=on(real(2, 12))),
    case(1, (-1, 4), inputs=on(real(2, 12))),
    case(-1, (2, 2), inputs=on(X)), case(dim=2, unflattened_size=[2, 2], inputs=on(X)),
    case(1, (3, 1, 1), inputs=on(X)),
]  # fmt: skip

#: (dimensions of a sample without its channels) -> shape of a batch
SPACE = {1: (4,), 2: (4, 3), 3: (4, 3, 2)}


def batch(d, *first, **options):
    return real(*first, *SPACE[d], **options)


NORM = [
    {}, {"affine": False}, {"track_running_stats": False}, {"momentum": 0.3, "eps": 1e-2}, {"momentum": None},
    {"affine": True, "bias": False}, {"affine": True, "track_running_stats": True},
]  # fmt: skip
for dims in (1, 2, 3):
    for lazy, first in (("", (3,)), ("Lazy", ())):
        CASES[f"{lazy}BatchNorm{dims}d"] = [case(*first, inputs=on(batch(dims, 2, 3)), **k) for k in NORM]
        kinds = [k for k in NORM if k.get("momentum", 0.1) is not None]
        CASES[f"{lazy}InstanceNorm{dims}d"] = [case(*first, inputs=on(batch(dims, 2, 3)), **k) for k in kinds]
        if not lazy:
            CASES[f"InstanceNorm{dims}d"] += [case(3, inputs=on(batch(dims, 3)), affine=True)]
CASES["BatchNorm1d"] += [case(3, inputs=on(real(4, 3)))]
CASES["LazyBatchNorm1d"] += [case(inputs=on(real(4, 3)))]
CASES["LayerNorm"] = [
    case(4, inputs=on(X)), case((3, 4), inputs=on(X)), case([4], bias=False, inputs=on(X)),
    case(4, 1e-2, inputs=on(real(4))),
    case(4, elementwise_affine=False, inputs=on(X)), case((2, 3, 4), inputs=on(X)), case(4, inputs=on(real(0, 4))),
]  # fmt: skip
CASES["RMSNorm"] = [
    case(4, inputs=on(X)), case((3, 4), inputs=on(X)), case([4], eps=1e-2, inputs=on(X)), case(4, inputs=on(real(4))),
    case(4, elementwise_affine=False, inputs=on(X)), case((2, 3, 4), 1e-5, inputs=on(X)),
]  # fmt: skip
CASES["GroupNorm"] = [
    case(2, 4, inputs=on(real(3, 4))), case(1, 4, inputs=on(real(3, 4, 2))), case(4, 4, inputs=on(real(3, 4, 2, 2))),
    case(2, 4, affine=False, inputs=on(real(3, 4, 5))), case(2, 4, bias=False, inputs=on(real(3, 4, 5))),
    case(2, 4, 0.1, inputs=on(real(1, 4, 2, 2, 2))),
]  # fmt: skip
CASES["LocalResponseNorm"] = [
    case(n, inputs=on(x)) for n in (1, 2, 3) for x in (real(2, 5, 3), real(2, 5, 3, 2))
] + [case(2, 1.0, 0.5, 2.0, inputs=on(real(2, 3, 2, 2, 2)))]  # fmt: skip
DROPOUT_INPUTS = {
    "Dropout": [real(3, 4), real(())], "Dropout1d": [real(2, 3, 4), real(3, 4)], "Dropout2d": [real(2, 3, 4, 2)],
    "Dropout3d": [real(2, 3, 2, 2, 2), real(3, 2, 2, 2)], "AlphaDropout": [real(3, 4), real(2, 3, 4)],
    "FeatureAlphaDropout": [real(2, 3, 4), real(2, 3, 4, 2)],
}  # fmt: skip
DROPOUT_INPUTS["Dropout"][1] = real()
for layer, found in DROPOUT_INPUTS.items():
    CASES[layer] = [case(p, inputs=on(x)) for p in (0.0, 1.0) for x in found]
    CASES[layer] += [case(p, inplace=True, inputs=on(found[0])) for p in (0.0, 1.0)]

#: what is random in training
IN_EVALUATION = {
    layer: [case(inputs=on(found[0])), case(0.3, inplace=True, inputs=on(found[0]))]
    for layer, found in DROPOUT_INPUTS.items()
}
IN_EVALUATION["RReLU"] = [
    case(inputs=on(real(*s)), **k) for s in SHAPES for k in ({}, {"lower": 0.2, "upper": 0.4}, {"inplace": True})
]

# ---- convolutions, pooling, padding and resampling -------------------------------------------------------------------

for dims in (1, 2, 3):
    for lazy, first in (("", (4,)), ("Lazy", ())):
        CASES[f"{lazy}Conv{dims}d"] = [
            case(*first, 6, 3, inputs=on(batch(dims, 2, 4)), **k)
            for k in (
                {"padding": 1}, {"padding": 1, "bias": False}, {"padding": 2, "stride": 2, "groups": 2},
                {"padding": "same", "dilation": 2}, {"padding": 1, "padding_mode": "replicate"},
                {"padding": 1, "padding_mode": "circular"}, {"padding": 1, "padding_mode": "reflect"} if dims < 3
                else {"padding": 2, "dilation": 2},
            )
        ]  # fmt: skip
        CASES[f"{lazy}ConvTranspose{dims}d"] = [
            case(*first, 6, 3, inputs=on(batch(dims, 2, 4)), **k)
            for k in (
                {}, {"padding": 1, "bias": False}, {"stride": 2, "output_padding": 1}, {"groups": 2}, {"dilation": 2},
                {"stride": 2, "padding": 1},
            )
        ]  # fmt: skip
    pooled = on(batch(dims, 2, 3))
    CASES[f"MaxPool{dims}d"] = [
        case(2, inputs=pooled), case(2, 1, inputs=pooled), case(2, padding=1, inputs=pooled),
        case(2, ceil_mode=True, inputs=pooled), case(2, stride=1, return_indices=True, inputs=pooled),
        case(1, dilation=2, inputs=pooled), case(2, inputs=on(batch(dims, 3))),
    ]  # fmt: skip
    CASES[f"AvgPool{dims}d"] = [
        case(2, inputs=pooled), case(2, 1, inputs=pooled), case(2, padding=1, inputs=pooled),
        case(2, ceil_mode=True, inputs=pooled), case(2, padding=1, count_include_pad=False, inputs=pooled),
        case(2, inputs=on(batch(dims, 3))),
    ]  # fmt: skip
    CASES[f"LPPool{dims}d"] = [
        case(p, 2, inputs=on(batch(dims, 2, 3, low=0.5)), **k)
        for p in (1, 2, 3.0) for k in ({}, {"stride": 1}, {"ceil_mode": True})
    ]  # fmt: skip
    for name in ("AdaptiveAvgPool", "AdaptiveMaxPool"):
        CASES[f"{name}{dims}d"] = [
            case(n, inputs=on(batch(dims, *first))) for n in (1, 2, 3) for first in ((2, 3), (3,))
        ]  # fmt: skip
    for name in ("ReflectionPad", "ReplicationPad", "ZeroPad", "CircularPad"):
        CASES[f"{name}{dims}d"] = [
            case(n, inputs=on(batch(dims, *first))) for n in (0, 1, (1, 0) * dims) for first in ((2, 3), (3,))
        ]  # fmt: skip
    CASES[f"ConstantPad{dims}d"] = [
        case(n, 2.5, inputs=on(batch(dims, *first))) for n in (1, (1, 0) * dims, -1) for first in ((2, 3), (3,))
    ] if dims < 3 else [
        case(n, 2.5, inputs=on(batch(dims, *first))) for n in (0, 1, (1, 0) * dims) for first in ((2, 3), (3,))
    ]  # fmt: skip


def unpooled(dims, **k):
    """The results of max pooling, as what is to be undone."""

    def at(dtype):
        x = torch.rand(2, 3, *(4,) * dims, dtype=dtype)
        return getattr(torch.nn.functional, f"max_pool{dims}d")(x, 2, return_indices=True, **k)

    def values(dtype):
        torch.manual_seed(3)
        return at(dtype)[0].requires_grad_()

    def places(dtype):
        torch.manual_seed(3)
        return at(dtype)[1]

    return on(values, places)


for dims in (1, 2, 3):
    CASES[f"MaxUnpool{dims}d"] = [
        case(2, inputs=unpooled(dims)), case(2, 2, inputs=unpooled(dims)), case((2,) * dims, inputs=unpooled(dims)),
        case(2, inputs=(unpooled(dims)[0], {"output_size": (5,) * dims})),
        case(2, inputs=(unpooled(dims)[0], {"output_size": (2, 3, *(4,) * dims)})),
        case(2, stride=2, padding=0, inputs=unpooled(dims)),
    ]  # fmt: skip
CASES["AvgPool2d"] += [case(2, divisor_override=3, inputs=on(batch(2, 2, 3)))]
RATIOS = {2: real(1, 3, 2, low=0, high=1, grad=False), 3: real(1, 3, 3, low=0, high=1, grad=False)}
for dims in (2, 3):
    CASES[f"FractionalMaxPool{dims}d"] = [
        case(2, output_size=2, _random_samples=RATIOS[dims], inputs=on(real(1, 3, *(5,) * dims))),
        case(2, output_ratio=0.5, _random_samples=RATIOS[dims], inputs=on(real(3, *(6,) * dims))),
    ]
CASES["Fold"] = [
    case((4, 5), 2, inputs=on(real(2, 12, 12))), case((4, 4), (2, 2), stride=2, inputs=on(real(2, 8, 4))),
    case((4, 5), 2, padding=1, stride=2, inputs=on(real(1, 4, 9))), case((4, 4), 2, inputs=on(real(4, 9))),
    case((5, 5), 2, dilation=2, inputs=on(real(1, 4, 9))),
    case(output_size=(3, 3), kernel_size=3, inputs=on(real(1, 9, 1))),
]  # fmt: skip
CASES["Unfold"] = [
    case(2, inputs=on(batch(2, 2, 3))), case((2, 3), inputs=on(batch(2, 2, 3))),
    case(2, padding=1, inputs=on(batch(2, 1, 2))),
    case(2, stride=2, inputs=on(batch(2, 2, 3))), case(2, dilation=2, inputs=on(batch(2, 2, 3))),
    case(kernel_size=1, inputs=on(batch(2, 3))),
]  # fmt: skip
CASES["PixelShuffle"] = [
    case(r, inputs=on(real(*n, 2 * r * r, 3, 2))) for r in (1, 2, 3) for n in ((), (2,), (2, 1))
]  # fmt: skip
CASES["PixelUnshuffle"] = [
    case(r, inputs=on(real(*n, 2, 3 * r, 2 * r))) for r in (1, 2, 3) for n in ((), (2,), (2, 1))
]  # fmt: skip
CASES["ChannelShuffle"] = [case(g, inputs=on(real(2, 6, *s))) for g in (1, 2, 3) for s in ((3, 2), (2, 3, 1))]
CASES["Upsample"] = [
    case(size=(5, 7), inputs=on(batch(2, 2, 3))), case(scale_factor=2, inputs=on(batch(1, 2, 3))),
    case(scale_factor=2, mode="bilinear", inputs=on(batch(2, 1, 2))),
    case(scale_factor=1.5, inputs=on(batch(2, 1, 2))),
    case(scale_factor=2, mode="bilinear", align_corners=True, inputs=on(batch(2, 1, 2))),
    case(scale_factor=(2.0, 3.0), mode="bicubic", inputs=on(batch(2, 1, 2))),
    case(7, mode="linear", inputs=on(batch(1, 2, 3))), case(3, mode="trilinear", inputs=on(batch(3, 1, 2))),
    case(scale_factor=1.7, mode="bilinear", recompute_scale_factor=True, inputs=on(batch(2, 1, 2))),
]  # fmt: skip
for name in ("UpsamplingNearest2d", "UpsamplingBilinear2d"):
    CASES[name] = [
        case(n, inputs=on(batch(2, *first, 2))) for n in (3, (5, 7)) for first in ((1,), (2,))
    ] + [case(scale_factor=n, inputs=on(batch(2, 2, 3))) for n in (2, (2, 3))]  # fmt: skip

# ---- embeddings, recurrent layers, transformers ----------------------------------------------------------------------

CASES["Embedding"] = [
    case(5, 3, inputs=on(index(5, 4))), case(5, 3, inputs=on(index(5, 2, 4))),
    case(5, 3, padding_idx=1, inputs=on(index(5, 9))),
    case(5, 3, padding_idx=-1, inputs=on(index(5, 9))), case(5, 3, max_norm=1.0, inputs=on(index(5, 4))),
    case(5, 3, max_norm=1.0, norm_type=1.0, inputs=on(index(5, 4))),
    case(5, 3, scale_grad_by_freq=True, inputs=on(index(5, 9))),
    case(5, 3, inputs=on(index(5))),
]  # fmt: skip
CASES["EmbeddingBag"] = [
    case(5, 3, mode=m, inputs=on(index(5, 2, 4))) for m in ("sum", "mean", "max")
] + [
    case(5, 3, mode="sum", inputs=on(index(5, 6), ints(0, 2, 2))), case(5, 3, inputs=on(index(5, 6), ints(0, 4))),
    case(5, 3, mode="sum", inputs=on(index(5, 6), ints(0, 3), real(6))),
    case(5, 3, mode="max", padding_idx=1, inputs=on(index(5, 6), ints(0, 3))),
    case(5, 3, include_last_offset=True, inputs=on(index(5, 6), ints(0, 3, 6))),
]  # fmt: skip
for name, hidden in (("RNNCell", 1), ("GRUCell", 1), ("LSTMCell", 2)):
    for bias in (True, False):
        state = real(4, 5) if hidden == 1 else None
        CASES.setdefault(name, []).extend(
            [case(3, 5, bias, inputs=on(real(4, 3))), case(3, 5, bias, inputs=on(real(3)))]
            + ([case(3, 5, bias, inputs=on(real(4, 3), state))] if state else [case(3, 2, bias, inputs=on(real(1, 3)))])
        )
CASES["RNNCell"] += [case(3, 5, nonlinearity="relu", inputs=on(real(4, 3)))]
DECODER = Recorded(torch.nn.TransformerDecoderLayer)
CASES["TransformerDecoder"] = [
    case(DECODER(4, 2, 8, 0.0, **k), n, inputs=on(real(3, 2, 4), real(5, 2, 4)))
    for k in ({}, {"norm_first": True}, {"activation": "gelu"}) for n in (1, 2)
]  # fmt: skip
for name in ("RNN", "GRU", "LSTM"):
    CASES[name] = [
        case(3, 4, inputs=on(real(5, 2, 3)), **k)
        for k in ({}, {"num_layers": 2}, {"bidirectional": True}, {"bias": False}, {"num_layers": 2,
        "bidirectional": True})
    ] + [case(3, 4, batch_first=True, inputs=on(real(2, 5, 3))), case(3, 4, inputs=on(real(5, 3)))]  # fmt: skip
CASES["LSTM"] += [case(3, 4, proj_size=2, inputs=on(real(5, 2, 3)))]

# ---- losses ----------------------------------------------------------------------------------------------------------

REDUCTIONS = ("mean", "sum", "none")


def reduced(inputs, *others):
    """A loss with each reduction, and with other keyword arguments."""
    return [case(reduction=r, inputs=inputs, **k) for k in ({}, *others) for r in REDUCTIONS]


SAME = on(real(4, 3), real(4, 3, grad=False))
PROBABILITIES = on(real(4, 3, low=0.1, high=0.9), real(4, 3, low=0, high=1, grad=False))
CASES |= {
    "MSELoss": reduced(SAME), "L1Loss": reduced(SAME), "SmoothL1Loss": reduced(SAME, {"beta": 0.5}),
    "HuberLoss": reduced(SAME, {"delta": 0.5}), "BCELoss": reduced(PROBABILITIES,
    {"weight": real(3, low=0, grad=False)}),
    "BCEWithLogitsLoss": reduced(
        on(real(4, 3), PROBABILITIES[0][1]), {"weight": real(3, low=0, grad=False)},
        {"pos_weight": real(3, low=0, grad=False)}
    ),
    "KLDivLoss": reduced(on(real(4, 3), distribution(4, 3)), {"log_target": True}),
    "PoissonNLLLoss": reduced(on(real(4, 3), real(4, 3, low=0, grad=False)), {"full": True}, {"log_input": True,
    "eps": 1e-3}),
    "GaussianNLLLoss": reduced(on(real(4, 3), real(4, 3, grad=False), real(4, 3, low=0.5)), {"full": True}),
    "HingeEmbeddingLoss": reduced(on(real(4, 3), signs(4, 3)), {"margin": 0.5}),
    "SoftMarginLoss": reduced(on(real(4, 3), signs(4, 3))),
    "MarginRankingLoss": reduced(on(real(4), real(4), signs(4)), {"margin": 0.5}),
    "CosineEmbeddingLoss": reduced(on(real(4, 3), real(4, 3), signs(4)), {"margin": 0.3}),
    "MultiLabelSoftMarginLoss": reduced(on(real(4, 3), PROBABILITIES[0][1]), {"weight": real(3, low=0, grad=False)}),
    "MultiMarginLoss": reduced(on(real(4, 3), index(3, 4)), {"p": 2, "margin": 0.5}),
    "MultiLabelMarginLoss": reduced(on(real(2, 3), lambda dtype: torch.tensor([[2, -1, 0], [0, 1, -1]]))),
    "TripletMarginLoss": reduced(on(real(4, 3), real(4, 3), real(4, 3)), {"p": 1.0, "swap": True}, {"margin": 0.1}),
    "TripletMarginWithDistanceLoss": reduced(
        on(real(4, 3), real(4, 3), real(4, 3)), {"swap": True, "margin": 0.5},
        {"distance_function": torch.nn.functional.pairwise_distance},
    ),
    "NLLLoss": reduced(on(real(4, 3), index(3, 4)), {"ignore_index": 1}, {"weight": real(3, low=0, grad=False)}),
    "NLLLoss2d": reduced(on(real(4, 3, 2, 2), index(3, 4, 2, 2)), {"ignore_index": 1}),
    "CrossEntropyLoss": reduced(on(real(4, 3), index(3, 4)), {"label_smoothing": 0.1}, {"ignore_index": 1}),
    "CTCLoss": reduced(
        on(
            lambda dtype: real(6, 2, 4)(dtype).detach().log_softmax(2).requires_grad_(),
            index(4, 2, 3, low=1), ints(6, 5), ints(3, 2),
        ),
        {"zero_infinity": True},
    ),
}  # fmt: skip
CASES["AdaptiveLogSoftmaxWithLoss"] = [
    case(6, 12, [4, 8], inputs=on(real(5, 6), index(12, 5)), **k) for k in ({}, {"div_value": 2.0},
    {"head_bias": True})
] + [case(6, 12, [3], inputs=on(real(5, 6), index(12, 5))),
case(6, 12, [2, 4, 6], inputs=on(real(5, 6), index(12, 5))),
     case(6, 12, [4], inputs=on(real(6), index(12)))]  # fmt: skip

#: layers whose samples in PyTorch's database are enough, or that are no layers to be called
ENOUGH_IN_THE_DATABASE: set[str] = {
    "LinearCrossEntropyLoss", "MultiheadAttention", "Transformer", "TransformerDecoderLayer", "TransformerEncoder",
    "TransformerEncoderLayer",
}  # fmt: skip
NOT_CALLED = {
    "Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "RNNBase", "RNNCellBase",
}  # fmt: skip

TOLERANCES = {
    "CELU": (1e-7, "PyTorch computes with 1 / alpha in float32"),
    "Hardsigmoid": (1e-7, "PyTorch computes with 1 / 6 in float32"),
}
