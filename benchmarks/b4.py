"""B4: does rarity find hidden groups of the embedded set? Shares of the draws at one effective sample size.

    python benchmarks/b4.py --seeds 3

For each seed: draw the embedded set, train a DB-VAE on its training part with uniform sampling (recipe
`equipoise`), take the latent means of the training faces, and weigh the faces by each rule. Enrichment is a hidden
group's share of the draws over its natural share of 5 %; 1.0 is no help, 5.4 the most that ESS 0.5 allows.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch

from equipoise.data import planted, split
from equipoise.density.appearance import appearance_rarity
from equipoise.fairness import enrichment
from equipoise.resample import (
    DegenerateWeightsError,
    effective_sample_size,
    equipoise_rule,
    max_rule,
    product_rule,
    temper,
)
from equipoise.train import fit
from equipoise.train.rarity import latent_codes

ESS, MAX_WEIGHT = 0.5, 10.0


def rules(codes, pictures):
    """Name → log weights and whether they are tempered."""
    published = {"max": max_rule(codes), "product": product_rule(codes)}
    ours = {
        "equipoise-latent: neighbours": equipoise_rule(codes),
        "equipoise-latent: histogram": equipoise_rule(codes, density="histogram"),
        "equipoise: appearance": appearance_rarity(pictures).numpy(),
    }
    for name, logs in published.items():
        yield f"{name}, as published", logs, False
    for name, logs in {**published, **ours}.items():
        yield f"{name}, ESS {ESS}", logs, True


def measured(seed: int, images: int, hidden: dict[str, float] | None) -> dict:
    """Rule → ESS, largest weight and enrichment of each hidden group."""
    table = planted(images, seed=seed, hidden=hidden)
    train = split(table, fractions=(0.8, 0, 0.2), seed=seed, stratify=["hidden"]).train
    fitted = fit(train, "equipoise", method="uniform", seed=seed)
    faces = train.take(train.positives)
    codes, _ = latent_codes(fitted.model, train, train.positives, device=torch.device("cpu"))
    groups = faces.groups("hidden")
    starts = range(0, len(faces), 512)

    def pictures():
        return (faces.batch(np.arange(start, min(start + 512, len(faces)))) for start in starts)

    out = {}
    for name, logs, tempered in rules(codes, pictures):
        try:
            weights = temper(logs, ess=ESS, max_weight=MAX_WEIGHT) if tempered else np.exp(logs)
        except DegenerateWeightsError as error:
            out[name] = {"refused": str(error)}
            continue
        rates = enrichment(weights, groups)
        out[name] = {
            "ess": effective_sample_size(weights),
            "max_weight": float(weights.max() * len(weights)),
            "enrichment": {g: r.value for g, r in rates.items() if g != "common"},
        }
    return out


def markdown(results: dict) -> str:
    """The results as a page."""
    runs = list(results["runs"].values())
    groups = list(next(iter(runs[0].values()))["enrichment"])
    lines = [
        "# B4: hidden groups of the embedded set",
        "",
        f"`{results['command']}`",
        "",
        f"Share of the draws over natural share (5 %) of each hidden group, mean over seeds {list(results['runs'])} "
        "(smallest–largest). 1.0 is no help.",
        "",
        "| rule | ESS | largest weight | " + " | ".join(groups) + " |",
        "|---|---|---|" + "---|" * len(groups),
    ]
    for rule in runs[0]:
        rows = [run[rule] for run in runs]
        cells = []
        for group in groups:
            values = [row["enrichment"][group] for row in rows]
            cells.append(f"{np.mean(values):.2f} ({min(values):.2f}–{max(values):.2f})")
        ess = np.mean([row["ess"] for row in rows])
        largest = np.mean([row["max_weight"] for row in rows])
        shown = f"{ess:.2f}" if ess > 0.005 else f"{ess:.4f}"
        lines.append(f"| {rule} | {shown} | {largest:.0f} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"The most that ESS 0.5 allows for a group of 5 % is {1 + math.sqrt(0.95 / 0.05):.1f}.",
        "",
        "The design of the hidden groups and the rule `appearance` were made by the same people, who looked at both.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=9000)
    parser.add_argument("--hidden", nargs="+", help="hidden groups, 5 %% each; the default pair if not given")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/b4"), help="without ending")
    options = parser.parse_args()
    hidden = dict.fromkeys(options.hidden, 0.05) if options.hidden else None
    command = f"python benchmarks/b4.py --seeds {options.seeds} --images {options.images}"
    if options.hidden:
        command += " --hidden " + " ".join(f"'{name}'" for name in options.hidden)
    results = {"command": command, "runs": {}}
    for seed in range(options.seeds):
        results["runs"][str(seed)] = measured(seed, options.images, hidden)
        print(seed, json.dumps(results["runs"][str(seed)], indent=1), flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(markdown(results))
    print(markdown(results))


if __name__ == "__main__":
    main()
