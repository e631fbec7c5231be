"""Realistic records to render, in any size, and a strict reader of pages."""

import dataclasses
import io
import pickle
import re
import typing
from html.parser import HTMLParser

import numpy as np
import pytest

from equipoise.fairness import (
    AttributeDifference,
    AttributeMetrics,
    Cell,
    Comparison,
    Difference,
    Evaluation,
)
from equipoise.fairness.evaluation import GroupNumbers
from equipoise.rate import Rate
from equipoise.report.audit.record import (
    AuditData,
    AuditedModel,
    AuditGroup,
    AuditRecord,
    AuditSlice,
    AuditSlices,
    AuditTiming,
    KindRecord,
    MoreOften,
    RiskRecord,
    SearchedClass,
)
from equipoise.report.augment.record import (
    AttributeNumbers,
    AugmentedData,
    AugmentedModel,
    AugmentRecord,
    GeneratorRecord,
    PairsRecord,
    PlaneRecord,
    ProtectedRecord,
)
from equipoise.report.debias.record import (
    DataRecord,
    ModelRecord,
    ResamplingRecord,
    RunRecord,
    TimingRecord,
)
from equipoise.report.parts import figures

VOID = {"meta", "link", "img", "br"}
DRAWN = {}


@pytest.fixture(autouse=True)
def charts_are_drawn_once(monkeypatch):
    """Pages of a test differ from those of others in one thing: a chart of the same numbers is not drawn again."""
    for name in figures.__all__:
        draw = getattr(figures, name)
        if hasattr(draw, "__wrapped__"):
            monkeypatch.setattr(figures, name, _once(name, draw))


def _once(name, draw):
    def drawn(*args, **kwargs):
        key = pickle.dumps((name, args, kwargs))
        if key not in DRAWN:
            DRAWN[key] = draw(*args, **kwargs)
        return DRAWN[key]

    return drawn


class Page(HTMLParser):
    """A page read strictly: every tag closed, with what a test wants to know about it."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.problems, self.attributes, self.text, self.ids = [], [], [], [], []
        self.charts, self.tables = [], 0
        self.feed(text)
        self.close()
        self.problems += [f"<{tag}> is never closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, *pair) for pair in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        self.tables += tag == "table"
        if tag == "figure" and "chart" in dict(attrs).get("class", ""):
            self.charts.append([0, 0])
        if self.charts and "figure" in self.open:
            self.charts[-1][0] += tag == "svg"
            self.charts[-1][1] += tag == "table"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text.append(data)

    @property
    def words(self):
        return re.sub(r"\s+", " ", " ".join(self.text))


@pytest.fixture
def read_page():
    """The class that reads a page: tests cannot import it."""
    return Page


def keys_of(kind, found):
    """Name → fields of every dataclass and typed dict that a record's annotations lead to, rates left out."""
    named = dataclasses.is_dataclass(kind) or typing.is_typeddict(kind)
    if named and kind is not Rate and kind.__name__ not in found:
        hints = typing.get_type_hints(kind)
        found[kind.__name__] = set(hints)
        for hint in hints.values():
            keys_of(hint, found)
    for argument in typing.get_args(kind):
        keys_of(argument, found)
    return found


@pytest.fixture(scope="session")
def held():
    """What a kind of record holds: name → fields of every type in it."""
    return lambda kind: keys_of(kind, {})


RACES = ("White", "Latino_Hispanic", "Middle Eastern", "East Asian", "Southeast Asian", "Indian", "Black")
MODELS = {
    "plain": ("Plain CNN", "plain", 0.034),
    "debiased": ("DB-VAE, equipoise sampling", "debiased", 0.016),
    "plain-same-steps": ("Plain CNN, same steps", "control", 0.027),
    "uniform": ("DB-VAE, uniform sampling", "control", 0.019),
    "threshold-only": ("Plain CNN, threshold moved", "control", 0.034),
    "sixth": ("A sixth model", "control", 0.03),
}


def rate(value, n, spread=1.0):
    half = spread * 1.96 * np.sqrt(max(value * (1 - value), 0.0004) / max(n, 1))
    return Rate(float(value), float(max(0, value - half)), float(min(1, value + half)), n)


