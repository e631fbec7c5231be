"""Does the demo hold? `equipoise demo` with several seeds of all that is left to chance: pictures, split, network.

    python benchmarks/demo.py --seeds 5

A line a seed in results/demo.jsonl: how often the network is right, in all and in the worst hidden cell, before and
after the fix, with paired intervals; the same for the controls; what was chosen; the slices that were found. Prints the
table.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from equipoise import report, run
from equipoise.report import FixRecord
from equipoise.report.parts.typed_json import encode
from lines import Lines

RESULTS = Path(__file__).parent / "results"
HIDDEN = ("no glasses", "backlit"), ("glasses", "even")


def numbers(record: FixRecord) -> dict[str, Any]:
    """What a line holds of a run."""
    models = {}
    for name, model in record.models.items():
        groups = model.numbers.groups["light"]
        models[name] = {
            "title": model.title,
            "accuracy": encode(model.numbers.accuracy),
            "hidden": {f"{label}, {light}": encode(groups[light].cells[label]) for label, light in HIDDEN},
        }
        if name in record.comparisons.differences:
            change = record.comparisons.differences[name]
            models[name]["change"] = {
                "accuracy": encode(change.accuracy),
                "worst_cell": encode(change.worst_cell["light"]),
            }
    return {
        "chosen": record.choice.chosen,
        "models": models,
        "slices": encode(record.slices),
        "seconds": record.timing.wall_s,
    }


def table(lines: list[dict[str, Any]]) -> str:
    """Seeds as rows, in Markdown: percent right, changes in points."""
    heads = [
        "seed",
        "all before",
        "worst hidden cell",
        "its size",
        "fixed: change there",
        "change in all",
        "chosen",
    ]
    rows = [heads, ["---"] * len(heads)]
    for line in sorted(lines, key=lambda one: one["seed"]):
        before, after = (line["numbers"]["models"][name] for name in ("before", "after"))
        worst = min(before["hidden"].values(), key=lambda rate: rate["value"])
        shown = [_points(after["change"][name]) for name in ("worst_cell", "accuracy")]
        rows.append(
            [
                str(line["seed"]),
                f"{100 * before['accuracy']['value']:.1f}",
                f"{100 * worst['value']:.1f}",
                str(worst["n"]),
                *shown,
                line["numbers"]["chosen"],
            ]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _points(rate: dict[str, float]) -> str:
    value, low, high = (100 * rate[name] for name in ("value", "low", "high"))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def main() -> None:
    """Run what has no line yet, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=15000)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the lines")
    asked = parser.parse_args()
    lines = Lines(asked.results / "demo.jsonl", "demo", f"python benchmarks/demo.py --images {asked.images}")
    for seed in range(asked.seeds):
        with tempfile.TemporaryDirectory() as folder:

            def measured(seed: int = seed, folder: str = folder) -> dict[str, Any]:
                found = run.demo(asked.images, training=run.Training(seed=seed), output=run.Output(folder))
                print(report.demo_text(found), flush=True)
                return numbers(found)

            lines.run("demo", seed, measured, setting={"images": asked.images})
    print(table([line for line in lines.read() if line["setting"] == {"images": asked.images}]))


if __name__ == "__main__":
    main()
