"""Hyperplanes, edits and pairs on a page, and where the generated images are from."""

from __future__ import annotations

from equipoise.report.augment.record import AugmentRecord
from equipoise.report.parts import tables, words
from equipoise.report.parts.tables import Cell, Column, Table

__all__ = ["edits", "generator", "pairs", "planes", "protected"]

CLOSE = 0.8  # |cosine| with the target's hyperplane from which on the page warns


def planes(record: AugmentRecord) -> Table:
    """How well each hyperplane separates, and whether it stands apart from the target's."""
    target, rows = record.target, []
    for name, plane in record.planes.items():
        cosine = record.pairs.cosines.get(name)
        close = name != target and cosine is not None and abs(cosine) >= CLOSE
        rows.append(
            [
                tables.name(
                    name,
                    tag="nearly the target’s" if close else "",
                    quiet=("target",) if name == target else (),
                ),
                tables.spread(plane.auroc, 3),
                tables.share(plane.accuracy),
                tables.share(tables.known(plane.share)),
                Cell("–") if name == target else tables.number(cosine, 2),
            ]
        )
    heads = [
        Column("Hyperplane of", numeric=False),
        Column("AUROC"),
        Column("Accuracy"),
        Column("Generated images on its positive side"),
        Column(f"Cosine with that of {target}"),
    ]
    return Table("How well the hyperplanes separate", heads, rows)


def edits(record: AugmentRecord) -> Table:
    """What the edits did, in the eyes of the classifiers."""
    found = record.pairs
    wanted = {True: "changes", False: "stays"}
    rows = [
        [tables.name(record.target), Cell("stays"), tables.share(found.target_kept.complement)],
        *(
            [tables.name(name), Cell(wanted[name in record.protected]), tables.share(rate)]
            for name, rate in found.changed.items()
        ),
        [
            tables.name("both" if len(found.changed) == 1 else "all"),
            Cell("as meant"),
            tables.share(found.as_meant),
        ],
    ]
    heads = [
        Column("Attribute", numeric=False),
        Column("Wanted", numeric=False),
        Column("Pairs that changed side, or are as meant"),
    ]
    return Table("What the edits did", heads, rows)


def pairs(record: AugmentRecord) -> Table:
    """How many pairs, and how."""
    found = record.pairs
    return tables.pairs(
        "Pairs",
        {
            "pairs trained on": f"{found.count:,}",
            "which": "those that are as meant" if found.keep == "as-meant" else "all",
            "variant": found.variant,
            "generated, of the images trained on": words.percent(found.share),
            "folder": found.table,
        },
    )


def protected(record: AugmentRecord) -> Table:
    """Which sides the pairs differ in, and who says so."""
    rows = [
        [
            tables.name(name, quiet=("annotated" if one.found == "annotated" else "discovered",)),
            Cell(" | ".join(one.sides), mark="prose"),
            Cell(one.found, mark="prose"),
            Cell(
                "; ".join(f"{other} {words.decimal(v, 2)}" for other, v in one.agreement.items()) or "–",
                mark="prose",
            ),
            tables.share(one.classifier_accuracy),
        ]
        for name, one in record.protected.items()
    ]
    heads = [
        *(
            Column(text, numeric=False)
            for text in ("Protected", "Sides, negative | positive", "Known from", "Agreement, Cramér’s V")
        ),
        Column("Accuracy of f_g, cells counting equally"),
    ]
    return Table("Protected attributes", heads, rows)


def generator(record: AugmentRecord) -> Table:
    """Where generated images are from."""
    one = record.generator
    made = {
        "source": one.source,
        "trained": "by this run" if one.trained_here else "before, elsewhere",
        "steps": "not recorded" if one.steps is None else f"{one.steps:,}",
        "training": "not recorded" if one.seconds is None else words.duration(one.seconds),
        "latents": f"{one.latent} numbers",
        "images": f"{one.image_size}×{one.image_size}",
    }
    return tables.pairs("Generator", made)
