"""Distances between rows; they are functions of ``chainrule`` too."""

from __future__ import annotations

from chainrule.autograd.public import FUNCTIONS

cosine_similarity = FUNCTIONS["cosine_similarity"]
pairwise_distance = FUNCTIONS["pairwise_distance"]
pdist = FUNCTIONS["pdist"]
