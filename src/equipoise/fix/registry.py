"""The fixes by name. A new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from equipoise.errors import InputError
from equipoise.fix.afr import afr
from equipoise.fix.axes import Coefficients
from equipoise.fix.dfr import dfr, groups_equal
from equipoise.fix.errors_as_groups import errors_as_groups
from equipoise.fix.group_dro import group_dro
from equipoise.fix.jtt import jtt
from equipoise.fix.logit_adjustment import logit_adjustment, thresholds_a_class
from equipoise.fix.mended_errors import mended_errors
from equipoise.fix.plain import classes_equal, plain
from equipoise.fix.rarity import rarity
from equipoise.fix.rows import Known, Rows
from equipoise.fix.self_disagreement import self_disagreement
from equipoise.fix.slices import slices_as_groups

__all__ = ["FIXES", "Fix", "fix_named"]

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Fix:
    """A way to fit a last layer.

    Args:
        fit: Takes `Rows` and settings by name.
        tried: Settings that `choose` tries.
        needs: What must be known besides features and labels; "" if nothing.
        unasked: Whether `choose` tries it without being told to. What did not help where it was measured is not.
    """

    fit: Callable[..., Coefficients]
    tried: tuple[Settings, ...]
    needs: Literal["", "groups", "slices", "log_density"] = ""
    unasked: bool = True

    @property
    def needs_groups(self) -> bool:
        """Whether people must have said which group rows belong to."""
        return self.needs == "groups"

    def possible(self, known: Known) -> bool:
        """Whether what it needs is known."""
        return not self.needs or getattr(known, self.needs) is not None

    def __call__(self, rows: Rows, **settings: Any) -> Coefficients:
        return self.fit(rows, **settings)


def _grid(**values: tuple[Any, ...]) -> tuple[Settings, ...]:
    found: list[dict[str, Any]] = [{}]
    for name, some in values.items():
        found = [{**one, name: value} for one in found for value in some]
    return tuple(found)


STRENGTHS = (1e-4, 3e-4, 1e-3)
#: Name of a method for another last layer → the method.
FIXES: dict[str, Fix] = {
    "plain": Fix(plain, _grid(C=(1e-4, 1e-3, 1e-2))),
    "classes equal": Fix(classes_equal, _grid(C=(1e-4, 1e-3, 1e-2))),
    "thresholds a class": Fix(thresholds_a_class, _grid(C=(1e-3,))),
    "errors as groups": Fix(
        errors_as_groups, _grid(C1=(1e-4, 1e-3, 1e-2), equal=(False, True), C=STRENGTHS[:2])
    ),
    "mended errors": Fix(mended_errors, _grid(rounds=(2, 4), equal=(False, True), C=STRENGTHS[:1])),
    # Slices are found by errors of the very rows that a choice counts, so its merit is too high.
    "slices as groups": Fix(slices_as_groups, _grid(C=STRENGTHS), "slices", unasked=False),
    "rarity": Fix(rarity, _grid(C=STRENGTHS), "log_density"),
    "groups equal": Fix(groups_equal, _grid(C=STRENGTHS), "groups"),
    "DFR": Fix(dfr, _grid(C=(3e-4, 3e-3)), "groups"),
    "GroupDRO": Fix(group_dro, _grid(C=STRENGTHS[1:2]), "groups"),
    "logit adjustment": Fix(logit_adjustment, _grid(C=(1e-3,)), unasked=False),
    "JTT": Fix(jtt, _grid(factor=(5.0, 20.0, 100.0)), unasked=False),
    "AFR": Fix(afr, _grid(sharpness=(3.0, 6.0)), unasked=False),
    "SELF": Fix(self_disagreement, _grid(share=(0.1, 0.3)), unasked=False),
}


def fix_named(name: str) -> Fix:
    """The fix of a name.

    Raises:
        InputError: if there is none.
    """
    if name not in FIXES:
        raise InputError(f"Expected a method of {', '.join(FIXES)}; got {name!r}. Write one of them.")
    return FIXES[name]
