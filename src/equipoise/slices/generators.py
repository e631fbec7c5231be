"""The generators of candidates; another one is a file and a line here."""

from __future__ import annotations

from equipoise.slices.alike import alike
from equipoise.slices.candidates import Generator
from equipoise.slices.clusters import clusters
from equipoise.slices.context import context
from equipoise.slices.error_aware import error_aware
from equipoise.slices.intersections import intersections
from equipoise.slices.pulled import pulled

__all__ = ["GENERATORS"]

GENERATORS: tuple[Generator, ...] = (clusters, pulled, context, intersections, error_aware, alike)
