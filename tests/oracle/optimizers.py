"""The optimizers and settings that are compared with PyTorch, and the parameters that they move."""

from __future__ import annotations

import numpy as np
import torch

import chainrule as cr

#: PyTorch's name -> at least six settings
CONFIGURATIONS = {
    "SGD": [
        {"lr": 0.1},
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
        {"lr": 0.01, "maximize": True, "weight_decay": 0.1},
        {"lr": 0.01, "momentum": 0.5, "dampening": 0.5, "maximize": True, "weight_decay": 0.1},
    ],
    "ASGD": [
        {"lr": 0.01},
        {"lr": 0.1, "lambd": 0.1},
        {"lr": 0.1, "t0": 3},
        {"lr": 0.1, "lambd": 1e-2, "alpha": 0.5, "t0": 0},
        {"lr": 0.01, "weight_decay": 0.1},
        {"lr": 0.01, "weight_decay": 0.1, "maximize": True, "t0": 2, "lambd": 0.05},
    ],
    "Adam": [
        {"lr": 0.01},
        {"lr": 0.01, "betas": (0.5, 0.9), "eps": 1e-4, "weight_decay": 0.1},
        {"lr": 0.01, "amsgrad": True},
        {"lr": 0.01, "maximize": True},
        {"lr": 0.01, "weight_decay": 0.3, "decoupled_weight_decay": True},
        {"lr": 0.01, "weight_decay": 0.3, "amsgrad": True, "maximize": True, "betas": (0.0, 0.99)},
    ],
    "AdamW": [
        {"lr": 0.01},
        {"lr": 0.01, "weight_decay": 0.3, "amsgrad": True, "maximize": True},
        {"lr": 0.01, "weight_decay": 0.0},
        {"lr": 0.01, "betas": (0.5, 0.9), "eps": 1e-4},
        {"lr": 0.01, "amsgrad": True},
        {"lr": 0.1, "maximize": True},
    ],
    "Adamax": [
        {"lr": 0.01},
        {"lr": 0.01, "betas": (0.5, 0.9)},
        {"lr": 0.01, "eps": 0.1},
        {"lr": 0.01, "weight_decay": 0.1},
        {"lr": 0.01, "maximize": True},
        {"lr": 0.1, "maximize": True, "weight_decay": 0.1, "betas": (0.0, 0.5)},
    ],
    "NAdam": [
        {"lr": 0.01},
        {"lr": 0.01, "betas": (0.5, 0.9), "momentum_decay": 0.1},
        {"lr": 0.01, "weight_decay": 0.1},
        {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True},
        {"lr": 0.01, "maximize": True, "eps": 1e-3},
        {"lr": 0.01, "maximize": True, "weight_decay": 0.1, "momentum_decay": 0.0},
    ],
    "RAdam": [
        {"lr": 0.01},
        {"lr": 0.01, "betas": (0.5, 0.9)},
        {"lr": 0.01, "weight_decay": 0.1},
        {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True},
        {"lr": 0.01, "maximize": True, "eps": 1e-3},
        {"lr": 0.01, "maximize": True, "weight_decay": 0.1, "betas": (0.9, 0.99)},
    ],
    "RMSprop": [
        {"lr": 0.01},
        {"lr": 0.01, "centered": True, "momentum": 0.5, "alpha": 0.9},
        {"lr": 0.01, "weight_decay": 0.1, "eps": 1e-3, "maximize": True},
        {"lr": 0.01, "momentum": 0.9},
        {"lr": 0.01, "centered": True},
        {"lr": 0.01, "centered": True, "momentum": 0.1, "weight_decay": 0.1},
    ],
    "Rprop": [
        {"lr": 0.01},
        {"lr": 0.1, "etas": (0.2, 1.5)},
        {"lr": 0.1, "step_sizes": (0.05, 0.15)},
        {"lr": 0.01, "maximize": True},
        {"lr": 1e-7},
        {"lr": 0.1, "etas": (0.9, 1.1), "step_sizes": (1e-3, 1.0), "maximize": True},
    ],
    "Adagrad": [
        {"lr": 0.1},
        {"lr": 0.1, "lr_decay": 0.1},
        {"lr": 0.1, "initial_accumulator_value": 0.5},
        {"lr": 0.1, "weight_decay": 0.1},
        {"lr": 0.1, "eps": 0.1, "maximize": True},
        {"lr": 0.1, "maximize": True, "weight_decay": 0.1, "lr_decay": 0.5},
    ],
    "Adadelta": [
        {},
        {"lr": 10.0, "rho": 0.5},
        {"lr": 10.0, "eps": 1e-2},
        {"weight_decay": 0.1},
        {"maximize": True},
        {"lr": 10.0, "maximize": True, "weight_decay": 0.1},
    ],
    "Adafactor": [
        {},
        {"lr": 0.1, "beta2_decay": -0.3},
        {"lr": 0.1, "eps": (1e-2, 1e-2)},
        {"lr": 0.1, "weight_decay": 0.1},
        {"lr": 0.1, "d": 2.0, "maximize": True},
        {"lr": 0.5, "weight_decay": 0.1, "maximize": True, "eps": (None, 1.0)},
    ],
    "Muon": [
        {"lr": 0.01},
        {"lr": 0.01, "nesterov": False},
        {"lr": 0.01, "momentum": 0.5, "weight_decay": 0.0},
        {"lr": 0.01, "adjust_lr_fn": "match_rms_adamw"},
        {"lr": 0.01, "adjust_lr_fn": "original", "ns_steps": 3},
        {"lr": 0.01, "ns_coefficients": (2.0, -1.5, 0.5), "ns_steps": 10, "eps": 1e-3},
    ],
}
CASES = [(name, options) for name, settings in CONFIGURATIONS.items() for options in settings]
#: PyTorch takes complex parameters of these
COMPLEX = [(name, options) for name, options in CASES if name not in ("Adafactor", "Muon")]
#: small ones are joined, one is above that limit, one large enough to be updated in blocks where those are small
SHAPES = [(3, 2), (2,), (), (0, 3), (130, 130), (5, 1, 2)]


