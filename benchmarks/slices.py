"""B6: are hidden groups that a model fails on found, and nothing where nothing is?

    python benchmarks/slices.py --seeds 5
    python benchmarks/slices.py --seeds 5 --data ../shared/data --cache .cache
    python benchmarks/slices.py --parts pictures speed --seeds 2

* `planted`: features with 2, 4 and 6 hidden groups of 1–5 % of a class, wrong in 56 % against 6 %, each apart from its
  class along a direction of its own among strong ones of no consequence.
* `pictures`: the embedded set with two hidden groups of 4 % of the faces, which the labels of the training half call
  no faces; features and logits of a small network on the other half, whose labels are right.
* `null`: errors are chance; a run with any slice is false.
* `intervals`: planted features, errors drawn with known chances: how often the interval of a slice's excess error holds
  the mean of these.
* `waterbirds` (needs --data): a plain last layer on frozen features of EfficientNet-Lite0, birds on the other ground.
* `categories` (needs --data): coarse labels of Tiny ImageNet, some fine categories rare in training
  (fine_categories.py says how); a rare category fails if it is wrong at least 20 points more often than the rest of
  its class.
* `share` (needs --data): the search as an audit runs it (columns and flags) on the first 10,000 pictures of Waterbirds,
  in processor seconds, beside the network's pass over some hundred of these.
* `speed`: 100,000 images × 1,280 numbers of half precision, in processor seconds and peak memory.

A group is found if a slice is at least 0.8 pure in it. Purity is the share of the group among all of a slice's images,
those that found it and those that tested it; recall the share of the group that is in slices mostly of it. A slice is
unrelated if less than half of it is of any hidden group: it may fail all the same.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.slices import Found, Options, find
from lines import Lines, over_seeds, shown
from slices_cost import share, speed

PURE, FAILS = 0.8, 0.2
PARTS = ("planted", "pictures", "null", "intervals", "waterbirds", "categories", "share", "speed")
Scene = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


# --- scenes: features, labels, logits, hidden group of each image ---


def planted(seed: int, groups: int, *, n: int = 8000, width: int = 256, error: float = 0.56) -> Scene:
    """Two classes; 20 strong directions, six of them with two modes; errors follow one of these a little."""
    rng = np.random.default_rng(seed)
    labels, strong = rng.integers(0, 2, n), 20
    turned = np.linalg.qr(rng.normal(size=(width, width)))[0]
    scale = np.concatenate([np.geomspace(6, 1, strong), np.full(width - strong, 0.5)])
    found = rng.normal(size=(n, width)) * scale
    for axis in range(6):
        modes = np.where(rng.random(n) < rng.uniform(0.2, 0.8), 0.9, -0.9)
        found[:, axis] = scale[axis] * (modes + 0.45 * rng.normal(size=n))
    hidden = np.full(n, -1)
    for group in range(groups):
        free = np.flatnonzero((labels == group % 2) & (hidden < 0))
        rows = rng.choice(free, int(rng.uniform(0.01, 0.05) * (labels == group % 2).sum()), replace=False)
        hidden[rows] = group
        along = rng.normal(size=strong + 10)
        found[rows, : strong + 10] *= 0.7
        found[rows, : strong + 10] += 8 * along / np.linalg.norm(along)
    found[np.arange(n), strong + labels] += 2
    usual = 0.06 * np.exp(0.5 * found[:, 2] / scale[2] - 0.125)
    wrong = rng.random(n) < np.where(hidden >= 0, error, np.clip(usual, 0, 0.5))
    logits = np.where((labels == 1) ^ wrong, 1, -1) * rng.gamma(2, 1, n)
    return (found @ turned.T).astype(np.float16), labels, logits, hidden


def pictures(seed: int, images: int, draw: Callable[..., Any]) -> Scene:
    """The embedded set: half to train on, with hidden groups labelled as what they are not; half to look at."""
    from equipoise.data import split
    from equipoise.run.hidden import hidden_features
    from equipoise.train import Engine, fit, predict, recipe

    table = draw(images, seed=seed, hidden={"darker skin": 0.04, "backlit": 0.04})
    parts = split(table, fractions=(0.5, 0, 0.5), seed=seed, stratify=["hidden"])
    chosen = recipe("equipoise-latent")
    engine = Engine(device="cpu", progress=False)
    taught = [name not in (None, "common") for name in parts.train.column("hidden")]
    train = replace(parts.train, labels=np.where(taught, 0, parts.train.labels))
    fitted = fit(train, chosen, method="plain", seed=seed, engine=engine)
    features = hidden_features(fitted.model, parts.test, device="cpu")
    names = np.array(parts.test.column("hidden"), dtype=object)
    hidden = np.select([names == "darker skin", names == "backlit"], [0, 1], -1)
    said = predict(fitted.model, parts.test, device="cpu").logits
    return features, parts.test.labels, np.asarray(said), hidden


def waterbirds(data: Path, cache: str) -> Scene:
    """The published splits; hidden are birds on the other ground, by class."""
    import torch

    from equipoise.data import read
    from equipoise.nn import features, fit_linear
    from features import SIZE, backbone

    tables = {
        side: read(data / f"{side}.parquet", image_size=SIZE, cache=cache) for side in ("train", "test")
    }
    network = backbone()
    stores = {side: features(network, table, cache=cache) for side, table in tables.items()}
    layer = fit_linear(stores["train"].vectors(), tables["train"].labels, C=1e-2)
    with torch.no_grad():
        logits = layer(torch.from_numpy(stores["test"].vectors()))[:, 0].numpy()
    names = np.array(tables["test"].column("group"), dtype=object)
    hidden = np.select([names == "landbird on water", names == "waterbird on land"], [0, 1], -1)
    return np.asarray(stores["test"].features), tables["test"].labels, logits, hidden


# --- measuring ---


def groups_found(scene: Scene, seed: int) -> dict[str, Any]:
    """Of each hidden group: its best slice, and all slices that are mostly of it together."""
    features, labels, logits, hidden = scene
    began = time.process_time()
    found = find(features, labels, logits, options=Options(seed=seed))
    seconds = time.process_time() - began
    numbers: dict[str, Any] = {"slices": len(found.slices), "processor_s": seconds, "groups": []}
    wrong = (logits.argmax(1) if logits.ndim == 2 else logits >= 0) != labels
    shares = [_shares(found, hidden, i) for i in range(len(found.slices))]
    for group in np.unique(hidden[hidden >= 0]).tolist():
        mine = hidden == group
        own = [i for i, share in enumerate(shares) if share.get(group, 0) >= 0.5]
        best = max(range(len(shares)), key=lambda i: shares[i].get(group, 0), default=None)
        largest = max(own, key=lambda i: (mine & (found.ids == i)).sum(), default=None)
        numbers["groups"].append(
            {
                "size": int(mine.sum()),
                "errors": float(wrong[mine].mean()),
                "rest": float(wrong[(labels == labels[mine][0]) & ~mine].mean()),
                "in_any": float((found.ids[mine] >= 0).mean()),
                "rest_in_any": float((found.ids[(labels == labels[mine][0]) & ~mine] >= 0).mean()),
                "purity": 0.0 if best is None else shares[best].get(group, 0.0),
                "largest_purity": None if largest is None else shares[largest][group],
                "largest_recall": 0.0 if largest is None else float((found.ids[mine] == largest).mean()),
                "together_purity": float(mine[np.isin(found.ids, own)].mean()) if own else None,
                "together_recall": float(np.isin(found.ids[mine], own).mean()),
            }
        )
    numbers["unrelated"] = sum(sum(share.values()) < 0.5 for share in shares)
    return numbers


def _shares(found: Found, hidden: np.ndarray, position: int) -> dict[int, float]:
    inside = hidden[found.ids == position]
    return {int(group): float((inside == group).mean()) for group in np.unique(inside[inside >= 0])}


def null(seed: int) -> dict[str, Any]:
    """Planted features, errors by chance."""
    features, labels, _, _ = planted(seed, 2, n=3000)
    rng = np.random.default_rng(seed)
    logits = np.where((labels == 1) ^ (rng.random(len(labels)) < 0.12), 1, -1) * rng.gamma(2, 1, len(labels))
    found = find(features, labels, logits, options=Options(seed=seed))
    return {"slices": len(found.slices), "tested": sum(one.tested for one in found.classes)}


def intervals(seed: int) -> dict[str, Any]:
    """Errors are drawn with known chances, so the excess error of a slice's test images is known: the mean of these."""
    features, labels, _, hidden = planted(seed, 4, n=5000)
    rng = np.random.default_rng(seed)
    chance = np.where(hidden >= 0, 0.4, 0.1)
    logits = np.where((labels == 1) ^ (rng.random(len(labels)) < chance), 1, -1) * rng.gamma(
        2, 1, len(labels)
    )
    found = find(features, labels, logits, options=Options(seed=seed))
    held = []
    for position, one in enumerate(found.slices):
        inside = (found.ids == position) & found.testing
        mine = found.testing & (labels == int(one.class_name.split()[-1]))
        truth = chance[inside].mean() - chance[mine & ~inside].mean()
        held.append(bool(one.excess.low <= truth <= one.excess.high))
    return {"slices": len(held), "held": sum(held)}


