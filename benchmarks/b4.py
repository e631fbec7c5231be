"""B4: hidden groups of the embedded set, which is drawn here: nothing is downloaded and nothing annotated by people.

    python benchmarks/b4.py --seeds 5

For each seed the embedded set is drawn anew, with two hidden groups of 5 % of the faces that no method is told about.

* Does rarity find them? A DB-VAE is trained with uniform sampling (recipe `equipoise-latent`), and each rule weighs the
  latent means of the training faces, or their pictures. *Enrichment* is a group's share of the draws over its natural
  share; 1.0 is no help, 5.4 the most that ESS 0.5 allows for 5 %. The rarest tenth of the faces, as many as the hidden
  ones are, shows what a person would be shown: recall of each group, and false discoveries.
* Are they discovered? `slices.find` seeks slices that a plain classifier, trained for one epoch, fails on among
  held-out pictures; `assign` tells them among the training faces.
* Is rare told from mislabelled? 5 % of the labels are flipped; `risk.label_noise` and the rarity of the pictures judge
  those labelled "face": rare faces against flipped non-faces, and what `risk.kinds` calls each.

Other pictures: --test-positives FILE with a column of groups (--group-column), on which the rules are measured in place
of the embedded set, and --test-negatives FILE for what the DB-VAE tells them from. Groups with less than half of an
equal share of the pictures are the hidden ones then; flipped labels are left out, since who flipped them is not known.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from equipoise.data import ImageTable, planted, read, split
from equipoise.fairness import enrichment, rare_groups
from equipoise.groups import Groups
from equipoise.resample import (
    DegenerateWeightsError,
    effective_sample_size,
    equipoise_rule,
    max_rule,
    product_rule,
    temper,
)
from equipoise.risk import (
    detection_auroc,
    kinds,
    label_noise,
    percentile_ranks,
    picture_quality,
    quality_score,
)
from equipoise.run.hidden import hidden_features
from equipoise.slices import Options as Search
from equipoise.slices import find
from equipoise.train import Engine, fit, predict, recipe
from equipoise.train.appearance import appearance_rarity
from equipoise.train.rarity import latent_codes
from lines import Lines, over_seeds, shown

ESS, MAX_WEIGHT = 0.5, 10.0
CURVE = (0.9, 0.7, 0.5, 0.3)
"""Effective sample sizes of the curve."""
NOISE = 0.05
"""Share of flipped labels."""
PUBLISHED = {"max": max_rule, "product": product_rule}
OURS = {
    "equipoise-latent: neighbours": equipoise_rule,
    "equipoise-latent: histogram": partial(equipoise_rule, density="histogram"),
}
APPEARANCE = "equipoise: appearance"


# --- data and what is trained on them ---


@dataclass(frozen=True)
class Options:
    """What is measured on.

    Args:
        images: Of the embedded set.
        hidden: Hidden groups and their shares; None takes the default pair.
        column: Column of groups.
        brought: Positives and negatives in place of the embedded set.
        quick: Train for one epoch.
    """

    images: int = 9000
    hidden: tuple[str, ...] | None = None
    column: str = "hidden"
    brought: tuple[Path, Path] | None = None
    quick: bool = False

    def drawn(self, seed: int, noise: float = 0.0) -> ImageTable:
        """The pictures of a seed."""
        if self.brought is not None:
            return ImageTable.concat([read(file, label=1 - i) for i, file in enumerate(self.brought)])
        hidden = dict.fromkeys(self.hidden, 0.05) if self.hidden else None
        return planted(self.images, seed=seed, hidden=hidden, label_noise=noise)


class Scene:
    """A seed's pictures, and what several methods share."""

    def __init__(self, options: Options, seed: int) -> None:
        self.options, self.seed = options, seed

    @cached_property
    def parts(self) -> tuple[ImageTable, ImageTable]:
        """Four fifths to train on, one fifth held out."""
        return self._split(self.options.drawn(self.seed))

    def _split(self, table: ImageTable) -> tuple[ImageTable, ImageTable]:
        parts = split(table, fractions=(0.8, 0, 0.2), seed=self.seed, stratify=[self.options.column])
        return parts.train, parts.test

    @cached_property
    def faces(self) -> ImageTable:
        """Training positives."""
        train = self.parts[0]
        return train.take(train.positives)

    @cached_property
    def groups(self) -> Groups:
        return self.faces.groups(self.options.column)

    @cached_property
    def rare(self) -> list[str]:
        """Hidden groups: those with less than half of an equal share."""
        return rare_groups(enrichment(np.ones(len(self.faces)), self.groups))

    @cached_property
    def codes(self) -> np.ndarray:
        """Latent means of the training positives."""
        train = self.parts[0]
        fitted = fit(
            train,
            self.recipe(),
            method="uniform",
            seed=self.seed,
            engine=Engine(device="cpu", progress=False),
        )
        return latent_codes(fitted.model, train, train.positives, device=torch.device("cpu"))[0]

    @cached_property
    def appearance(self) -> np.ndarray:
        """Log rarity of the training positives by their looks."""
        return looks(self.faces)

    def recipe(self, plain_epochs: int | None = None) -> Any:
        """Recipe "equipoise-latent", or of its plain classifier fewer epochs."""
        chosen = recipe("equipoise-latent")
        if self.options.quick:
            chosen = replace(chosen, debiased=replace(chosen.debiased, epochs=1))
        if plain_epochs is not None:
            chosen = replace(chosen, plain=replace(chosen.plain, epochs=plain_epochs))
        return chosen


