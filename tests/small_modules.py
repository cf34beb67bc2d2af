"""A module with parameters and buffers of its own and of its parts, for tests of modules."""

from __future__ import annotations

import chainrule as cr
from chainrule import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(cr.ones(2))
        self.register_buffer("seen", cr.zeros(1))
        self.register_buffer("scratch", cr.zeros(1), persistent=False)

    def forward(self, x):
        return x * self.weight


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Block()
        self.rest = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        self.scale = nn.Parameter(cr.tensor(2.0))

    def forward(self, x):
        return self.rest(self.first(x)) * self.scale