# --- the page ---

Rows = list[dict[str, Any]]
SCENES = {"planted": "features, {groups} planted groups of 1–5 % of a class, 56 % wrong against 6 %"}
SCENES |= {"pictures": "drawn pictures, small network: darker skin and backlit, 4 % of the faces each"}
SCENES |= {"waterbirds": "Waterbirds, birds on the other ground"}
SCENES |= {"categories": "Tiny ImageNet, coarse labels: fine categories at 2–5 % in training"}


def sorted_out(lines: Rows) -> dict[tuple[str, str], Rows]:
    """Numbers of runs, by part and setting."""
    found: dict[tuple[str, str], Rows] = {}
    for line in lines:
        told = SCENES.get(line["method"], "").format(**line["setting"])
        found.setdefault((line["method"], told), []).append(line["numbers"])
    return dict(sorted(found.items(), key=lambda item: PARTS.index(item[0][0])))


def failing(numbers: dict[str, Any]) -> Rows:
    """Groups of a run that the model fails: by far more often wrong than the rest of their class."""
    return [one for one in numbers["groups"] if one["errors"] - one.get("rest", 0.0) >= FAILS]


def group_rate(one: dict[str, Any], what: str) -> float:
    """Of a group: whether it is found, the purity of its best slice, or the share of it in slices mostly of it."""
    return float(one["purity"] >= PURE) if what == "found" else float(one[what])


