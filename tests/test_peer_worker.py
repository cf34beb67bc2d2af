"""A library of the peer benchmark in its own process: which rows it has, and what it says of others."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import pytest

from chainrule.benchmarks import peer_rows, peer_rows_jax
from chainrule.benchmarks.peers import Peer

pytestmark = pytest.mark.host
NAMES = [row.name for row in peer_rows.rows()]


def test_a_worker_names_its_rows_and_those_that_it_lacks():
    with Peer("chainrule", threads=1, quick=True) as peer:
        assert peer.ask("names") == NAMES
        for method in ("build", "memory"):
            with pytest.raises(RuntimeError, match=r"ValueError: chainrule has no row 'nothing'; it has xor_sgd, "):
                peer.ask(method, "nothing")
        assert len(peer.ask("build", "xor_sgd")) == 3  # it goes on


def test_the_rows_in_jax_are_listed_where_jax_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    spec = importlib.util.find_spec(peer_rows_jax.__name__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.jax is None
    assert [row.name for row in module.rows()] == NAMES
