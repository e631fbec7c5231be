"""B2: the gender annotation from a picture, where races are unequally many in training.

    python benchmarks/b2.py --data DATA --seeds 5

The question of Gender Shades (Buolamwini, Gebru 2018): who is misclassified? Training: 9,950 adults of FairFace's
training file, per race a fixed number, without replacement; 2,000 more of the same skew are held out for thresholds,
last layers and choices. One draw (seed 0) for all methods and training seeds. Test: adults of the test file.

The label is the data set's binary gender annotation: what annotators saw in a picture, not a truth about a person. Race
is an annotation likewise; it serves to measure unequal error, and only methods marked † see it in training or in the
held-out part.

Every run is a line: worst race × label cell, gap, accuracy and average precision, with intervals over pictures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.groups import Groups
from lines import Lines
from peers import METHODS, Part, Task, sources, steps_of
from peers.figures import numbers
from peers.page import Line, cells_of, figure, found, mean_of_cell, over, runs_of, table_of
from peers.pictures import brought, columns, stored

COUNTS = {
    "White": 6000,
    "Latino_Hispanic": 1500,
    "Middle Eastern": 1500,
    "East Asian": 500,
    "Southeast Asian": 200,
    "Indian": 150,
    "Black": 100,
}
HELD_OUT = 2000
CHILDREN = ("0-2", "3-9")
LABELS = ("Male", "Female")
EPOCHS = 13  # 2,015 steps: about as many as B1 takes
CONTROLS = ("plain, no augmentation", "uniform sampling (control)", "equipoise, uniform (control)")


def drawn(race: np.ndarray, adult: np.ndarray, *, scale: float = 1.0, seed: int = 0) -> list[np.ndarray]:
    """Rows of the training and of the held-out part: adults, by race, each in a random order."""
    rng = np.random.default_rng(seed)
    held_out = HELD_OUT / sum(COUNTS.values())
    parts: list[list[np.ndarray]] = [[], []]
    for name, count in COUNTS.items():
        order = rng.permutation(np.flatnonzero(adult & (race == name)))
        first = max(2, round(scale * count))
        second = max(10, round(scale * count * held_out))  # both labels, also when quick
        parts[0].append(order[:first])
        parts[1].append(order[first : first + second])
    return [rng.permutation(np.concatenate(rows)) for rows in parts]


class Pictures:
    """The parts of the benchmark, read when they are first asked for."""

    def __init__(self, data: Path, scale: float, brought: tuple[Path, Path] | None) -> None:
        self.train, self.test_file = (
            data / "fairface64" / name for name in ("train.parquet", "test.parquet")
        )
        self.scale, self.brought = scale, brought

    def part(self, images: np.ndarray, female: np.ndarray, race: np.ndarray) -> Part:
        names = np.array([*sorted(COUNTS), *sorted(set(race) - set(COUNTS))])
        ids = np.searchsorted(names[: len(COUNTS)], race)
        for place in range(len(COUNTS), len(names)):  # races that training does not have
            ids[race == names[place]] = place
        return Part(images, female, 100 * female + ids, ids)

    def taken(self, file: Path, rows: np.ndarray) -> Part:
        race, gender = columns(file, "race", "gender")
        return self.part(stored(file, rows), (gender[rows] == LABELS[1]).astype(np.int64), race[rows])

    @cached_property
    def training(self) -> tuple[Part, Part]:
        """The training and the held-out part."""
        race, age = columns(self.train, "race", "age")
        rows = drawn(race, ~np.isin(age, CHILDREN), scale=self.scale)
        return self.taken(self.train, rows[0]), self.taken(self.train, rows[1])

    @cached_property
    def test(self) -> tuple[Part, Groups]:
        """The test part and its races."""
        if self.brought is not None:
            images, female, race = brought(*self.brought, "race")
            return self.part(images, female, race), Groups.from_column(race, attribute="race")
        race, age = columns(self.test_file, "race", "age")
        rows = np.flatnonzero(~np.isin(age, CHILDREN))[:: 1 if self.scale == 1 else 4]
        return self.taken(self.test_file, rows), Groups.from_column(race[rows], attribute="race")

    def task(self, seed: int, epochs: int) -> Task:
        training, held_out = self.training
        return Task(training, held_out, self.test[0], seed, steps_of(len(training), epochs))


def measured(pictures: Pictures, task: Task, method: str) -> dict[str, Any]:
    """Numbers of a run."""
    outcome = METHODS[method].run(task)
    numbers_of_run = numbers(
        outcome.test,
        task.test.target,
        pictures.test[1],
        held_out=outcome.held_out,
        held_out_target=task.held_out.target,
        names=LABELS,
    )
    whole = numbers_of_run | {"told": outcome.told, "steps": outcome.steps, "seconds": outcome.seconds}
    return json.loads(json.dumps(whole), parse_float=lambda digits: round(float(digits), 5))


# --- the page ---


def named(method: str) -> str:
    """The method with its mark."""
    return f"{method} †" if sees_groups(method) else method


def sees_groups(method: str) -> bool:
    return method in METHODS and METHODS[method].sees_groups


def scenes(lines: Iterable[Line]) -> dict[str, list[Line]]:
    """Lines by what sets runs apart besides method and seed."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(json.dumps(line["setting"], sort_keys=True), []).append(line)
    return found


