"""Hidden groups of images that a model fails on: found on one half of the images, tested on the other.

Needs features and what a model said, not the model: `find`. Candidates come from generators, a file each.
"""

from equipoise.slices.find import Options, find
from equipoise.slices.found import Found
from equipoise.slices.slice import ClassSummary, ColumnValue, Slice
from equipoise.slices.words import Word, words

__all__ = ["ClassSummary", "ColumnValue", "Found", "Options", "Slice", "Word", "find", "words"]
