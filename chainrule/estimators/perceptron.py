"""The network behind the estimators, and the two ways to train it; tensors and arrays only, nothing of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import nn, optim
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "logistic": cr.sigmoid,
    "tanh": cr.tanh,
    "relu": F.relu,
}
#: from the last layer's values to what is predicted
OUTPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "logistic": cr.sigmoid,
    "softmax": lambda x: F.softmax(x, -1),
}


class Perceptron(nn.Module):
    """Linear layers with one activation between them, made of given weights.

    Args:
        coefs: for each layer an array (inputs, outputs).
        intercepts: for each layer an array (outputs).
        activation: a key of ``ACTIVATIONS``.
        output: a key of ``OUTPUTS``.
        device: where to compute; None is the default device.

    Example:
        >>> import numpy as np
        >>> model = Perceptron([np.ones((2, 1))], [np.zeros(1)], "relu", "identity")
        >>> model(cr.ones(3, 2, dtype=cr.float64)).shape
        (3, 1)
    """

    def __init__(
        self, coefs: list[Any], intercepts: list[Any], activation: str, output: str, device: Any = None
    ) -> None:
        super().__init__()
        self.activation, self.output = activation, output
        self.weights = nn.ParameterList([nn.Parameter(cr.tensor(c.T.copy(), device=device)) for c in coefs])
        self.biases = nn.ParameterList([nn.Parameter(cr.tensor(b, device=device)) for b in intercepts])

    def forward(self, x: Tensor) -> Tensor:
        """The values of the last layer, before the output's activation: (N, inputs) to (N, outputs)."""
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = F.linear(x, weight, bias)
            if i < last:
                x = ACTIVATIONS[self.activation](x)
        return x

    def predict(self, x: Tensor) -> Tensor:
        """What the output's activation makes of :meth:`forward`."""
        return OUTPUTS[self.output](self(x))

    def losses(self, x: Tensor, y: Tensor, alpha: float) -> tuple[Tensor, float]:
        """What is minimised, and what is reported as the loss.

        Both are means over the samples, plus the L2 penalty over the number of samples. Of several regression targets
        the reported loss is the mean, as in scikit-learn, but each is learned as if it were alone.
        """
        values = self(x)
        targets = values.shape[1]
        if self.output == "softmax":
            data = F.cross_entropy(values, y)
        elif self.output == "logistic":
            data = F.binary_cross_entropy_with_logits(values, y) * targets
        else:
            data = F.mse_loss(values, y) * (0.5 * targets)
        penalty = self.weights[0].square().sum()
        for weight in list(self.weights)[1:]:
            penalty = penalty + weight.square().sum()
        loss = data + penalty * (0.5 * alpha / x.shape[0])
        reported = loss.item()
        if self.output == "identity" and targets > 1:
            reported -= data.item() * (1 - 1 / targets)
        return loss, reported

    def arrays(self) -> tuple[list[Any], list[Any]]:
        """The weights as ``coefs`` and ``intercepts``."""
        # copies: what numpy() shows is trained on
        coefs = [w.numpy(force=True).T.copy() for w in self.weights]
        return coefs, [b.numpy(force=True).copy() for b in self.biases]


def make_optimizer(model: Perceptron, settings: dict[str, Any]) -> optim.Optimizer:
    """SGD or Adam for scikit-learn's settings.

    Example:
        >>> import numpy as np
        >>> model = Perceptron([np.ones((2, 1))], [np.zeros(1)], "relu", "identity")
        >>> type(make_optimizer(model, {"solver": "sgd", "learning_rate_init": 0.1, "momentum": 0.9,
        ...                             "nesterovs_momentum": True})).__name__
        'SGD'
    """
    lr = settings["learning_rate_init"]
    if settings["solver"] == "adam":
        betas = (settings["beta_1"], settings["beta_2"])
        return optim.Adam(model.parameters(), lr=lr, betas=betas, eps=settings["epsilon"])
    momentum = settings["momentum"]
    nesterov = bool(settings["nesterovs_momentum"] and momentum > 0)
    return optim.SGD(model.parameters(), lr=lr, momentum=momentum, nesterov=nesterov)


def to_arrays(state: Any) -> Any:
    """A state dict with NumPy arrays in the place of tensors, which any process can unpickle.

    Example:
        >>> to_arrays({"a": [cr.ones(1)]})
        {'a': [array([1.], dtype=float32)]}
    """
    if isinstance(state, Tensor):
        return state.numpy(force=True).copy()
    if isinstance(state, dict):
        return {k: to_arrays(v) for k, v in state.items()}
    return [to_arrays(v) for v in state] if isinstance(state, list) else state


def to_tensors(state: Any, device: Any = None) -> Any:
    """The inverse of :func:`to_arrays`.

    Example:
        >>> to_tensors(to_arrays({"a": [cr.ones(1)]}))
        {'a': [tensor([1.])]}
    """
    if isinstance(state, np.ndarray):
        return cr.tensor(state, device=device)
    if isinstance(state, dict):
        return {k: to_tensors(v, device) for k, v in state.items()}
    return [to_tensors(v, device) for v in state] if isinstance(state, list) else state


def minimize_lbfgs(model: Perceptron, x: Tensor, y: Tensor, alpha: float, **options: Any) -> Any:
    """Minimise the loss over all samples by SciPy's L-BFGS-B; gives SciPy's result, the model keeps the weights.

    Example:
        >>> import numpy as np
        >>> model = Perceptron([np.ones((1, 1))], [np.zeros(1)], "relu", "identity")
        >>> x = cr.tensor([[1.0], [2.0]], dtype=cr.float64)
        >>> round(float(minimize_lbfgs(model, x, 3 * x, 0.0).fun), 6)
        0.0
    """
    from scipy.optimize import minimize

    parameters = list(model.parameters())

    def assign(flat: Any) -> None:
        start = 0
        with cr.no_grad():
            for p in parameters:
                piece = flat[start : start + p.numel()].reshape(tuple(p.shape))
                p.copy_(cr.tensor(piece, dtype=p.dtype, device=p.device))
                start += p.numel()

    def flat(tensors: Any) -> Any:
        return np.concatenate([t.numpy(force=True).ravel() for t in tensors]).astype(np.float64)

    def objective(weights: Any) -> tuple[float, Any]:
        assign(weights)
        loss, _ = model.losses(x, y, alpha)
        return loss.item(), flat(cr.autograd.grad(loss, parameters))

    result = minimize(objective, flat([p.detach() for p in parameters]), method="L-BFGS-B", jac=True, options=options)
    assign(result.x)
    return result