def looks(table: ImageTable) -> np.ndarray:
    """Log rarity of pictures by their looks."""

    def pictures() -> Iterator[np.ndarray]:
        for start in range(0, len(table), 512):
            yield table.batch(np.arange(start, min(start + 512, len(table))))

    return appearance_rarity(pictures).numpy()


# --- measuring ---


def by_rule(scene: Scene, logs: Callable[[Scene], np.ndarray], tempered: bool) -> dict[str, Any]:
    """ESS, largest weight and enrichment of each hidden group; the curve over ESS; the rarest tenth."""
    found = logs(scene)
    numbers = weighed(scene, temper(found, ess=ESS, max_weight=MAX_WEIGHT) if tempered else np.exp(found))
    if tempered:
        numbers["by_ess"] = {}
        for ess in CURVE:
            try:
                weights = temper(found, ess=ess, max_weight=math.inf)
            except DegenerateWeightsError:  # too few faces carry this rule's weight
                continue
            numbers["by_ess"][str(ess)] = weighed(scene, weights)["enrichment"]
    rarest = np.argsort(-found, kind="stable")[: round(len(found) / 10)]
    chosen = np.zeros(len(found), bool)
    chosen[rarest] = True
    return numbers | {"rarest_tenth": discovered(scene, chosen)}


def weighed(scene: Scene, weights: np.ndarray) -> dict[str, Any]:
    """How weights came out."""
    rates = enrichment(weights, scene.groups)
    return {
        "ess": effective_sample_size(weights),
        "max_weight": float(weights.max() * len(weights) / weights.sum()),
        "enrichment": {group: rates[group].value for group in scene.rare},
    }


def discovered(scene: Scene, chosen: np.ndarray) -> dict[str, Any]:
    """Recall of each hidden group among chosen faces, and the share of the chosen that are in none."""
    names = np.array(scene.groups.names)[scene.groups.ids]
    return {
        "chosen": float(chosen.mean()),
        "recall": {group: float(chosen[names == group].mean()) for group in scene.rare},
        "false_discovery": float(1 - np.isin(names[chosen], scene.rare).mean()) if chosen.any() else None,
    }


