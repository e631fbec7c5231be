"""What the numbers of an audit say, in words that claim no more than the intervals allow."""

from __future__ import annotations

from equipoise.report.audit.record import AuditedModel, AuditRecord, RiskRecord
from equipoise.report.audit.slices import slices_text, slices_title
from equipoise.report.parts import words
from equipoise.report.parts.terminal import aligned, blocks, number, short, wrapped

__all__ = [
    "AUDIT_LIMITS",
    "ENRICHMENT",
    "KIND_WORDS",
    "accuracy_line",
    "audit_headline",
    "audit_text",
    "best_risk",
]

KIND_WORDS = {
    "representation": "how rarely such an image occurs in what the methods learned from",
    "epistemic": "what the model has not learned",
    "aleatoric": "noise that more training does not remove",
    "label noise": "how much speaks against the given label",
    "picture quality": "how bad the picture is, whatever it shows",
}
AUDIT_LIMITS = (
    "That a risk is the reason of an error. It says where to look.",
    "That an image with low risk is right. Every risk misses some errors; the curves show how many.",
    "How the model does on new images, if it was trained on these. Then its errors here are too few, and its risks "
    "too low: audit images that it has not seen.",
    "That a prediction is wrong where it differs from the given label. Labels err too, and all accuracies here are "
    "agreement with them.",
    "That a label is wrong or a picture useless. Percentile thresholds name the most suspicious images, of a clean "
    "set too. Somebody has to look before anything is changed or dropped.",
    "That a group without a mark is as well represented as others. Small groups show only large differences.",
    "Why a hidden group fails, or that none is left where none was found. Half of the images found it and half tested "
    "it; a kind of image that the features do not tell from others is not found at any size.",
    "That each marked difference is an effect. The intervals are not corrected for how many there are: of forty "
    "differences without any effect, about two look like one.",
)
ENRICHMENT = (
    "Enrichment is how often a group would be drawn, against how often it occurs, if images were drawn one at a time "
    "by this risk among images of the same label, at effective sample size 0.5. Batches that hold much of a label draw "
    "nearer to uniform."
)
NAMED = 5  # groups that a sentence names
SURE = ("representation", "epistemic", "aleatoric")


def accuracy_line(model: AuditedModel) -> str:
    """What comes first: the model as it was found, to be compared with what is known of it."""
    found, balanced = model.accuracy, model.balanced_accuracy
    line = f"accuracy {words.percent(found.value)} ({words.interval(found)})"
    if words.percent(balanced.value) != words.percent(found.value):
        line += f", {words.percent(balanced.value)} with classes weighted equally"
    if model.expected_accuracy is None:
        return f"{line}: is that what you know of this model?"
    agrees = found.low <= model.expected_accuracy <= found.high
    return (
        f"{line}: {'as expected' if agrees else 'not as expected'}, {words.percent(model.expected_accuracy)}"
    )


def best_risk(record: AuditRecord) -> RiskRecord | None:
    """The risk that finds wrong predictions best, without seeing labels; None if none can be told."""
    able = [one for one in record.risks.values() if one.kind in SURE and one.finds_errors.defined]
    return max(able, key=lambda one: one.finds_errors.value, default=None)


