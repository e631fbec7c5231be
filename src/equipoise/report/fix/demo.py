"""What the demo says on the terminal: whom the network fails, what the fix is, and what it changed."""

from __future__ import annotations

from equipoise.report.fix.record import AFTER, BEFORE, FixRecord
from equipoise.report.fix.words import fix_headline, subject, trait, worst
from equipoise.report.parts import words
from equipoise.report.parts.choice import LEFT
from equipoise.report.parts.terminal import aligned, blocks, number, short, wrapped

__all__ = ["demo_text"]

SHOWN = 4  # slices


def demo_text(record: FixRecord) -> str:
    """Find, fix, prove: in under 25 lines, from the numbers of the run alone."""
    return blocks([f"{fix_headline(record).title}.", _found(record), _proven(record)])


def _found(record: FixRecord) -> str:
    before = record.models[BEFORE].numbers
    right = (
        f"Find: the network is right on {words.percent(before.accuracy.value)} of {before.n:,} test pictures."
    )
    if not record.slices:
        return wrapped(f"{right} {record.slices_note}")
    rows = [
        [
            short(one.name, 24),
            f"{one.images:,}",
            number(one.before, 100, 0),
            number(one.after, 100, 0),
            number(one.change, 100, 0),
            "; ".join(map(trait, one.traits[:1])),
        ]
        for one in record.slices[:SHOWN]
    ]
    said = wrapped(f"{right} These hidden groups, which nobody told it about, it gets wrong in (percent):")
    return "\n".join(
        [said, *aligned(["slice", "pictures", "before", "fixed", "change", "looked at last"], rows, [])]
    )


def _proven(record: FixRecord) -> str:
    choice, attribute = record.choice, subject(record)
    chosen = "no other last layer was clearly better" if choice.method == LEFT else choice.told
    whom = "the worst class" if attribute is None else f"the worst cell of class and {attribute}"
    rows = []
    for name, model in record.models.items():
        where, rate = worst(model.numbers, attribute)
        title = "fixed" if model.role == AFTER else short(model.title, 26)
        row = [title, words.decimal(100 * model.numbers.accuracy.value), "", short(where, 22)]
        row += [words.decimal(100 * rate.value), ""]
        if name in record.comparisons.differences:
            change = record.comparisons.differences[name]
            cell = change.worst_class if attribute is None else change.worst_cell[attribute]
            row[2], row[5] = number(change.accuracy, 100, 1), number(cell, 100, 1)
        rows.append(row)
    lines = [
        f"Fix: {chosen}; without any group label, on {_fixed_on(record):,} other pictures.",
        f"Proof: right in percent of all test pictures, and of {whom}; changes are paired, with 95 % intervals.",
    ]
    heads = ["last layer", "all", "change", "worst cell", "right", "change"]
    return "\n".join([*map(wrapped, lines), *aligned(heads, rows, [])])


def _fixed_on(record: FixRecord) -> int:
    """Pictures that last layers were fitted on."""
    return sum(record.data.counts["train"].values())
