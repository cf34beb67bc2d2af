"""`explain`: the chain rule of a graph in words, formulas and numbers."""

from __future__ import annotations

import ast
import io
import re

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import formulas
from chainrule.autograd.explain import chain_rule, explain
from chainrule.autograd.op import OPS


def example():
    w = cr.tensor([1.0, 2.0], requires_grad=True)
    x = cr.tensor([[0.1, 0.2], [0.3, 0.4]])
    return ((x @ w).tanh() * 2 + w.sum()).mean(), w


def test_the_gradient_is_that_of_backward_and_nothing_is_touched():
    loss, w = example()
    found = chain_rule(loss, w, {"w": w})
    assert w.grad is None
    loss.backward()
    np.testing.assert_array_equal(found.gradient, w.grad.numpy(force=True))


def test_terms_into_one_tensor_add_up():
    loss, w = example()
    found = chain_rule(loss, w, {"w": w})
    into_w = [t.value for t in found.terms if t.argument == "w"]
    assert len(into_w) == found.path_count == len(found.paths) == 2
    np.testing.assert_allclose(sum(into_w), found.gradient)


def test_formulas_are_those_of_the_rules_with_the_names_of_the_graph():
    loss, w = example()
    formula = {t.operation: t.formula for t in chain_rule(loss, w, {"w": w}).terms}
    assert formula["tanh(v1)"] == "dL/dv2 * (1 - v2 * v2)"
    assert formula["mul(v2, 2)"] == "dL/dv3 * 2"
    assert formula["mean(v5)"] == "broadcast(1 / 2, (2,))"


def test_what_is_known_is_worked_out():
    x = cr.tensor([3.0, 4.0], requires_grad=True)
    (cube, total) = reversed(chain_rule((x**3).sum(), x, {"x": x}).terms)
    assert cube.formula == "dL/dv1 * (x ** 2 * 3)"
    assert total.formula == "broadcast(1, (2,))"


def test_text_and_latex_are_printed():
    loss, w = example()
    out = io.StringIO()
    explain(loss, w, {"w": w}, file=out)
    assert "2 paths from w to L" in out.getvalue()
    assert "dL/dw = dL/dv5 * dv5/dv3 * dv3/dv2 * dv2/dv1 * dv1/dw" in out.getvalue()
    out = io.StringIO()
    explain(loss, w, {"w": w}, format="latex", file=out)
    text = out.getvalue()
    assert text.startswith("\\begin{align*}")
    assert r"\frac{\partial L}{\partial v_{2}} \odot \left(1 - v_{2} \odot v_{2}\right)" in text
    assert text.count("{") == text.count("}")
    assert text.count(r"\left") == text.count(r"\right")


def test_intermediate_results_several_outputs_and_modules():
    model = cr.nn.Sequential(cr.nn.Linear(3, 4), cr.nn.Tanh())
    with cr.autograd.record_locations():
        h = model(cr.ones(2, 3))
        a, b = h.split(2, 1)
        loss = (a * b).sum()
    found = chain_rule(loss, h, model)
    assert found.path_count == 2
    assert any("[1]" in t.argument for t in found.terms)
    (step,) = [t for t in chain_rule(loss, model[0].weight, model).terms if t.operation.startswith("tanh")]
    assert step.module == "Sequential.1"
    assert step.where.startswith("test_explain.py:")


def test_many_paths_are_counted_not_written():
    x = cr.tensor(1.5, requires_grad=True)
    y = x
    for _ in range(40):
        y = y + y
    found = chain_rule(y, x, {"x": x})
    assert found.path_count == 2**40
    assert len(found.paths) == 8
    assert "more" in str(found)
    assert float(found.gradient) == 2.0**40


def test_a_deep_graph_needs_no_recursion():
    x = cr.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(3000):
        y = y * 1.0
    assert float(chain_rule(y, x).gradient) == 1.0


def test_errors_say_what_to_do():
    loss, w = example()
    with pytest.raises(RuntimeError, match="does not depend on wrt"):
        explain(loss, cr.ones(2, requires_grad=True))
    with pytest.raises(RuntimeError, match="does not require grad"):
        explain(loss, cr.ones(2))
    with pytest.raises(ValueError, match="format must be 'text' or 'latex'"):
        explain(loss, w, format="html")
    with pytest.raises(TypeError, match="wrt must be a Tensor"):
        explain(loss, 3)
    with pytest.raises(RuntimeError, match="scalar outputs"):
        explain(w * 2, w)
    loss.backward()
    with pytest.raises(RuntimeError, match="freed by a backward pass"):
        explain(loss, w)


@pytest.mark.host
def test_every_rule_has_a_formula_in_text_and_latex():
    for op in OPS.values():
        for argument, rule in op.rules.items():
            text = formulas.as_text(rule, {})
            assert text.strip()
            if formulas.rule_expression(rule) is not None:
                ast.parse(text)
            latex = formulas.as_latex(rule, {})
            assert latex.count("{") == latex.count("}"), (op, argument, latex)
            assert not re.search(r"\bxp\b", text), (op, argument, text)
