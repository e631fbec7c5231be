"""The doubt in a number: one interval for each kind of number, used by every room.

- share of images (`Proportions`): exact; Clopper, Pearson 1934
- the same at an estimated threshold: exact, over the binomial doubt in the threshold
- difference of two models' shares on the same images (`Pairs`): decides as the exact McNemar test; McNemar 1947
- sum or difference of shares (`combination`): square-and-add; Zou, Donner 2008
- mean of the shares of several classes (`macro_average`), its difference: score interval, all moved together
- lowest share of several groups (`worst`), its difference: tests of each group; Berger 1982
- largest minus smallest share (`gap`), its difference: square-and-add over all pairs of groups
- variance over groups: limits by simulation
- mean of numbers in [0, 1] (`mean`): exact where they are 0 or 1; Gaffke 2005
- area under the ROC curve (`area`), its difference: score interval; DeLong et al. 1988, Newcombe 2006

All are two-sided with 95 %, 2.5 % on each side. An interval always holds its number. How often each of them holds the
truth is simulated by `benchmarks/interval_coverage.py` and written down in docs/coverage.md.
"""

from equipoise.intervals.areas import Ordered, area, area_difference
from equipoise.intervals.macro import macro_average, macro_difference
from equipoise.intervals.means import mean
from equipoise.intervals.pairs import Pairs
from equipoise.intervals.proportions import TAIL, Proportions, proportion
from equipoise.intervals.replicates import bias_corrected, held
from equipoise.intervals.several import (
    combination,
    gap,
    gap_difference,
    variance,
    variance_difference,
    worst,
    worst_difference,
)

__all__ = [
    "TAIL",
    "Ordered",
    "Pairs",
    "Proportions",
    "area",
    "area_difference",
    "bias_corrected",
    "combination",
    "gap",
    "gap_difference",
    "held",
    "macro_average",
    "macro_difference",
    "mean",
    "proportion",
    "variance",
    "variance_difference",
    "worst",
    "worst_difference",
]
