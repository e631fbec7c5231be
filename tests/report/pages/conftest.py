"""A page of every job, as its command writes it, pictures and all."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from equipoise import report
from equipoise.fairness import compare_classes, evaluate_classes
from equipoise.groups import Groups
from equipoise.rate import Rate
from equipoise.report.debias.record import DataRecord, RunRecord, TimingRecord
from equipoise.report.fix.record import (
    ChoiceRecord,
    FixedModel,
    FixRecord,
    FixTiming,
    MendedSlice,
    SliceTrait,
    TriedFix,
)
from equipoise.report.sweep.record import SweepRecord, SweptModel, SweptPoint, SweptRun
from equipoise.run.debias.numbers import Truth, measure


def calls(classes, n, *, seed=0):
    """Labels, groups, and what two models call them; the second mends class 1 in the east and errs in class 0."""
    chance = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    east = chance.random(n) < 0.4
    hidden = (labels == 1) & east
    before = np.where(
        (chance.random(n) < 0.05) | hidden & (chance.random(n) < 0.7), (labels + 1) % classes, labels
    )
    after = np.where(
        (chance.random(n) < 0.05) | (labels == 0) & (chance.random(n) < 0.4), (labels + 1) % classes, labels
    )
    site = Groups.from_column(np.where(east, "the east of the region", "north"), attribute="site")
    return labels, site, before, after


def of_classes(classes=9, n=1800):
    """A run of many classes with a positive one."""
    labels, site, before, after = calls(classes, n)
    scores = {
        name: 0.1 + 0.8 * np.eye(classes)[ids] for name, ids in (("plain", before), ("debiased", after))
    }
    scores = {name: of / of.sum(1, keepdims=True) for name, of in scores.items()}
    names = tuple(f"kind {i}" for i in range(classes))
    measured = measure(
        scores, Truth(labels, names, [site], 2), fpr=0.01, replicates=100, seed=0, say=lambda line: None
    )
    counts = dict.fromkeys(names, n // classes)
    return RunRecord(
        command="equipoise debias --data photos/",
        recipe={"name": "equipoise", "objective": "classifier"},
        settings={},
        seed=0,
        versions={"equipoise": "0.1.0"},
        data=DataRecord({"test": "0123"}, {"test": counts}, {"data": "photos/"}, {}, 0),
        fpr=0.01,
        **measured.parts(),
        resampling=None,
        timing=TimingRecord(1.0, 2.0, 3),
    )


def fixed(slices=6, classes=2, n=1200):
    """A fix that mends one cell and harms a class."""
    labels, site, before, after = calls(classes, n)
    names = tuple(f"kind {i}" for i in range(classes))
    every = {"groups": [site], "classes": names}
    called = {"before": before, "after": after, "equal": before}
    numbers = {name: evaluate_classes(ids, labels, **every) for name, ids in called.items()}
    titles = {"before": ("the network as it is", "before"), "after": ("errors as groups (C 0.001)", "after")}
    titles["equal"] = ("classes equal", "control")
    share = Rate(0.6, 0.4, 0.8, 40)
    trait = SliceTrait("site", "the east of the region", share, Rate(0.2, 0.1, 0.3, 400))
    mended = [
        MendedSlice(
            *(f"kind 1 #{i + 1}", "kind 1", 40, share, Rate(0.2, 0.1, 0.35, 40), Rate(-0.4, -0.6, -0.2, 40)),
            [trait],
            list(range(10)),
            7,
        )
        for i in range(slices)
    ]
    tried = TriedFix("errors as groups (C 0.001)", "errors as groups", 0.8, 0.8, 0.8, 0.7, None, True)
    return FixRecord(
        command="equipoise fix runs/plain --data photos/",
        settings={"command": "fix"},
        seed=0,
        versions={"equipoise": "0.1.0"},
        network={"name": "runs/plain", "features": 64},
        data=DataRecord({"test": "0123"}, {"test": {"kind 0": n // 2}}, {"data": "photos/"}, {}, 0),
        choice=ChoiceRecord(tried.title, tried.method, "The best.", 0.1, 0.02, 0.8, [], [tried], []),
        models={name: FixedModel(*titles[name], of) for name, of in numbers.items()},
        comparisons=compare_classes(called, labels, baseline="before", **every),
        timing=FixTiming(1.0, 2.0, 4.0, 10**9),
        slices=mended,
        pictures={f"slice_{i + 1}": f"pictures/slice_{i + 1}.jpg" for i in range(slices)},
    )


def swept(values=("0.1", "0.01", "0.001"), attributes=("skin", "hat")):
    """A sweep over one setting."""

    def model(title, miss):
        rate = Rate(miss, miss - 0.02, miss + 0.02, 3)
        found = dict.fromkeys(attributes, rate)
        return SweptModel(title, rate, rate, dict.fromkeys(attributes, "dark"), found, found)

    models = [
        {"plain": model("plain", 0.2), "debiased": model("debiased", 0.1 + 0.05 * i)}
        for i, _ in enumerate(values)
    ]
    key = "resampling.smoothing"
    runs = [
        SweptRun(
            i, {key: value}, 0, f"points/{i:03}", error=None, seconds=6.0, models=models[i], sampling=None
        )
        for i, value in enumerate(values)
    ]
    points = [SweptPoint({key: value}, [0], 0, models[i], None) for i, value in enumerate(values)]
    return SweepRecord(
        command="equipoise sweep --vary resampling.smoothing=0.1,0.01,0.001",
        settings={"recipe": "equipoise"},
        versions={"equipoise": "0.1.0"},
        vary={key: list(values)},
        seeds=[0],
        fpr=0.01,
        attributes=list(attributes),
        rarest={},
        runs=runs,
        points=points,
    )


def weak(record):
    """The same, with nearly all positives missed at the matched rate."""

    def nothing(rate):
        return Rate(0.01, 0.0, 0.03, rate.n) if rate.defined else rate

    models = {}
    for name, model in record.models.items():
        one = model.numbers
        groups = {
            a: {g: dataclasses.replace(r, tpr_at_fpr=nothing(r.tpr_at_fpr)) for g, r in of.items()}
            for a, of in one.groups.items()
        }
        worst = {
            a: {**of, "at_fpr": {**of["at_fpr"], "tpr": nothing(of["at_fpr"]["tpr"])}}
            for a, of in one.worst_group.items()
        }
        numbers = dataclasses.replace(
            one, groups=groups, worst_group=worst, tpr_at_fpr=nothing(one.tpr_at_fpr)
        )
        models[name] = dataclasses.replace(model, numbers=numbers)
    return dataclasses.replace(record, models=models)


@pytest.fixture(scope="session")
def make_weak(make_record):
    """A run whose models miss nearly all positives at the matched rate."""
    return lambda **options: weak(make_record(**options))


@pytest.fixture(scope="session")
def make_fixed():
    """What a fix did."""
    return fixed


WRITERS = {
    RunRecord: (report.write, report.write_report),
    FixRecord: (report.write_fix, report.write_fix_report),
    SweepRecord: (report.write_sweep, report.write_sweep_report),
}


def noise(size):
    """A JPEG of about so many bytes."""
    side = max(16, int((size / 1.6) ** 0.5))
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (side, side, 3)).astype(np.uint8)).save(
        buffer, "JPEG", quality=80
    )
    return buffer.getvalue()


@pytest.fixture(scope="session")
def written():
    """Writes a record, and pictures of so many bytes in all, and the page beside them."""

    def write(record, folder, room=60_000):
        kind = type(record)
        if kind in WRITERS:
            write_record, write_page = WRITERS[kind]
        elif kind.__name__ == "AuditRecord":
            write_record, write_page = report.write_audit, report.write_audit_report
        else:
            write_record, write_page = report.write_augment, report.write_augment_report
        folder.mkdir(parents=True, exist_ok=True)
        write_record(record, folder)
        files = getattr(record, "pictures", {}).values()
        (folder / "pictures").mkdir(exist_ok=True)
        for file in files:
            (folder / file).write_bytes(noise(room / len(files)))
        return write_page(folder)

    return write


@pytest.fixture(scope="session")
def pages(make_record, make_weak, make_audit, make_augment, written, tmp_path_factory):
    """Name of a job → its page."""
    few = {"models": 2, "attributes": {"race": ("A", "B", "a longer name of a group", "D")}}
    seen = make_record(**few, resampling=False, pictures=False)
    measured = {name: dataclasses.replace(one, steps=None, history={}) for name, one in seen.models.items()}
    records = {
        "debias": make_record(models=3),
        "evaluate": dataclasses.replace(seen, models=measured),
        "weak": make_weak(**few),
        "classes": of_classes(),
        "audit": make_audit(),
        "fix": fixed(),
        "augment": make_augment(edits=True),
        "sweep": swept(),
    }
    folder = tmp_path_factory.mktemp("pages")
    return {name: written(record, folder / name) for name, record in records.items()}


@pytest.fixture(scope="session")
def largest(make_record, make_audit, make_augment):
    """Name of a job → its record at its largest, and the room of its pictures in bytes."""
    from equipoise.run.audit.pictures import ROOM as AUDIT
    from equipoise.run.augment.account import ROOM as AUGMENT
    from equipoise.run.fix.pictures import ROOM as FIX
    from equipoise.run.pictures import ROOM as RUN

    groups = {name: tuple(f"{name} {i}" for i in range(12)) for name in ("race", "place", "camera")}
    return {
        "debias": (make_record(models=5, attributes=groups), RUN),
        "classes": (of_classes(1000, 6000), 0),
        "audit": (make_audit(), AUDIT),
        "fix": (fixed(slices=24, classes=20, n=4000), FIX),
        "augment": (make_augment(edits=True), AUGMENT),
        "sweep": (swept(tuple(f"{i / 100}" for i in range(1, 41))), 0),
    }
