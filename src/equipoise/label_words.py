"""Words that tables use for the positive class, the negative class, and for "no label"."""

from __future__ import annotations

__all__ = ["NEGATIVE_NAMES", "NO_LABELS", "POSITIVE_NAMES", "meaning", "no_label"]

POSITIVE_NAMES = frozenset({"positive", "positives", "pos", "face", "faces", "true", "yes"})
NEGATIVE_NAMES = frozenset({"negative", "negatives", "neg", "background", "false", "no"}) | frozenset(
    f"{no}face{s}" for no in ("non", "non-", "non_", "not_", "no_", "no") for s in ("", "s")
)
NO_LABELS = frozenset({"", "?", "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "null", "nat"})
"""What tables write where a label is missing, in any case; and "None", for none may be a class."""


def meaning(name: str) -> bool | None:
    """Whether a class name says that it is the positive class; None if it says nothing."""
    folded = name.strip().lower()
    return True if folded in POSITIVE_NAMES else False if folded in NEGATIVE_NAMES else None


def no_label(name: str) -> bool:
    """Whether a text is what tables write for "missing"."""
    return name.strip().lower() in NO_LABELS or name.strip() == "None"
