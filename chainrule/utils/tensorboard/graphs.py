"""The recorded graph of a model as TensorFlow's GraphDef, which TensorBoard draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.autograd.graph import Graph, NodeRecord, record_graph
from chainrule.autograd.location import record_locations
from chainrule.autograd.modes import enable_grad
from chainrule.autograd.random import get_rng_state, set_rng_state
from chainrule.autograd.tensor import Tensor
from chainrule.utils.tensorboard.protobuf import data, integer


def _attribute(name: str, value: bytes) -> bytes:
    return data(5, data(1, name) + data(2, value))


def _shape(shape: Sequence[int]) -> bytes:
    return b"".join(data(2, integer(1, n)) for n in shape)


def _names(nodes: Sequence[NodeRecord]) -> dict[int, str]:
    """A unique path for each node: those of one module stand in one group."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for node in nodes:
        parts = [*(node.module or "").split("."), *(node.name.split(".") if node.kind == "leaf" else [node.name])]
        path = "/".join(part.replace(" ", "_") for part in parts if part)
        name, n = path, 1
        while name in taken:
            name, n = f"{path}_{n}", n + 1
        taken.add(name)
        names[node.id] = name
    return names


def graph_def(graph: Graph) -> bytes:
    """The GraphDef of a recorded graph.

    Example:
        >>> import chainrule as cr
        >>> w = cr.ones(3, requires_grad=True)
        >>> b"mul" in graph_def(record_graph((w * 2).sum(), {"w": w}))
        True
    """
    names, inputs, content = _names(graph.nodes), graph.inputs(), b""
    for node in graph.nodes:
        kind = {"op": node.name, "leaf": "Parameter", "result": "Result"}[node.kind]
        message = data(1, names[node.id]) + data(2, kind)
        for edge in inputs[node.id]:
            message += data(3, names[edge.source] + (f":{edge.output_index}" if edge.output_index else ""))
        message += data(4, node.device or "")
        details = {**node.attributes, **({"dtype": node.dtype} if node.dtype else {})}
        if details:
            message += _attribute("attr", data(2, ", ".join(f"{k}={v}" for k, v in details.items())))
        if node.shape is not None:
            message += _attribute("_output_shapes", data(1, data(7, _shape(node.shape))))
        content += data(1, message)
    return content + data(4, integer(1, 22))  # the version of the format


def model_graph(model: Any, inputs: Any) -> Graph:
    """The graph of one forward pass in evaluation mode; the model and the random numbers are left as they were.

    Raises:
        TypeError: there are no inputs, or the result holds no tensor.
        RuntimeError: nothing in the result requires grad.

    Example:
        >>> import chainrule as cr
        >>> graph = model_graph(cr.nn.Linear(2, 1), cr.ones(1, 2))
        >>> [node.name for node in graph.nodes]
        ['input', 'weight', 'bias', 'linear', 'result']
    """
    given = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
    if inputs is None or not given:
        raise TypeError("add_graph: input_to_model is needed: the model runs once to be recorded")
    tracked = [
        t.detach().requires_grad_() if isinstance(t, Tensor) and t.is_floating_point() else t for t in given
    ]
    named: dict[str, Any] = {f"input{i or ''}": t for i, t in enumerate(tracked) if isinstance(t, Tensor)}
    named.update(dict(model.named_parameters()))
    training = [(module, module.training) for module in model.modules()]
    random = get_rng_state()
    try:
        model.eval()
        with record_locations(), enable_grad():
            result = model(*tracked)
    finally:
        set_rng_state(random)
        for module, mode in training:
            module.training = mode
    found = _tensors(result)
    if not found:
        raise TypeError(f"add_graph: the model's result holds no tensor: {type(result).__name__}")
    recorded = [t for t in found if t.requires_grad]
    if not recorded:
        raise RuntimeError("add_graph: nothing in the model's result requires grad, so nothing was recorded")
    return record_graph(recorded, named)


def _tensors(result: Any) -> list[Tensor]:
    found, waiting = [], [result]
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, (tuple, list)):
            waiting += value
    return found
