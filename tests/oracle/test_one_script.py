"""One script, run once with PyTorch's imports and once with ours: the same losses for 50 steps."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="compares with PyTorch (pip install 'chainrule[oracle]')")
pytestmark = pytest.mark.oracle

IMPORTS = {
    "torch": """
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset
""",
    "chainrule": """
import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F
import chainrule.optim as optim
from chainrule.utils.data import DataLoader, TensorDataset
""",
}

# `arrays(name, shape)` gives initial weights and data, the same for both
BEFORE = """
def start(model):
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            scale = 1.0 / max(1, p[0].numel() if p.dim() > 1 else 1) ** 0.5
            p.copy_(torch.tensor(arrays(i, tuple(p.shape))) * scale)
    return model

losses = []
"""

MLP_ADAM = """
class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 32)
        self.second = nn.Linear(32, 16)
        self.out = nn.Linear(16, 4)
        self.dropout = nn.Dropout(0.0)

    def forward(self, x):
        x = torch.tanh(self.hidden(x))
        x = self.dropout(F.relu(self.second(x)))
        return self.out(x)

model = start(MLP())
x = torch.tensor(arrays(100, (200, 20)))
y = (x @ torch.tensor(arrays(101, (20, 4)))).argmax(dim=1)
loader = DataLoader(TensorDataset(x, y), batch_size=40)
optimizer = optim.Adam(model.parameters(), lr=3e-3)
scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.7)
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
for epoch in range(10):
    model.train()
    for inputs, targets in loader:
        optimizer.zero_grad()
        loss = criterion(model(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    scheduler.step()
model.eval()
with torch.no_grad():
    final = (model(x).argmax(1) == y).float().mean().item()
"""

CNN_SGD = """
class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.Tanh(), nn.AvgPool2d(2),
        )
        self.head = nn.Linear(8 * 2 * 2, 3)

    def forward(self, x):
        return F.log_softmax(self.head(self.features(x).flatten(1)), dim=1)

model = start(CNN())
x = torch.tensor(arrays(200, (16, 1, 12, 12)))
y = torch.tensor(targets(16, 3))
optimizer = optim.SGD(model.parameters(), lr=0.02, momentum=0.9, nesterov=True, weight_decay=1e-4)
scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
for step in range(50):
    optimizer.zero_grad()
    loss = F.nll_loss(model(x), y)
    loss.backward()
    optimizer.step()
    scheduler.step()
    losses.append(loss.item())
model.eval()
final = F.nll_loss(model(x), y).item()
"""

PENALTY_RMSPROP = """
critic = start(nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.Softplus(), nn.Linear(16, 1)))
real = torch.tensor(arrays(300, (32, 6)))
fake = torch.tensor(arrays(301, (32, 6))) * 2 + 1
optimizer = optim.RMSprop(critic.parameters(), lr=1e-3, momentum=0.5)
for step in range(50):
    mixed = (0.3 * real + 0.7 * fake).requires_grad_(True)
    optimizer.zero_grad()
    (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    penalty = ((slope.norm(2, dim=1) - 1) ** 2).mean()
    loss = critic(fake).mean() - critic(real).mean() + 10 * penalty
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
final = penalty.item()
"""


def arrays(seed, shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def targets(count, classes):
    return np.random.default_rng(7).integers(0, classes, count)


def run(library, script):
    names = {"arrays": arrays, "targets": targets}
    exec(compile(IMPORTS[library] + BEFORE + script, f"<script with {library}>", "exec"), names)
    return np.array(names["losses"]), names["final"]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(MLP_ADAM, id="mlp-adam"),
        pytest.param(CNN_SGD, id="cnn-batchnorm-sgd"),
        pytest.param(PENALTY_RMSPROP, id="gradient-penalty-rmsprop"),
    ],
)
def test_same_losses(script):
    ours, final = run("chainrule", script)
    theirs, expected = run("torch", script)
    assert len(ours) == 50
    assert ours[-1] < 0.9 * ours[0]  # it learns
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(final, expected, rtol=1e-4, atol=1e-5)
