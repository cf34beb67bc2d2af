"""Every row of the peer benchmark computes the same in JAX and here; JAX runs in the benchmark's own process."""

from __future__ import annotations

import importlib.util

import pytest

import chainrule as cr
from chainrule.benchmarks.overhead import compare
from chainrule.benchmarks.peer_rows import rows
from chainrule.benchmarks.peers import Peer

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(
        importlib.util.find_spec("jax") is None, reason="JAX is not installed (pip install 'chainrule[bench]')"
    ),
]


@pytest.fixture(scope="module")
def jax():
    with Peer("jax", threads=1, quick=True) as peer:
        yield peer


def test_every_row_has_a_twin(jax):
    assert jax.ask("names") == [row.name for row in rows()]


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: row.name)
def test_losses_agree(jax, row):
    ours, theirs = row.build(cr, True), jax.ask("build", row.name)
    assert len(theirs) == 3
    compare(row.name, [ours().item() for _ in theirs], theirs)


def test_a_row_that_is_missing_is_named(jax):
    with pytest.raises(RuntimeError, match=r"jax has no row 'nothing'; it has xor_sgd, "):
        jax.ask("build", "nothing")


def test_a_step_is_timed(jax):
    jax.ask("build", "xor_sgd")
    assert 0 < jax.ask("block", 0.0, 0.001) < 1