def table(lines: list[Line]) -> str:
    """The lines as Markdown: a table of methods, what it says, and the cells."""
    page = [
        "The label is the binary gender annotation of FairFace: what annotators saw in a picture, not a truth "
        "about a person. Race is an annotation likewise and serves to measure unequal error. † sees race in "
        "training or in the held-out part; 'in use too' needs the race of every picture that is judged. A cell is "
        "a race with a label; gap is best less worst cell; AP counts cells equally. Percent at probability 0.5, "
        "mean [95 % t-interval] over training seeds on one draw; 'over pictures' is the bootstrap interval of the "
        "worst cell, 'held-out threshold' has both labels equally often right on the held-out part. Seconds: "
        "median (range) of all training.",
        "",
    ]
    for setting, some in scenes(lines).items():
        runs = runs_of(some, METHODS)
        page += [f"Setting {setting}.", ""]
        page += table_of(runs, named, ("worst_cell_accuracy", "average_accuracy", "gap", "ap"))
        page += ["", *found(runs, sees_groups, CONTROLS), *goals(runs), "", "Cells, accuracy in percent:", ""]
        cells = cells_of(runs)
        page += ["| method | " + " | ".join(cells) + " |", "|---" * (len(cells) + 1) + "|"]
        for method, mine in runs.items():
            page.append(
                f"| {named(method)} | "
                + " | ".join(f"{mean_of_cell(mine, cell):.1f}" for cell in cells)
                + " |"
            )
        page.append("")
    page.append(sources())
    return "\n".join(page).rstrip() + "\n"


def goals(runs: dict[str, dict[int, Line]]) -> list[str]:
    """Who reaches 80 % in the worst cell and 86 % overall."""
    good = [
        f"{named(m)} ({over(r, 'worst_cell_accuracy')['mean']:.1f}, {over(r, 'average_accuracy')['mean']:.1f})"
        for m, r in runs.items()
        if over(r, "worst_cell_accuracy")["mean"] >= 80 and over(r, "average_accuracy")["mean"] >= 86
    ]
    return [
        f"* Worst cell at least 80 %, accuracy at least 86 %: {', '.join(good) if good else 'no method'}."
    ]


def figures(lines: list[Line], folder: Path) -> list[Path]:
    """Accuracy of every cell, an SVG a setting; gives the files."""
    return [
        figure(runs_of(some, METHODS), named, folder / f"b2-cells{f'-{i + 1}' if i else ''}.svg")
        for i, some in enumerate(scenes(lines).values())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with fairface64")
    parser.add_argument("--seeds", type=int, default=5, help="training seeds 0…n−1")
    parser.add_argument("--epochs", type=int, help=f"passes over the training pictures; {EPOCHS}, quick 2")
    parser.add_argument(
        "--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="METHOD"
    )
    parser.add_argument("--lines", type=Path, default=Path("benchmarks/results/b2.jsonl"))
    parser.add_argument("--test-positives", type=Path, help="Female-labelled pictures with a column race")
    parser.add_argument("--test-negatives", type=Path, help="Male-labelled pictures with a column race")
    parser.add_argument("--quick", action="store_true", help="a tenth of the pictures: shows that it runs")
    options = parser.parse_args()
    if (options.test_positives is None) != (options.test_negatives is None):
        parser.error("--test-positives and --test-negatives replace the test together: give both or none")
    epochs = options.epochs or (2 if options.quick else EPOCHS)
    other = None if options.test_positives is None else (options.test_positives, options.test_negatives)
    setting = {"epochs": epochs}
    setting |= {"quick": True} if options.quick else {}
    setting |= {"test": [path.name for path in other]} if other else {}
    command = f"python benchmarks/b2.py --data DATA --seeds {options.seeds} --epochs {epochs}"
    command += " --quick" if options.quick else ""
    command += " --test-positives FILE --test-negatives FILE" if other else ""
    lines = Lines(options.lines, "b2", command)
    pictures = Pictures(options.data, 0.1 if options.quick else 1.0, other)
    for seed in range(options.seeds):
        task: list[Task] = []

        def measure(method: str, seed: int = seed, task: list[Task] = task) -> dict[str, Any]:
            if not task:
                task.append(pictures.task(seed, epochs))
            return measured(pictures, task[0], method)

        for method in options.methods:
            line = lines.run(method, seed, lambda method=method: measure(method), setting=setting)
            if line is not None:
                half = line["numbers"]["at_half"]
                print(
                    f"b2 {method} seed {seed}: worst {half['worst_cell']} "
                    f"{100 * half['worst_cell_accuracy']['value']:.1f} %, accuracy "
                    f"{100 * half['average_accuracy']['value']:.1f} %, {line['wall_s']:.0f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