def by_slices(scene: Scene) -> dict[str, Any]:
    """The training faces in slices that a brief classifier fails on among held-out pictures."""
    train, held_out = scene.parts
    fitted = fit(
        train, scene.recipe(1), method="plain", seed=scene.seed, engine=Engine(device="cpu", progress=False)
    )
    found = find(
        hidden_features(fitted.model, held_out, device="cpu"),
        held_out.labels,
        predict(fitted.model, held_out, device="cpu"),
        options=Search(seed=scene.seed),
    )
    inside = found.assign(hidden_features(fitted.model, train, device="cpu"), train.labels) >= 0
    return discovered(scene, inside[train.positives]) | {"slices": len(found.slices)}


def by_noise(scene: Scene) -> dict[str, Any]:
    """Rare faces against flipped non-faces, among all that is labelled "face"."""
    train = scene._split(scene.options.drawn(scene.seed, NOISE))[0]
    fitted = fit(
        train, scene.recipe(1), method="plain", seed=scene.seed, engine=Engine(device="cpu", progress=False)
    )
    noise = label_noise(
        hidden_features(fitted.model, train, device="cpu"), np.asarray(train.labels), seed=scene.seed
    )
    named = train.positives
    faces = train.take(named)
    flipped = np.array(faces.column("noisy_label"), bool)
    rare = np.isin(np.array(faces.column("hidden"), dtype=object), scene.rare) & ~flipped
    rarity = looks(faces)
    loss = -np.log(np.clip(noise.self_confidence[named], 1e-12, 1))
    called = np.array(
        kinds(
            representation=percentile_ranks(rarity),
            epistemic=percentile_ranks(loss),
            label_noise=percentile_ranks(noise.score)[named],
            quality=percentile_ranks(quality_score(picture_quality([faces.batch(np.arange(len(faces)))]))),
            suspected=noise.suspected[named],
        )
    )
    both = rare | flipped
    return {
        "auroc_label_noise": detection_auroc(noise.score[named][both], flipped[both]).value,
        "auroc_rarity": detection_auroc(rarity[both], rare[both]).value,
        "rare_called": shares(called[rare]),
        "flipped_called": shares(called[flipped]),
    }


def shares(called: np.ndarray) -> dict[str, float]:
    """Share of each kind."""
    return {str(kind): float((called == kind).mean()) for kind in np.unique(called)}


def methods(options: Options) -> dict[str, Callable[[Scene], dict[str, Any]]]:
    """Name → how it is measured."""
    found: dict[str, Callable[[Scene], dict[str, Any]]] = {}

    def on_codes(rule: Callable[[np.ndarray], np.ndarray]) -> Callable[[Scene], np.ndarray]:
        return lambda scene: rule(scene.codes)

    for name, rule in PUBLISHED.items():
        found[f"{name}, as published"] = partial(by_rule, logs=on_codes(rule), tempered=False)
    for name, rule in (PUBLISHED | OURS).items():
        found[f"{name}, ESS {ESS}"] = partial(by_rule, logs=on_codes(rule), tempered=True)
    found[f"{APPEARANCE}, ESS {ESS}"] = partial(by_rule, logs=lambda s: s.appearance, tempered=True)
    found["in slices"] = by_slices
    if options.brought is None:
        found["rare against mislabelled"] = by_noise
    return found


# --- the page ---


def table(lines: list[dict[str, Any]]) -> str:
    """The results as Markdown, one part for each set of pictures."""
    scenes: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for line in lines:
        told = ", ".join(f"{k} {v}" for k, v in line["setting"].items() if k != "quick")
        scenes.setdefault(told, {}).setdefault(line["method"], []).append(line["numbers"])
    return "\n\n".join("\n\n".join(_part(told, found)) for told, found in scenes.items())


