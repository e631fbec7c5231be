"""B1: face detection with a skew in race, through the public command.

    python benchmarks/b1.py --data ../shared/data --seeds 5

Training positives: adults of FairFace, per race a fixed number, within a race women drawn with weight 0.7 and
men with 0.3; as many negatives from Tiny ImageNet; one draw (seed 0) for all methods and training seeds. Test:
both test files. Headline: miss rate of the worst race at 1 % false positives. Race and gender are what
annotators saw in a picture; they serve to measure unequal error, and no method sees them in training.

Each run is `equipoise debias`; results are read from its record.json. A finished run in the work folder is
used again, so an interrupted benchmark goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

COUNTS = {
    "White": 7000,
    "Latino_Hispanic": 1500,
    "Middle Eastern": 1500,
    "East Asian": 700,
    "Southeast Asian": 200,
    "Indian": 150,
    "Black": 100,
}
T_975 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}


def draw(data: Path, work: Path, seed: int) -> tuple[Path, Path]:
    """Write the training positives and negatives as Parquet files; the same seed gives the same rows."""
    positives, negatives = work / f"positives-{seed}.parquet", work / f"negatives-{seed}.parquet"
    if positives.exists() and negatives.exists():
        return positives, negatives
    work.mkdir(parents=True, exist_ok=True)
    faces = pq.read_table(data / "fairface64" / "train.parquet")
    race, gender, age = (np.array(faces.column(name).to_pylist()) for name in ("race", "gender", "age"))
    rng = np.random.default_rng(seed)
    rows = []
    for name, count in COUNTS.items():
        pool = np.flatnonzero((race == name) & ~np.isin(age, ["0-2", "3-9"]))
        weights = np.where(gender[pool] == "Female", 0.7, 0.3)
        rows.append(rng.choice(pool, min(count, len(pool)), replace=False, p=weights / weights.sum()))
    chosen = np.sort(np.concatenate(rows))
    pq.write_table(faces.take(pa.array(chosen)), positives)
    others = pq.read_table(data / "tinyimagenet64" / "train.parquet")
    pq.write_table(
        others.take(pa.array(np.sort(rng.choice(others.num_rows, len(chosen), replace=False)))), negatives
    )
    return positives, negatives


def run(data: Path, work: Path, recipe: str, seed: int, draw_seed: int, extra: list[str]) -> dict:
    """One `equipoise debias`; its record."""
    out = work / f"{recipe}-draw{draw_seed}-seed{seed}"
    if not (out / "record.json").exists():
        positives, negatives = draw(data, work, draw_seed)
        command = [sys.executable, "-m", "equipoise", "debias", "--positives", str(positives)]
        command += ["--negatives", str(negatives)]
        command += ["--test-positives", str(data / "fairface64" / "test.parquet")]
        command += ["--test-negatives", str(data / "tinyimagenet64" / "test.parquet")]
        command += ["--groups", "race,gender", "--recipe", recipe, "--seed", str(seed), "--out", str(out)]
        command += [*extra, "--overwrite"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return json.loads((out / "record.json").read_text())


def over_seeds(values: list[float]) -> dict:
    """Mean, 95 % t-interval over seeds, smallest, largest and all values."""
    array = np.asarray(values, float)
    mean = float(array.mean())
    half = T_975[len(array)] * float(array.std(ddof=1)) / len(array) ** 0.5 if len(array) > 1 else None
    return {
        "mean": mean,
        "median": float(np.median(array)),
        "low": None if half is None else mean - half,
        "high": None if half is None else mean + half,
        "min": float(array.min()),
        "max": float(array.max()),
        "values": array.tolist(),
    }


def summary(records: list[dict]) -> dict:
    """Numbers of every model of one recipe, over its runs, in percent; and enrichment."""
    models = {}
    for name, first in records[0]["models"].items():
        rows = [record["models"][name] for record in records]
        models[name] = {
            "title": first["title"],
            "worst_miss_at_fpr": over_seeds(
                [100 * (1 - r["worst_group"]["race"]["at_fpr"]["tpr"]["value"]) for r in rows]
            ),
            "worst_race": [r["worst_group"]["race"]["at_fpr"]["group"] for r in rows],
            "bootstrap_worst_miss_at_fpr": [
                [
                    100 * (1 - r["worst_group"]["race"]["at_fpr"]["tpr"]["high"]),
                    100 * (1 - r["worst_group"]["race"]["at_fpr"]["tpr"]["low"]),
                ]
                for r in rows
            ],
            "miss_at_fpr": over_seeds([100 * (1 - r["tpr_at_fpr"]["value"]) for r in rows]),
            "variance_at_fpr": over_seeds([r["variance"]["race"]["at_fpr"]["value"] for r in rows]),
            "miss_at_half": over_seeds([100 * (1 - r["tpr"]["value"]) for r in rows]),
            "fpr_at_half": over_seeds([100 * r["fpr"]["value"] for r in rows]),
            "seconds": over_seeds([r["seconds"] for r in rows]) if first["seconds"] is not None else None,
            "steps": first["steps"],
        }
    enrichment = {
        group: over_seeds([record["resampling"]["enrichment"]["race"][group]["value"] for record in records])
        for group in records[0]["resampling"]["enrichment"]["race"]
    }
    return {
        "models": models,
        "enrichment": enrichment,
        "ess": over_seeds([record["resampling"]["ess"] for record in records]),
        "peak_rss_bytes": over_seeds([record["timing"]["peak_rss_bytes"] for record in records]),
        "wall_s": over_seeds([record["timing"]["wall_s"] for record in records]),
        "verdicts": [record["resampling"]["verdict"] for record in records],
    }


def cost(numbers: dict | None) -> str:
    """Median and range of seconds as text: machines are shared, and one disturbed run spoils a mean."""
    if numbers is None:
        return "–"
    return f"{numbers['median']:.0f} ({numbers['min']:.0f}–{numbers['max']:.0f})"


def shown(numbers: dict | None, digits: int = 2) -> str:
    """Mean and interval as text."""
    if numbers is None:
        return "–"
    text = f"{numbers['mean']:.{digits}f}"
    return (
        text
        if numbers["low"] is None
        else f"{text} [{numbers['low']:.{digits}f}, {numbers['high']:.{digits}f}]"
    )


def markdown(results: dict) -> str:
    """The results as a page."""
    lines = ["# B1: face detection, race skew", "", f"`{results['command']}`", ""]
    lines += [
        f"Mean [95 % t-interval] over training seeds {results['seeds']} on one draw of the training pictures (draw "
        f"seed {results['draw']}). Miss rates in percent of 'worst race at 1 % false positives', threshold from the "
        "test negatives, the same rule for every model. Seconds are training wall-clock, median (range), on "
        f"{results['machine']['cores']} cores ({results['machine']['processor']}). Race is what annotators saw in a "
        "picture. No number here proves fairness.",
        "",
    ]
    for recipe, numbers in results["recipes"].items():
        lines += [
            f"## Recipe `{recipe}`",
            "",
            "| model | worst race missed, % | overall missed, % | variance, %² | missed at 0.5, % | FPR at 0.5, % "
            "| steps | seconds |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for name, model in numbers["models"].items():
            lines.append(
                f"| {name if model['title'] == name else model['title']} | {shown(model['worst_miss_at_fpr'])} "
                f"| {shown(model['miss_at_fpr'])} | {shown(model['variance_at_fpr'])} "
                f"| {shown(model['miss_at_half'])} | {shown(model['fpr_at_half'])} "
                f"| {model['steps'] or '–'} | {cost(model['seconds'])} |"
            )
        worst = numbers["models"]["debiased"]
        lines += [
            "",
            "Worst race of the debiased model by seed: "
            + ", ".join(
                f"{race} {value:.2f} % [{low:.2f}, {high:.2f}]"
                for race, value, (low, high) in zip(
                    worst["worst_race"],
                    worst["worst_miss_at_fpr"]["values"],
                    worst["bootstrap_worst_miss_at_fpr"],
                    strict=True,
                )
            )
            + " (bootstrap over images).",
            "",
            f"Enrichment (share of the draws over natural share) at ESS {shown(numbers['ess'])}: "
            + "; ".join(f"{group} {shown(value)}" for group, value in numbers["enrichment"].items())
            + ".",
            "",
            f"Peak memory of a whole run: {numbers['peak_rss_bytes']['mean'] / 2**20:.0f} MiB.",
            "",
        ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with fairface64 and tinyimagenet64")
    parser.add_argument("--seeds", type=int, default=5, help="training seeds 0…n−1")
    parser.add_argument("--draw", type=int, default=0, help="seed of the draw of training pictures")
    parser.add_argument("--recipes", nargs="+", default=["equipoise", "mit-2021"])
    parser.add_argument("--work", type=Path, default=Path("runs/b1"), help="folder for the runs")
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/b1"), help="results without ending"
    )
    parser.add_argument("extra", nargs="*", help="further flags of `equipoise debias`, after --")
    options = parser.parse_args()
    results = {
        "command": "python "
        + " ".join(["benchmarks/b1.py", "--data", "DATA", "--seeds", str(options.seeds)])
        + (f" --draw {options.draw}" if options.draw else "")
        + f" --recipes {' '.join(options.recipes)}"
        + (" -- " + " ".join(options.extra) if options.extra else ""),
        "seeds": list(range(options.seeds)),
        "draw": options.draw,
        "machine": {"cores": len(__import__("os").sched_getaffinity(0)), "processor": processor()},
        "recipes": {},
    }
    for recipe in options.recipes:
        records = []
        for seed in results["seeds"]:
            records.append(run(options.data, options.work, recipe, seed, options.draw, options.extra))
            worst = records[-1]["models"]["debiased"]["worst_group"]["race"]["at_fpr"]
            print(
                f"{recipe} seed {seed}: worst race {worst['group']}, TPR {worst['tpr']['value']:.4f}",
                flush=True,
            )
            results["recipes"][recipe] = summary(records)
            results["versions"] = records[-1]["versions"]
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
            options.out.with_suffix(".md").write_text(markdown(results))
    print(markdown(results))


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