def shapes_for(name):
    """Shapes that PyTorch's optimizer takes."""
    if name == "Muon":
        return [(3, 2), (2, 5), (1, 4), (40, 30)]
    return [s for s in SHAPES if 0 not in s] if name == "Adafactor" else SHAPES


def values(i, shape, step=0, dtype="float64"):
    rng = np.random.default_rng((i, step))
    if dtype.startswith("complex"):
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    return rng.normal(size=shape).astype(dtype)


def both(dtype="float64", shapes=SHAPES):
    """The same parameters here and in PyTorch."""
    found = [values(i, s, dtype=dtype) for i, s in enumerate(shapes)]
    return [cr.tensor(v, requires_grad=True) for v in found], [torch.tensor(v, requires_grad=True) for v in found]


def set_grads(ours, theirs, step, dtype="float64", without=()):
    for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
        g = values(i + 100, tuple(p.shape), step, dtype)
        p.grad = None if i in without else cr.tensor(g)
        q.grad = None if i in without else torch.tensor(g)


def agree(ours, theirs, rtol=1e-10):
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(force=True), q.detach().numpy(), rtol=rtol, atol=rtol)


def agree_states(a, b, rtol=1e-9):
    mine, theirs = a.state_dict(), b.state_dict()
    assert mine["param_groups"] == theirs["param_groups"]
    assert set(mine["state"]) == set(theirs["state"])
    for i, entries in theirs["state"].items():
        assert [k for k, v in entries.items() if v is not None] == list(mine["state"][i])
        for name, value in entries.items():
            if value is not None:
                found = mine["state"][i][name]
                assert found.shape == value.shape
                np.testing.assert_allclose(found.numpy(force=True), value.numpy(), rtol=rtol, atol=1e-12)