def _part(told: str, found: dict[str, list[dict[str, Any]]]) -> list[str]:
    rules = {name: rows for name, rows in found.items() if "enrichment" in rows[0]}
    parts = [f"### {told}"] if told else []
    if rules:
        groups = list(next(iter(rules.values()))[0]["enrichment"])
        parts += [
            "Enrichment: share of the draws over natural share of each hidden group, mean [95 % t-interval] over "
            "seeds; 1 is no help.",
            _enrichment(rules, groups),
            f"The most that ESS {ESS} allows for a group of 5 % is {1 + math.sqrt(0.95 / 0.05):.1f}. The hidden groups "
            "and the rule `appearance` were made by the same people, who looked at both.",
        ]
    chosen = {f"rarest tenth by {n}": [r["rarest_tenth"] for r in rows] for n, rows in rules.items()}
    chosen = {name: rows for name, rows in chosen.items() if "as published" not in name}
    if "in slices" in found:
        chosen["in a slice of `slices.find`"] = found["in slices"]
    if chosen:
        parts += [
            "Which faces would be shown as a hidden group, and which of them are none:",
            _chosen(chosen),
        ]
    if "rare against mislabelled" in found:
        parts += _noise(found["rare against mislabelled"])
    return parts


def _enrichment(rules: dict[str, list[dict[str, Any]]], groups: list[str]) -> str:
    rows = [
        "| rule | seeds | ESS | largest weight | " + " | ".join(groups) + " |",
        "|---" * (4 + len(groups)) + "|",
    ]
    for name, numbers in rules.items():
        ess = np.mean([n["ess"] for n in numbers])
        cells = [shown(over_seeds([n["enrichment"][group] for n in numbers])) for group in groups]
        largest = np.mean([n["max_weight"] for n in numbers])
        told = f"{ess:.2f}" if ess > 0.005 else f"{ess:.4f}"
        rows.append(f"| {name} | {len(numbers)} | {told} | {largest:.0f} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _chosen(chosen: dict[str, list[dict[str, Any]]]) -> str:
    groups = list(next(iter(chosen.values()))[0]["recall"])
    head = ["faces", "share of all, %", *(f"recall, {group}, %" for group in groups), "in no hidden group, %"]
    rows = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, numbers in chosen.items():
        cells = [f"{100 * np.mean([n['chosen'] for n in numbers]):.0f}"]
        cells += [shown(over_seeds([100 * n["recall"][group] for n in numbers]), 0) for group in groups]
        wrong = [100 * n["false_discovery"] for n in numbers if n["false_discovery"] is not None]
        cells.append(shown(over_seeds(wrong), 0) if wrong else "–")
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _noise(rows: list[dict[str, Any]]) -> list[str]:
    found = [
        f'Rare against mislabelled, with {NOISE:.0%} of the labels flipped, among what is labelled "face": flipped '
        "labels have the higher label-noise score with probability "
        f"{shown(over_seeds([r['auroc_label_noise'] for r in rows]))}; rare faces look rarer than flipped non-faces "
        f"with probability {shown(over_seeds([r['auroc_rarity'] for r in rows]))} (0.5 is chance)."
    ]
    names = sorted({kind for row in rows for key in ("rare_called", "flipped_called") for kind in row[key]})
    out = ["| called by `risk.kinds`, % | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for title, key in (
        ("rare faces, labelled right", "rare_called"),
        ("flipped non-faces", "flipped_called"),
    ):
        means = [100 * np.mean([row[key].get(name, 0.0) for row in rows]) for name in names]
        out.append(f"| {title} | " + " | ".join(f"{mean:.0f}" for mean in means) + " |")
    return [*found, "\n".join(out)]


def figures(lines: list[dict[str, Any]], folder: Path) -> list[Path]:
    """Enrichment of each hidden group against ESS, a line a rule, as SVG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    last = lines[-1]["setting"]
    curves: dict[str, list[dict[str, dict[str, float]]]] = {}
    for line in lines:
        if line["setting"] == last and line["numbers"].get("by_ess"):
            curves.setdefault(line["method"].removesuffix(f", ESS {ESS}"), []).append(
                line["numbers"]["by_ess"]
            )
    if not curves:
        return []
    groups = list(next(iter(next(iter(curves.values()))[0].values())))
    with pyplot.rc_context({"svg.hashsalt": "equipoise", "svg.fonttype": "none"}):
        figure, axes = pyplot.subplots(
            1, len(groups), figsize=(4.2 * len(groups), 3.4), sharey=True, squeeze=False, layout="constrained"
        )
        for axis, group in zip(axes[0], groups, strict=True):
            for name, runs in curves.items():
                seen = [ess for ess in map(str, CURVE) if all(ess in run for run in runs)]
                means = [np.mean([run[ess][group] for run in runs]) for ess in seen]
                axis.plot([float(ess) for ess in seen], means, "o-", markersize=4, label=name)
            axis.axhline(1, color="#9aa5b1", linewidth=1)
            axis.invert_xaxis()
            axis.set_xlabel("effective sample size")
            axis.set_title(group)
            axis.spines[["top", "right"]].set_visible(False)
        axes[0][0].set_ylabel("share of the draws / natural share")
        axes[0][-1].legend(fontsize=7, frameon=False)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "bench-b4-ess.svg"
        figure.savefig(file, metadata={"Date": None})
        pyplot.close(figure)
    return [file]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, help="of the embedded set; 9000, quick 1200")
    parser.add_argument("--hidden", nargs="+", help="hidden groups, 5 %% each; the default pair if not given")
    parser.add_argument("--lines", type=Path, default=Path("benchmarks/results/b4.jsonl"))
    parser.add_argument("--quick", action="store_true", help="few pictures, one epoch: does it run?")
    parser.add_argument("--test-positives", type=Path, help="pictures with a column of groups")
    parser.add_argument("--test-negatives", type=Path, help="what the DB-VAE tells them from")
    parser.add_argument("--group-column", default="hidden_group", help="of --test-positives")
    parser.add_argument("--data", type=Path, help="not needed; every case takes it")
    options = parser.parse_args()
    brought = (options.test_positives, options.test_negatives)
    if (brought[0] is None) != (brought[1] is None):
        parser.error(
            "--test-positives and --test-negatives replace the embedded set together: give both or none"
        )
    setting: dict[str, Any] = {"quick": True} if options.quick else {}
    images = options.images or (1200 if options.quick else 9000)
    command = f"python benchmarks/b4.py --seeds {options.seeds}" + (" --quick" if options.quick else "")
    if brought[0] is not None:
        setting |= {
            f"test_{n}": fingerprint(f) for n, f in zip(("positives", "negatives"), brought, strict=True)
        }
        setting["group_column"] = options.group_column
        command += f" --test-positives {brought[0].name} --test-negatives {brought[1].name}"
        command += f" --group-column {options.group_column}"
    else:
        if options.images:
            setting["images"] = images
            command += f" --images {images}"
        if options.hidden:
            setting["hidden"] = sorted(options.hidden)
            command += " --hidden " + " ".join(f"'{name}'" for name in options.hidden)
    chosen = Options(
        images,
        tuple(options.hidden) if options.hidden else None,
        "hidden" if brought[0] is None else options.group_column,
        None if brought[0] is None else brought,
        options.quick,
    )
    lines, failed = Lines(options.lines, "b4", command), False
    for seed in range(options.seeds):
        scene = Scene(chosen, seed)
        for name, measure in methods(chosen).items():
            line = lines.run(name, seed, partial(measure, scene), setting=setting)
            failed |= line is None
            if line is not None:
                told = {k: v for k, v in line["numbers"].items() if k in ("enrichment", "recall")}
                print(f"b4 {name} seed {seed}: {told or line['numbers']}, {line['wall_s']:.0f} s", flush=True)
    return int(failed)


def fingerprint(file: Path) -> str:
    """Name and digest of a file's content, without its path."""
    return f"{file.name} {hashlib.blake2b(file.read_bytes(), digest_size=4).hexdigest()}"


if __name__ == "__main__":
    sys.exit(main())