def over_runs(runs: Rows, what: str, groups: Callable[[dict[str, Any]], Rows]) -> dict[str, Any] | None:
    """Mean over the groups of a run, over the runs that have such groups."""
    means = [float(np.mean([group_rate(one, what) for one in groups(run)])) for run in runs if groups(run)]
    return over_seeds(means) if means else None


def table(lines: Rows) -> str:
    """The results as Markdown."""
    parts = sorted_out(lines)
    scenes = {told: runs for (_, told), runs in parts.items() if told}
    rows = [
        "| hidden groups | runs | groups | found | purity of the best slice | share in slices mostly of it "
        "| slices a run | of them unrelated |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for told, runs in scenes.items():
        rows.append(_scene(told, runs, lambda run: run["groups"]))
        if "rest" in runs[0]["groups"][0] and told == SCENES["categories"]:
            rows.append(_scene("the same, those that fail by 20 points or more", runs, failing))
    said = [
        f"A group is found if a slice is at least {PURE} pure in it. Means over runs [95 % t-interval].",
        "\n".join(rows),
    ]
    for told, runs in scenes.items():
        if told == SCENES["waterbirds"]:
            said.append(_both(runs))
        if told == SCENES["categories"]:
            said.append(_held(runs))
    return "\n\n".join([*said, *_rest(parts)])


def _scene(told: str, runs: Rows, groups: Callable[[dict[str, Any]], Rows]) -> str:
    cells = [shown(over_runs(runs, what, groups)) for what in ("found", "purity", "together_recall")]
    many = sum(len(groups(run)) for run in runs)
    means = [f"{np.mean([run[key] for run in runs]):.1f}" for key in ("slices", "unrelated")]
    return f"| {told} | {len(runs)} | {many} | {' | '.join([*cells, *means])} |"


def _both(runs: Rows) -> str:
    rows = [
        "| Waterbirds | wrong | largest slice: purity | share of the group in it | all slices mostly of it: purity "
        "| share |",
        "|---|---|---|---|---|---|",
    ]
    for i, name in enumerate(("landbirds on water", "waterbirds on land")):
        cells = [
            shown(over_seeds([run["groups"][i][key] or 0.0 for run in runs]))
            for key in ("largest_purity", "largest_recall", "together_purity", "together_recall")
        ]
        rows.append(f"| {name} | {runs[0]['groups'][i]['errors']:.0%} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _held(runs: Rows) -> str:
    fails = [one for run in runs for one in failing(run)]
    own, rest = (100 * np.mean([one[key] for one in fails]) for key in ("in_any", "rest_in_any"))
    return (
        f"Of {sum(len(run['groups']) for run in runs)} categories rare in training {len(fails)} fail by 20 points or "
        f"more; {own:.0f} % of the pictures of such a category are in a slice, {rest:.0f} % of the rest of its class. "
        "Slices of other categories may be right: common ones fail too, and are counted as unrelated."
    )


def _rest(parts: dict[tuple[str, str], Rows]) -> list[str]:
    """Null runs, intervals and costs."""
    found = []
    for (part, _), runs in parts.items():
        if part == "null":
            false = sum(bool(one["slices"]) for one in runs)
            found.append(f"Errors by chance: {false} of {len(runs)} runs have a slice.")
        elif part == "intervals":
            held, every = sum(one["held"] for one in runs), sum(one["slices"] for one in runs)
            found.append(f"Intervals of a slice's excess error: {held} of {every} hold what is so.")
        elif part == "share":
            one = runs[-1]
            found.append(
                f"The search of an audit on {one['rows']:,} pictures: {one['find_s']:.1f} processor seconds, "
                f"{one['share']:.1%} of the network's pass over as many ({one['pass_s']:.0f} s, EfficientNet-Lite0, "
                "160 pixels)."
            )
        elif part == "speed":
            one = runs[-1]
            found.append(
                f"{one['rows']:,} images × 1,280 numbers of half precision, memory-mapped, ten classes: "
                f"{one['processor_s']:.0f} processor seconds ({one['wall_s']:.0f} by the clock), at most "
                f"{one['peak_gib']:.1f} GiB."
            )
    return found


def main() -> None:
    """Measure what has no line yet, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--nulls", type=int, default=100, help="runs in which errors are chance, and of intervals"
    )
    parser.add_argument("--images", type=int, default=8000, help="of the embedded set")
    parser.add_argument("--rows", type=int, default=100_000, help="of the part `speed`")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=[p for p in PARTS if p != "pictures"])
    parser.add_argument("--data", type=Path, help="folder with waterbirds160 and tinyimagenet64")
    parser.add_argument("--cache", default=None, help="folder of pixels and features")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results" / "slices.jsonl")
    asked = parser.parse_args()
    told = [word if "/" not in word else "DATA" for word in sys.argv[1:]]
    lines = Lines(asked.results, "slices", " ".join(["python benchmarks/slices.py", *told]))
    with tempfile.TemporaryDirectory() as folder:
        for part in asked.parts:
            _run(part, asked, lines, asked.cache or folder)
    print(table(lines.read()))


def _named(*drawn: Any) -> dict[str, Any]:
    """Groups that have names."""
    *scene, names, seed = drawn
    numbers = groups_found(tuple(scene), seed)
    for one, name in zip(numbers["groups"], names, strict=True):
        one["name"] = name
    return numbers


def _run(part: str, asked: argparse.Namespace, lines: Lines, cache: str) -> None:
    if part == "planted":
        for groups in (2, 4, 6):
            for seed in range(asked.seeds):
                measure = partial(lambda s, g: groups_found(planted(s, g), s), seed, groups)
                lines.run(part, seed, measure, setting={"groups": groups})
    elif part == "pictures":
        from equipoise.data import planted as draw

        for seed in range(asked.seeds):
            measure = partial(lambda s: groups_found(pictures(s, asked.images, draw), s), seed)
            lines.run(part, seed, measure, setting={"drawn": asked.images})
    elif part == "categories" and asked.data is not None:
        from fine_categories import Categories

        categories = Categories(asked.data / "tinyimagenet64" / "train.parquet", cache)
        for seed in range(asked.seeds):
            lines.run(part, seed, partial(lambda s: _named(*categories.scene(s), s), seed))
    elif part == "share" and asked.data is not None:
        lines.run(part, 0, partial(share, asked.data / "waterbirds160", cache))
    elif part == "waterbirds" and asked.data is not None:
        scene = waterbirds(asked.data / "waterbirds160", cache)
        for seed in range(asked.seeds):
            lines.run(part, seed, partial(groups_found, scene, seed))
    elif part in ("null", "intervals"):
        for seed in range(asked.nulls):
            lines.run(part, seed, partial(null if part == "null" else intervals, 1000 + seed))
    elif part == "speed":
        lines.run(part, 0, partial(speed, 0, asked.rows), setting={"rows": asked.rows})


if __name__ == "__main__":
    main()