def audit_headline(record: AuditRecord) -> tuple[str, list[str]]:
    """The title of an audit, and what it found, sentence by sentence."""
    accuracy, best = record.model.accuracy, best_risk(record)
    sentences = [
        f"The model ({record.model.title}) is right on {words.percent(accuracy.value)} "
        f"({words.interval(accuracy)}) of {accuracy.n:,} images. If you know it to be right more or less often, "
        f"pictures come to it in another way than in its training, now: {record.model.preprocessing}."
    ]
    if best is None:
        title = f"No wrong prediction among {accuracy.n:,} images to judge the risks by"
        if accuracy.value < 1:
            title = "Every prediction is wrong: nothing to judge the risks by"
    elif not best.finds_errors.low > 0.5:
        title = "No risk measurably finds the model’s errors"
    else:
        title = (
            f"A tenth of the images, those most at risk, holds {words.percent(best.errors_in_top.value, 0)} "
            "of the errors"
        )
        found, kept = best.finds_errors, best.rejection["0.1"]
        rivals = sum(one.kind in SURE for one in record.risks.values())
        sentences.append(
            f"Of {rivals} risks, “{best.title}” ({best.kind}) finds errors best: AUROC "
            f"{words.decimal(found.value, 3)} ({words.interval(found, 1, 3)}). Without the tenth that it ranks highest "
            f"the model is right on {words.percent(kept.value)} ({words.interval(kept)})."
        )
    if record.slices.found:
        sentences.insert(1, f"{title}.")
        title = slices_title(record.slices)
    sentences += [_by_group(record, attribute) for attribute in record.groups]
    named = {kind: one.share for kind, one in record.kinds.items() if kind != "ordinary"}
    listed = words.listed(f"{words.percent(share.value)} {kind}" for kind, share in named.items())
    sentences.append(f"By the thresholds of this audit the images are {listed}; the rest is ordinary.")
    sentences += _beyond_confusion(record)
    return title, sentences


def _beyond_confusion(record: AuditRecord) -> list[str]:
    """How many of the mislabelled are more than a model that takes two classes for one another names too."""
    named, found = record.kinds["mislabelled"].share, record.beyond_confusion
    if found is None or not named.value > 0:
        return []
    count = round(named.value * named.n)
    about = "none" if found < 0.5 else f"about {round(found):,}"
    return [
        f"Of the {count:,} called mislabelled, {about} "
        f"{'is' if about == 'none' or round(found) == 1 else 'are'} more than the features’ own confusion of like "
        "classes explains; the others may be right labels of pictures that are hard to tell."
    ]


def _by_group(record: AuditRecord, attribute: str) -> str:
    """The groups, small ones left out, whose risk is measurably higher by every score of a kind; clearest first."""
    parts = []
    for kind in SURE:
        names = [name for name, one in record.risks.items() if one.kind == kind]
        lowest = {
            group: min(one.difference[name].low for name in names)
            for group, one in record.groups[attribute].items()
            if names and not one.small and all(one.difference[name].low > 0 for name in names)
        }
        higher = sorted(lowest, key=lambda group: -lowest[group])
        more = [f"{len(higher) - NAMED} more"] if len(higher) > NAMED else []
        if higher:
            parts.append(f"{kind} risk is measurably higher for {words.listed(higher[:NAMED] + more)}")
    if not parts:
        return f"By {attribute}, no group of 30 images or more has a measurably higher risk by every score of a kind."
    return f"By {attribute}, {'; '.join(parts)}: by every score of that kind, against the other groups."


def audit_text(record: AuditRecord) -> str:
    """The summary for the terminal."""
    title, sentences = audit_headline(record)
    lines = [f"{accuracy_line(record.model)}", f"{title}.", *sentences]
    if record.groups:
        lines.append("Words such as race and gender are annotations, used to measure unequal risk.")
    lines += [
        f"Drawn by “{record.risks[name].title}” at ESS 0.5: {verdict}"
        for verdicts in record.verdicts.values()
        for name, verdict in verdicts.items()
    ]
    said = "\n".join(map(wrapped, lines))
    return blocks(
        [said, slices_text(record.slices), *(_enrichment(record, attribute) for attribute in record.verdicts)]
    )


def _enrichment(record: AuditRecord, attribute: str) -> str:
    """How often each group would be drawn by each representation risk, as a table."""
    names, found = list(record.verdicts[attribute]), record.groups[attribute]
    if not names:
        return ""
    rows = [
        [short(group), f"{one.n:,}", *(number(one.enrichment.get(name), 1, 2) for name in names)]
        for group, one in sorted(found.items(), key=lambda item: item[1].n)
    ]
    heads = [attribute, "images", *(record.risks[name].title for name in names)]
    title = f"Enrichment by {attribute} at ESS 0.5: share of the draws / natural share [95 % interval]"
    return "\n".join([wrapped(title), *aligned(heads, rows, [])])
