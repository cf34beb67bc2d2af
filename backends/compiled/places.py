"""Compiled loops over lists of places: maxima of irregular windows, and sums of a few weighted elements."""

from __future__ import annotations

from typing import Any

from chainrule.backends.compiled.jit import loop


@loop
def argmax(planes: Any, rows: Any, columns: Any, width: int, out: Any) -> None:
    """The place of the first maximum, or else of the last NaN, in each window of planes (P, H * W).

    A window is the product of a row of ``rows`` and a row of ``columns``; -1 in them stands for no place.
    """
    for p in range(planes.shape[0]):
        plane, at = planes[p], 0
        for r in range(rows.shape[0]):
            for q in range(columns.shape[0]):
                place, best = 0, plane[0]
                none = True
                for i in range(rows.shape[1]):
                    y = rows[r, i]
                    if y < 0:
                        continue
                    for j in range(columns.shape[1]):
                        x = columns[q, j]
                        if x < 0:
                            continue
                        value = plane[y * width + x]
                        if none | (value > best) | (value != value):
                            best, place, none = value, y * width + x, False
                out[p, at] = place
                at += 1