def difference(value, n):
    half = 1.4 * np.sqrt(0.03 / max(n, 1))
    return Rate(float(value), float(value - half), float(value + half), n)


def make(
    models=5,
    attributes=None,
    *,
    resampling=True,
    compared=True,
    pictures=True,
    undefined=True,
    negatives=5000,
    seed=0,
):
    rng = np.random.default_rng(seed)
    if attributes is None:
        attributes = {"race": RACES, "gender": ("Female", "Male")}
    chosen = list(MODELS)[:models]
    sizes = {
        a: {g: int(rng.integers(240, 900)) if i else 12 + 800 * (len(names) < 3) for i, g in enumerate(names)}
        for a, names in attributes.items()
    }
    made = {}
    for name in chosen:
        title, role, base = MODELS[name]
        groups, variance, worst, gap = {}, {}, {}, {}
        for a, names in attributes.items():
            groups[a] = {}
            for i, g in enumerate(names):
                n, lost = sizes[a][g], base * (0.4 + 2.2 * i / max(len(names), 1))
                groups[a][g] = GroupNumbers(
                    n=n,
                    positives=n,
                    small=n < 30,
                    fpr=Rate.undefined("no negatives"),
                    accuracy=rate(1 - 0.6 * lost, n),
                    tpr=rate(1 - 0.6 * lost, n),
                    tpr_at_fpr=rate(1 - lost, n),
                    auroc=rate(1 - lost / 9, n, 0.4),
                    mean_probability=rate(0.97 - lost, n, 0.5),
                )
            if undefined and len(names) > 3:
                none = Rate.undefined("no positives in this group")
                groups[a]["(missing)"] = GroupNumbers(0, 0, True, none, none, none, none, none, none)
            known = {g: r for g, r in groups[a].items() if r.tpr.defined}
            low = min(known, key=lambda g: known[g].tpr_at_fpr.value)
            tprs = {p: [getattr(r, f).value for r in known.values()] for p, f in POINT_FIELDS.items()}
            worst[a] = {p: {"group": low, "tpr": getattr(known[low], f)} for p, f in POINT_FIELDS.items()}
            gap[a] = {p: rate(max(v) - min(v), 400) for p, v in tprs.items()}
            variance[a] = {
                p: Rate(float(1e4 * np.var(v)), float(4e3 * np.var(v)), float(2.1e4 * np.var(v)), 400)
                for p, v in tprs.items()
            }
        steps = 0 if name == "threshold-only" else 1800
        x = np.linspace(1, max(steps, 1), 60)
        history = {}
        if steps:
            noise = rng.normal(0, 0.006, 60)
            history = {"step": x.tolist(), "classification": (0.5 * np.exp(-x / 300) + 0.04 + noise).tolist()}
            if role == "debiased" or name == "uniform":
                history["reconstruction"] = (0.25 * np.exp(-x / 500) + 0.09 + noise / 3).tolist()
                history["kl"] = (40 * (1 - np.exp(-x / 400)) + 20 * noise).tolist()
        made[name] = ModelRecord(
            title=title,
            role=role,
            numbers=Evaluation(
                n=5000 + negatives,
                positives=5000,
                negatives=negatives,
                threshold=0.5,
                fpr_asked=0.01,
                threshold_at_fpr=0.3137,
                fpr_achieved=rate(0.01, negatives),
                fpr=rate(0.006, 5000),
                tpr=rate(1 - 0.6 * base, 5000),
                tpr_at_fpr=rate(1 - base, 5000),
                auroc=rate(0.9991, 5000, 0.2),
                accuracy=rate(1 - 0.5 * base, 10000),
                mean_probability=rate(0.97 - base, 5000),
                groups=groups,
                variance=variance,
                worst_group=worst,
                gap=gap,
                not_compared={
                    a: tuple(g for g, r in of.items() if not r.positives) for a, of in groups.items()
                },
            ),
            history=history,
            seconds=41.5 if steps else None,
            steps=steps or None,
        )
    differences = {}
    if compared and "plain" in made:
        for name in chosen[1:]:
            gain = MODELS["plain"][2] - MODELS[name][2]
            d = difference(gain, 5000)
            both = {a: {p: difference(gain * 2, 900) for p in POINT_FIELDS} for a in attributes}
            differences[name] = Difference(
                fpr=difference(0.001, 5000),
                tpr=dict.fromkeys(POINT_FIELDS, d),
                auroc=difference(gain / 20, 50000),
                accuracy=d,
                groups={
                    a: {
                        g: {"at_0.5": difference(gain, r.n), "at_fpr": difference(gain * 1.5, r.n)}
                        if r.tpr.defined
                        else dict.fromkeys(POINT_FIELDS, r.tpr)
                        for g, r in made["plain"].numbers.groups[a].items()
                    }
                    for a in attributes
                },
                variance={a: {p: Rate(-2.4, -5.1, 0.4, 900) for p in POINT_FIELDS} for a in attributes},
                worst_group=both,
                gap={a: {p: difference(-gain, 900) for p in POINT_FIELDS} for a in attributes},
            )
    sampled = None
    if resampling:
        natural = {a: {g: 1 / (1.8**i) for i, g in enumerate(names)} for a, names in attributes.items()}
        natural = {a: {g: v / sum(s.values()) for g, v in s.items()} for a, s in natural.items()}
        lift = {
            a: {g: v * (0.8 + 0.12 * i) for i, (g, v) in enumerate(s.items())} for a, s in natural.items()
        }
        lift = {a: {g: v / sum(s.values()) for g, v in s.items()} for a, s in lift.items()}
        sampled = ResamplingRecord(
            rule="equipoise",
            ess=0.512,
            max_weight=9.73,
            natural_share=natural,
            share=lift,
            enrichment={a: {g: rate_ratio(lift[a][g] / natural[a][g]) for g in natural[a]} for a in natural},
            verdict="Rarity did not find the rare: no rare group is drawn even twice as often.",
            representation="the model's latent codes",
            enrichment_at_half={
                a: {g: rate_ratio(1.0 + 0.1 * i) for i, g in enumerate(s)} for a, s in lift.items()
            },
            verdict_at_half="Rarity found the rare only in part.",
        )
    return RunRecord(
        command="equipoise debias --positives faces/ --negatives scenes/ --groups race,gender",
        recipe={"name": "equipoise", "optimisation": {"learning_rate": 0.001, "epochs": 4}, "latent": 100},
        settings={
            "positives": "faces/",
            "negatives": "scenes/",
            "device": "cpu",
            "groups": ["race", "gender"],
        },
        seed=0,
        versions={"equipoise": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
        data=DataRecord(
            fingerprint={"train": "9f2c" * 8, "validation": "01ab" * 8, "test": "77de" * 8},
            counts={
                "train": {"positives": 11150, "negatives": 11150},
                "validation": {"positives": 1590, "negatives": 1590},
                "test": {"positives": 5000, "negatives": 5000},
            },
            sources={"positives": "faces/", "negatives": "scenes/"},
            group_counts={
                split: {a: {g: share * n for g, n in s.items()} for a, s in sizes.items()}
                for split, share in (("train", 3), ("test", 1))
            },
            rejected=3,
        ),
        fpr=0.01,
        models=made,
        comparisons=Comparison("plain", 0.5, 0.01, differences, {}) if differences else None,
        resampling=sampled,
        timing=TimingRecord(steps_per_s=71.4, wall_s=214.2, peak_rss_bytes=1_430_000_000),
        pictures={
            "reconstructions": "pictures/reconstructions.png",
            "most_represented": "pictures/most_represented.png",
            "least_represented": "pictures/least_represented.png",
        }
        if pictures
        else {},
    )


POINT_FIELDS = {"at_0.5": "tpr", "at_fpr": "tpr_at_fpr"}


def rate_ratio(value):
    return Rate(float(value), float(value * 0.93), float(value * 1.08), 11150)


@pytest.fixture(scope="session")
def make_record():
    """Builds a record: models 1..6, attributes {name: group names}, with or without the optional parts."""
    return make


@pytest.fixture
def record(make_record):
    return make_record()


@pytest.fixture(scope="session")
def png():
    """A small PNG picture."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(buffer, "PNG")
    return buffer.getvalue()


RISKS = {
    "epistemic_dropout": ("dropout disagrees", "epistemic", False),
    "representation_neighbours": ("far from its neighbours", "representation", False),
    "aleatoric_mve": ("noise expected", "aleatoric", False),
    "label_noise": ("given label contradicted", "label noise", True),
    "picture_quality": ("bad as a picture", "picture quality", False),
}
KINDS = ("ordinary", "rare", "hard", "mislabelled", "bad picture")


def audit_slices():
    """One slice, and a class in which none was sought."""
    one = AuditSlice(
        name="face #1",
        class_name="face",
        size=40,
        share=rate(0.2, 100),
        errors=rate(0.6, 20),
        rest=rate(0.1, 80),
        excess=Rate(0.5, 0.3, 0.7, 20),
        p=1e-7,
        confused_with={"no face": 12},
        typical=[7, 8, 9],
        more_often=[MoreOften("race", "Black", rate(0.8, 20), rate(0.3, 80), 0.001)],
        density=rate(0.4, 20),
        kind="hard",
        told=None,
        sources=["clusters"],
    )
    classes = [
        SearchedClass("face", 200, rate(0.2, 100), 90, 3, {"0.02": None, "0.1": 0.6}, None),
        SearchedClass("no face", 300, rate(0.0, 150), 0, 0, {}, "none of 300 images is wrong"),
    ]
    return AuditSlices([one], classes, 0.1, ["race"], [], None, 1.0)


def audit(*, risks=5, attributes=None, errors=True, auroc=0.8, title="debiased (equipoise)", seed=0):
    """Synthetic numbers of an audit; the first risk is best, and Black is the one group with a higher risk."""
    attributes = {"race": ("Black", "White", "tiny")} if attributes is None else attributes
    chosen = dict(list(RISKS.items())[:risks])
    none = Rate.undefined("no prediction is wrong")
    wrong = 0.1 if errors else 0.0
    shares = [i / 50 for i in range(1, 51)]
    made = {
        name: RiskRecord(
            title=title_,
            kind=kind,
            method="Method(setting=1)",
            sees_label=sees,
            finds_errors=rate(auroc - 0.01 * i, 60, 0.5) if errors else none,
            errors_in_top=rate(0.4 - 0.01 * i, 60) if errors else none,
            accuracy_by_decile=[rate(1 - wrong * k / 5, 50) for k in range(9)] + [Rate.undefined("empty")],
            rejection={f"{share:g}": rate(1 - wrong * (1 - share), 450) for share in (0.0, 0.1, 0.5)},
            coverage=shares,
            error=[wrong * share for share in shares],
            area=rate(wrong / 2, 500),
            excess=rate(wrong / 3, 500),
            gain=rate(0.6, 500) if errors else none,
            ideal=wrong / 20,
            random=wrong,
            lowest=[1, 2, 3],
            highest=[4, 5, 6],
            highest_of_label={"0": [4], "1": [5]},
        )
        for i, (name, (title_, kind, sees)) in enumerate(chosen.items())
    }
    higher, same = Rate(0.08, 0.03, 0.13, 60), Rate(0.01, -0.05, 0.07, 190)
    return AuditRecord(
        command="equipoise audit runs/debias faces/",
        settings={"model": "runs/debias", "groups": list(attributes)},
        seed=seed,
        versions={"equipoise": "0.1.0"},
        model=AuditedModel(
            title=title,
            source="runs/debias",
            task="binary",
            layer="encoder",
            features=512,
            accuracy=rate(1 - wrong, 500),
            balanced_accuracy=rate(0.98 - wrong, 500),
            expected_accuracy=None,
            preprocessing="the centred square, resized to 64 by lanczos; RGB; pixels in [0, 1]",
        ),
        data=AuditData({"audited": "9f2c" * 8}, {"audited": {"0": 250, "1": 250}}, {"data": "faces/"}, 1),
        risks=made,
        correlations={
            name: {other: Rate(0.3, 0.2, 0.4, 500) for other in list(made)[i + 1 :]}
            for i, name in enumerate(list(made)[:-1])
        },
        groups={
            attribute: {
                group: AuditGroup(
                    n=20 if group == "tiny" else 60,
                    small=group == "tiny",
                    accuracy=rate(1 - wrong, 60),
                    percentile=dict.fromkeys(made, rate(0.5, 60)),
                    difference=dict.fromkeys(made, higher if group in ("Black", "tiny") else same),
                    kinds=dict.fromkeys(KINDS, rate(0.2, 60)),
                    enrichment={"representation_neighbours": rate_ratio(1.5)} if risks > 1 else {},
                )
                for i, group in enumerate(names)
            }
            for attribute, names in attributes.items()
        },
        unannotated=dict.fromkeys(attributes, 250),
        kinds={
            kind: KindRecord(
                rate(0.0 if kind == "mislabelled" else 0.1, 500),
                Rate.undefined("no image is of this kind") if kind == "mislabelled" else rate(0.9, 50),
                [] if kind == "mislabelled" else [1, 2],
            )
            for kind in KINDS
        },
        thresholds={"bad picture": 0.97, "mislabelled": 0.9, "rare": 0.9, "hard": 0.9},
        slices=audit_slices(),
        suspected=rate(0.02, 500),
        timing=AuditTiming({"dropout": 3.2}, 10.0, 500_000_000),
        pictures={
            f"{name}_{what}": f"pictures/{name}_{what}.png"
            for name in made
            for what in ("highest", "lowest", "highest_0", "highest_1")
        }
        | {"slice_1": "pictures/slice_1.png"},
        verdicts={
            attribute: {"representation_neighbours": f"Rarity found the rare ({attribute})."}
            if risks > 1
            else {}
            for attribute in attributes
        },
    )


@pytest.fixture(scope="session")
def make_audit():
    """Builds the record of an audit."""
    return audit


# name → title, role, sees, cells' accuracy: not old Female, not old Male, old Female, old Male
AUGMENTED = {
    "plain": ("plain", "plain", "", (0.91, 0.62, 0.31, 0.88)),
    "augmented": ("balanced pairs", "augmented", "in training", (0.83, 0.68, 0.42, 0.82)),
    "unedited": ("pairs, unedited", "control", "in training", (0.89, 0.64, 0.33, 0.86)),
    "sampled": ("balanced sampling", "comparison", "in training", (0.82, 0.66, 0.40, 0.79)),
    "threshold": ("threshold per group", "comparison", "in use", (0.70, 0.66, 0.58, 0.65)),
}


def change(new, old, half, n):
    return Rate(float(new - old), float(new - old - half), float(new - old + half), n)


def augment(*, models=None, attributes=None, half=0.04, target="old", edits=False, measured=None, seed=0):
    """Synthetic numbers of augment; `half` is half the width of every paired interval.

    Another attribute has a group without positives, so DEO, AP and KL are undefined there, and a small cell.
    """
    models = AUGMENTED if models is None else models
    attributes = (
        {"gender": ("Female", "Male"), "cluster": ("1", "2", "3")} if attributes is None else attributes
    )
    edges = np.linspace(0, 1, 21)
    rng = np.random.default_rng(seed)
    none = Rate.undefined("no positives with cluster = '3'")
    made = {}
    for name, (title, role, sees, right) in models.items():
        numbers, changes = {}, {}
        base = next(iter(models.values()))[3]
        for attribute, groups in attributes.items():
            whole = len(groups) == 2
            sizes = {
                (t, g): 0 if t and i == 2 else 22 if i == 2 else 700 - 300 * (t == i)
                for t in (0, 1)
                for i, g in enumerate(groups)
            }
            cells, moved, bins = [], [], {"positives": {}, "negatives": {}}
            for t in (1, 0):
                for i, g in enumerate(groups):
                    n = sizes[t, g]
                    hit, was = (one[2 * t + i % 2] for one in (right, base))
                    cells.append(Cell(t, g, n, n < 30, rate(hit, n) if n else none))
                    moved.append(Cell(t, g, n, n < 30, change(hit, was, half, n) if n else none))
                    middle = 0.5 + (hit - 0.5) * (0.9 if t else -0.9)
                    scores = np.clip(rng.normal(middle, 0.22, n), 0, 1)
                    bins["positives" if t else "negatives"][g] = np.histogram(scores, edges)[0].tolist()
            deo, was = (abs(one[2] - one[3]) for one in (right, base))
            metrics = AttributeMetrics(
                attribute=attribute,
                n=2200,
                threshold=-0.25,
                ap=rate(0.698 - 0.02 * (role == "comparison"), 2200) if whole else none,
                deo=rate(deo, 1100) if whole else none,
                ba=Rate(0.185 - 0.1 * (name != "plain"), 0.05, 0.2, 2200),
                kl=Rate(2.37 - 1.2 * (name != "plain"), 0.6, 3.0, 2200) if whole else none,
                kl_positives=none,
                kl_negatives=none,
                average_accuracy=rate(sum(right) / 4, 2200),
                balanced_accuracy=rate(sum(right) / 4, 2200) if whole else none,
                worst_cell_accuracy=rate(min(right), 400) if whole else none,
                worst_cell=f"positives with {attribute} = {groups[0]!r}" if whole else None,
                cells=tuple(cells),
                fnr={c.group: c.accuracy.complement for c in cells if c.target},
                signs={g: (-1) ** i for i, g in enumerate(groups)},
                edges=(-10.0, 0.0, 10.0),
            )
            numbers[attribute] = AttributeNumbers(metrics, bins)
            if name != "plain":
                changes[attribute] = AttributeDifference(
                    ap=change(0.698 - 0.02 * (role == "comparison"), 0.698, half, 2200) if whole else none,
                    deo=change(deo, was, half, 1100) if whole else none,
                    ba=Rate(-0.1, -0.13, -0.07, 2200),
                    kl=Rate(-1.2, -1.7, -0.8, 2200) if whole else none,
                    kl_positives=none,
                    kl_negatives=none,
                    average_accuracy=change(sum(right) / 4, sum(base) / 4, half, 2200),
                    balanced_accuracy=change(sum(right) / 4, sum(base) / 4, half, 2200) if whole else none,
                    worst_cell_accuracy=change(min(right), min(base), half, 400) if whole else none,
                    cells=tuple(moved),
                )
        made[name] = AugmentedModel(title, role, sees, 0.437, 500, 61.5, numbers, changes)
    names = list(attributes)
    return AugmentRecord(
        command="equipoise augment faces/ --target old --protected gender",
        settings={"target": target, "protected": names, "generator": None, "share": 0.5},
        seed=seed,
        versions={"equipoise": "0.1.0", "torch": "2.13.0"},
        target=target,
        protected={
            attribute: ProtectedRecord(
                list(groups[:2]),
                "annotated" if i == 0 else "clusters of latents, chosen on validation",
                {} if i == 0 else {names[0]: 0.613},
                rate(0.9 - 0.1 * i, 900),
            )
            for i, (attribute, groups) in enumerate(attributes.items())
        },
        measured=names if measured is None else measured,
        data=AugmentedData(
            {part: f"{i}f2c" * 8 for i, part in enumerate(("train", "validation", "test"))},
            {"data": "faces/"},
            {
                part: {a: {g: [n, n // 3] for g in groups} for a, groups in attributes.items()}
                for part, n in (("train", 9000), ("validation", 900), ("test", 1500))
            },
            2,
        ),
        generator=GeneratorRecord("runs/generator", 128, 64, True, 3500, 888.0),
        planes={
            target: PlaneRecord(rate(0.81, 5000), rate(0.889, 5000), 0.31),
            **{a: PlaneRecord(rate(0.74, 5000), rate(0.803, 5000), 0.52) for a in names},
        },
        pairs=PairsRecord(
            count=8123,
            keep="as-meant",
            variant="complement",
            as_meant=rate(0.654, 1024),
            target_kept=rate(0.842, 12000),
            changed={a: rate(0.716 - 0.3 * i, 12000) for i, a in enumerate(names)},
            share=0.4875,
            cosines={a: -0.27 - 0.6 * i for i, a in enumerate(names)},
            table="pairs",
        ),
        edges=edges.tolist(),
        models=made,
        notes=["cluster = '3' has no positives among the test images; numbers that need them are undefined"],
        wall_s=4021.0,
        peak_rss_bytes=2_100_000_000,
        pictures={"samples": "pictures/samples.png", **({"edits": "pictures/edits.png"} if edits else {})},
    )


@pytest.fixture(scope="session")
def make_augment():
    """Builds the record of augment."""
    return augment
