"""B3: old or young, where the training pictures correlate it with gender.

    python benchmarks/b3.py --data DATA --seeds 5 --generator GENERATOR

Young = ages 10–29, old = 40 and over, of FairFace. 8,000 training pictures: young women and old men are the rule, young
men and old women are a share c of their half. 2,000 more of the same skew are held out for thresholds and choices.
A seed decides the draw, the same for all methods, and the training. Test: all young and old of the test file. Age and
gender are what annotators saw in a picture; gender serves to measure unequal error, and only methods marked † see
it in training. Variants of a method are compared once, in the first scene (smallest c, seed 0), by the mean accuracy of
the four cells on the held-out part, and the best is taken everywhere; ‡ sees gender there, and only there.

The methods are those of `peers`, and beside them pairs of a generator. Those with "GAN" take their pictures from one
generator, trained beforehand by `equipoise train-generator` on faces of the training file without labels, and are left
out without `--generator`. "Discovered" ones put what `equipoise.slices.find` finds on the held-out part where others
put gender; where it finds nothing, plain stays as it is.

Every run is a line. The logits of runs are kept in the work folder too, so that numbers can be made from them again
without training: a run whose logits are there is not trained again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from b3_methods import CEILING, CONTROLS, DISCOVERED, IN_USE, METHODS, UNEDITED, Scene
from equipoise.groups import Groups
from equipoise.seeds import child_seed
from lines import Lines
from peers import Outcome, Part, steps_of
from peers.figures import numbers
from peers.harness import mean_of_cells
from peers.page import (
    Line,
    Runs,
    against,
    cells_of,
    figure,
    number,
    over,
    runs_of,
    shown,
    table_of,
)
from peers.pictures import brought, columns, stored

YOUNG, OLD = ("10-19", "20-29"), ("40-49", "50-59", "60-69", "70+")
TRAIN, HELD_OUT, EPOCHS = 8000, 2000, 4
LABELS = ("young", "old")


def annotated(images: np.ndarray, old: np.ndarray, female: np.ndarray) -> Part:
    """A part whose groups are gender: 1 = Female; cells are 2 · old + female."""
    return Part(images, old, 2 * old + female, female)


def labelled(file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows that are young or old, whether old, whether female."""
    age, gender = columns(file, "age", "gender")
    rows = np.flatnonzero(np.isin(age, YOUNG + OLD))
    return rows, np.isin(age[rows], OLD).astype(np.int64), (gender[rows] == "Female").astype(np.int64)


def part(file: Path, chosen: np.ndarray) -> Part:
    """Pictures of chosen rows among the labelled ones."""
    rows, old, female = labelled(file)
    return annotated(stored(file, rows[chosen]), old[chosen], female[chosen])


def drawn(old: np.ndarray, female: np.ndarray, rare: float, seed: int, scale: float) -> list[np.ndarray]:
    """Rows of the training and of the held-out part."""
    rng = np.random.default_rng(child_seed(seed, "draw"))
    parts: list[list[np.ndarray]] = [[], []]
    for o in (0, 1):
        for f in (0, 1):
            order = rng.permutation(np.flatnonzero((old == o) & (female == f)))
            share = rare if o == f else 1 - rare
            first, second = (max(2, round(total * scale / 2 * share)) for total in (TRAIN, HELD_OUT))
            parts[0].append(order[:first])
            parts[1].append(order[first : first + second])
    return [rng.permutation(np.concatenate(rows)) for rows in parts]


# --- runs ---


@dataclass(frozen=True)
class Setting:
    """What a scene is drawn and trained with.

    Args:
        data: Folder with fairface64.
        c: Share of the rare cells in their half.
        seed: Of draw and training.
        epochs: Passes.
        scale: Share of the pictures of the protocol.
        gan: Folder of the saved generator.
        brought: Old and young test pictures in place of the protocol's.
    """

    data: Path
    c: float
    seed: int
    epochs: int
    scale: float
    gan: Path | None
    brought: tuple[Path, Path] | None

    @cached_property
    def files(self) -> tuple[Path, Path]:
        """Training and test file."""
        train, test = (self.data / "fairface64" / f"{side}.parquet" for side in ("train", "test"))
        return train, test

    @cached_property
    def rows(self) -> list[np.ndarray]:
        """Rows of the training and of the held-out part among the labelled ones."""
        _, old, female = labelled(self.files[0])
        return drawn(old, female, self.c, self.seed, self.scale)

    @cached_property
    def test(self) -> Part:
        if self.brought is not None:
            images, old, gender = brought(*self.brought, "gender")
            return annotated(images, old, (gender == "Female").astype(np.int64))
        return part(self.files[1], np.arange(len(labelled(self.files[1])[0])))

    @cached_property
    def answers(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Whether old and whether female, of the held-out and the test part; needs no picture of the protocol."""
        _, old, female = labelled(self.files[0])
        mine = self.rows[1]
        if self.brought is not None:
            return {"held_out": (old[mine], female[mine]), "test": (self.test.target, self.test.groups)}
        return {"held_out": (old[mine], female[mine]), "test": labelled(self.files[1])[1:]}

    @cached_property
    def steps(self) -> int:
        return steps_of(len(self.rows[0]), self.epochs)

    @cached_property
    def scene(self) -> Scene:
        training, held_out = (part(self.files[0], rows) for rows in self.rows)

        def rest() -> Part:
            left = np.setdiff1d(np.arange(len(labelled(self.files[0])[0])), np.concatenate(self.rows))
            most = round(2 * TRAIN * self.scale)
            shuffled = np.random.default_rng(child_seed(self.seed, "rest")).permutation(left)
            return part(self.files[0], shuffled[:most])

        return Scene(training, held_out, self.test, self.seed, self.steps, self.gan, rest)


class Kept:
    """Logits of finished runs of a scene, a JSON line each; a last line that is cut off does not count."""

    def __init__(self, path: Path, steps: int) -> None:
        self.path, self.runs = path, {}
        for text in path.read_text().splitlines() if path.exists() else ():
            try:
                entry = json.loads(text)
            except ValueError:
                continue
            if "scores" in entry:
                told = entry["told"]
                self.runs[entry["method"], entry["variant"]] = Outcome(
                    *(np.array(entry["scores"][name]) for name in ("test", "held_out")),
                    told,
                    entry.get("steps", steps + told.pop("extra_steps", 0)),
                    entry["seconds"],
                )

    def outcome(self, setting: Setting, method: str, variant: str) -> Outcome:
        """What is kept of a run, or the run."""
        if (method, variant) not in self.runs:
            found = METHODS[method][1][variant](setting.scene)
            logits = {"test": found.test, "held_out": found.held_out}
            entry = {"method": method, "variant": variant, "steps": found.steps, "seconds": found.seconds}
            entry |= {"told": found.told, "scores": {n: np.round(v, 5).tolist() for n, v in logits.items()}}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps(entry) + "\n")
            self.runs[method, variant] = found
        return self.runs[method, variant]


def measured(setting: Setting, outcome: Outcome) -> dict[str, Any]:
    """Numbers of a run; "choice" is what variants are chosen by."""
    (held_out, others), (old, female) = setting.answers["held_out"], setting.answers["test"]
    found = numbers(
        outcome.test,
        old,
        Groups.from_column(np.where(female, "women", "men"), attribute="gender"),
        held_out=outcome.held_out,
        held_out_target=held_out,
        names=LABELS,
        signs={"women": -1, "men": 1},
    )
    found["choice"] = mean_of_cells(outcome.held_out, held_out, 2 * held_out + others)
    found |= {"told": outcome.told, "steps": outcome.steps, "seconds": outcome.seconds}
    return json.loads(json.dumps(found), parse_float=lambda digits: round(float(digits), 5))


# --- the page ---


def choices(lines: Iterable[Line]) -> dict[str, str]:
    """Of each method whose variants are all finished in the first scene, the one that is best on the held-out part."""
    first = [line for line in lines if line["seed"] == 0]
    c = min((line["setting"]["c"] for line in first), default=None)
    values = {
        (line["method"], line["setting"]["variant"]): line["numbers"]["choice"]
        for line in first
        if line["setting"]["c"] == c
    }
    return {
        method: max(variants, key=lambda variant, method=method: values[method, variant])
        for method, (_, variants) in METHODS.items()
        if all((method, variant) in values for variant in variants)
    }


def scenes(lines: Iterable[Line]) -> dict[tuple[str, float], Runs]:
    """Runs of the chosen variants by what else was set, and c."""
    settings: dict[str, list[Line]] = {}
    for line in lines:
        rest = {name: value for name, value in line["setting"].items() if name not in ("c", "variant")}
        settings.setdefault(json.dumps(rest, sort_keys=True), []).append(line)
    found = {}
    for rest, some in settings.items():
        chosen = choices(some)
        for c in sorted({line["setting"]["c"] for line in some}):
            mine = [
                line
                for line in some
                if line["setting"]["c"] == c and chosen.get(line["method"]) == line["setting"]["variant"]
            ]
            if mine:
                found[rest, c] = runs_of(mine, METHODS)
    return found


def oracle(method: str) -> bool:
    return METHODS[method][0]


def named(method: str) -> str:
    return f"{method} †" if oracle(method) else f"{method} ‡" if len(METHODS[method][1]) > 1 else method


def points(runs: Runs, method: str, name: str) -> dict[str, Any]:
    """Points gained on plain over the seeds that both have; 0 of none for plain itself."""
    found = against(runs[method], runs["plain"], name)
    if found is None:
        raise KeyError(f"{method} and plain have no seed in common")
    return found


def sentences(runs: Runs, c: float) -> list[str]:
    """What the goals say to these numbers."""
    tried = [m for m in runs if m not in CONTROLS and set(runs[m]) & set(runs.get("plain", ()))]
    if not tried:
        return []
    worst = {m: points(runs, m, "worst_cell_accuracy") for m in tried}
    ap = {m: points(runs, m, "ap")["mean"] for m in tried}
    deo = {m: over(runs[m], "deo")["mean"] for m in tried}
    base = {
        m: np.mean([number(runs["plain"][s], "deo") for s in runs[m] if s in runs["plain"]]) for m in tried
    }
    halved = [named(m) for m in tried if deo[m] <= base[m] / 2 and ap[m] >= -1]
    lines = [
        f"* DEO at most half of plain's, AP no more than 1 point lower: {', '.join(halved) or 'no method'}."
    ]
    if c <= 0.011:
        far = [
            f"{named(m)} ({worst[m]['mean']:+.1f}, AP {ap[m]:+.1f})" for m in tried if worst[m]["mean"] >= 15
        ]
        lines.append(f"* Worst cell at least 15 points above plain: {', '.join(far) or 'no method'}.")
    free = {m: over(runs[m], "worst_cell_accuracy")["mean"] for m in tried if not oracle(m)}
    if free:
        best, goal = max(free, key=lambda m: free[m]), 60 if c <= 0.011 else 70
        text = f"* Best worst cell without gender: {named(best)}, {free[best]:.1f} %; the goal was {goal} %"
        if "GroupDRO" in runs:
            robust = over(runs["GroupDRO"], "worst_cell_accuracy")["mean"]
            text += f", and 0.9 of GroupDRO's {robust:.1f} %"
        lines.append(text + ".")
    lines.append("* Most gained in the worst cell by a method whose AP is no more than 1 point lower:")
    for title, test in (
        ("with gender in training and in use", lambda m: m in IN_USE),
        ("with gender in training", lambda m: oracle(m) and m not in IN_USE),
        ("with pairs", lambda m: m.startswith("pairs")),
        ("without gender", lambda m: not oracle(m)),
    ):
        some = [m for m in tried if test(m) and ap[m] >= -1]
        if not some:
            lines.append(f"    * {title}: no method.")
            continue
        best = max(some, key=lambda m: worst[m]["mean"])
        lines.append(
            f"    * {title}: {best}, {shown(worst[best], sign='+')} points; DEO {deo[best]:.1f} against plain's "
            f"{base[best]:.1f} %, AP {ap[best]:+.1f} points."
        )
    for found, annotated in DISCOVERED.items():
        if found in worst and annotated in worst:
            gains = worst[found]["mean"], worst[annotated]["mean"]
            lines.append(
                f"* {found} gains {gains[0]:+.1f} points in the worst cell, the same with gender ({annotated} †) "
                f"{gains[1]:+.1f}: {'at' if gains[0] >= 2 / 3 * gains[1] > 0 else 'not at'} least two thirds."
            )
    for method, control in UNEDITED.items():
        if method in worst and control in runs:
            gains = [points(runs, m, "worst_cell_accuracy")["mean"] for m in (method, control)]
            share = [100 * told_mean(runs[m], "share") for m in (method, control)]
            lines.append(
                f"* {method}{' as published' if method == 'pairs' else ''}: {gains[0]:+.1f} points in the worst cell "
                f"with {share[0]:.0f} % generated; the same generator's pictures, unedited, {gains[1]:+.1f} with "
                f"{share[1]:.0f} %."
            )
    if CEILING in runs:
        lines.append(
            "* With f_t and f_g from elsewhere, which see other pictures with all cells equally often, the same pairs "
            f"gain {shown(points(runs, CEILING, 'worst_cell_accuracy'), sign='+')} points in the worst cell: what "
            "better classifiers would bring, and no method to use, since who has such pictures trains on them."
        )
    if "uniform sampling (control)" in runs:
        moved = points(runs, "uniform sampling (control)", "worst_cell_accuracy")["values"]
        lines.append(
            "* How large chance is: rows drawn with replacement in place of in turn moved the worst cell by "
            + ", ".join(f"{value:+.1f}" for value in moved)
            + " points."
        )
    return lines


def told_mean(runs: dict[int, Line], name: str) -> float:
    """Mean over seeds of something told; a list counts with its mean."""
    return float(np.mean([np.mean(line["numbers"]["told"][name]) for line in runs.values()]))


def edits(runs: Runs) -> list[str]:
    """What the edits did, in the eyes of the classifiers."""
    lines = []
    for method, mine in runs.items():
        if "unedited" in method or any("f_g changed" not in e["numbers"]["told"] for e in mine.values()):
            continue
        mean = {name: 100 * told_mean(mine, name) for name in ("f_g changed", "f_t kept", "kept", "share")}
        lines.append(
            f"* {method}: f_g changed sides in {mean['f_g changed']:.0f} % of the pairs, f_t kept its side in "
            f"{mean['f_t kept']:.0f} %, both in {mean['kept']:.0f} %; generated in the training set "
            f"{mean['share']:.0f} %."
        )
    return lines


def discoveries(runs: Runs) -> list[str]:
    """What was found in place of gender, and how much of gender is in it; to be told, not used."""
    lines = []
    for method, mine in runs.items():
        if any("slices" not in line["numbers"]["told"] for line in mine.values()):
            continue
        found = {seed: line for seed, line in mine.items() if line["numbers"]["told"]["slices"]}
        told = f"* {method}: slices were found in {len(found)} of {len(mine)} seeds"
        if found:
            mean = {
                name: 100 * told_mean(found, name)
                for name in ("inside", "rare inside", "rare found", "wrong")
            }
            told += (
                f"; in them lie {mean['inside']:.0f} % of the training pictures, {mean['rare inside']:.1f} % of them "
                f"of a rare cell, and {mean['rare found']:.0f} % of the rare cells. Plain is wrong in "
                f"{mean['wrong']:.0f} % of the held-out ones there that test"
            )
        lines.append(f"{told}. Where none was found, plain stays.")
    return lines


def table(lines: list[Line]) -> str:
    """The lines as Markdown: a table a scene, and what it says."""
    page = [
        "Young 10–29, old 40 and over; 8,000 training pictures, young men and old women a share c of their half; "
        "2,000 more of the same skew held out. Age and gender are what annotators saw in a picture; gender serves "
        "to measure unequal error. † sees gender in training or in the held-out part, ‡ only in choosing a "
        "variant on the held-out part of the first scene; 'in use too' needs the gender of every picture that is "
        "judged. Percent at probability 0.5, mean [95 % t-interval] over seeds, each a draw and a training; 'over "
        "pictures' is the bootstrap interval of the worst cell, 'held-out threshold' has both classes equally "
        "often right on the held-out part. AP counts cells equally; DEO is the difference of the shares of old "
        "women and old men missed. Methods are compared with plain on the seeds that they have in common; rows "
        "with fewer seeds were run for fewer. Steps after a + are those of the GAN, trained once, without labels, "
        "on nearly all faces of the training file of 20 years and older, the held-out ones among them. LISA, "
        "logit correction, domain independent, threshold per gender, plain less gender's logit, all with unseen "
        "errors, product of experts in this form, corrected classifiers, the GAN and discovered sides were added "
        "after test numbers of c = 1 %, seed 0 had been seen. No number here proves fairness.",
        "",
    ]
    for (rest, c), runs in scenes(lines).items():
        page += [f"### c = {c:.0%}" + (f", setting {rest}" if rest != DEFAULT else ""), ""]
        names = ("worst_cell_accuracy", "average_accuracy", "deo", "ap")
        page += table_of(runs, named, names, cells=cells_of(runs), seconds=False)
        page += ["", *sentences(runs, c), *edits(runs), *discoveries(runs), ""]
    return "\n".join(page).rstrip() + "\n"


def figures(lines: list[Line], folder: Path) -> list[Path]:
    """Accuracy of the four cells, an SVG a scene; gives the files."""
    return [
        figure(runs, named, folder / f"b3-cells-{round(100 * c)}{'' if rest == DEFAULT else f'-{i}'}.svg")
        for i, ((rest, c), runs) in enumerate(scenes(lines).items())
    ]


DEFAULT = json.dumps({"epochs": EPOCHS})
QUICK = [m for m in METHODS if not any(word in m for word in ("pairs", "GAN", "latents", "discovered"))]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with fairface64")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rare", type=float, nargs="+", help="shares c; 0.01 0.05, quick 0.05")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--generator", type=Path, help="folder of `equipoise train-generator`, for the GAN")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), metavar="METHOD")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the pictures, no pairs: shows that it runs"
    )
    parser.add_argument("--work", type=Path, default=Path("runs/b3"), help="logits of finished runs")
    parser.add_argument("--kept", action="store_true", help="only runs in the work folder: train nothing")
    parser.add_argument("--lines", type=Path, default=Path("benchmarks/results/b3.jsonl"))
    parser.add_argument("--test-positives", type=Path, help="pictures of the old, with a column gender")
    parser.add_argument("--test-negatives", type=Path, help="pictures of the young, with a column gender")
    options = parser.parse_args()
    if (options.test_positives is None) != (options.test_negatives is None):
        parser.error("--test-positives and --test-negatives replace the test together: give both or none")
    other = None if options.test_positives is None else (options.test_positives, options.test_negatives)
    scale = 0.1 if options.quick else 1.0
    rare = options.rare or ([0.05] if options.quick else [0.01, 0.05])
    wanted = options.methods or (QUICK if options.quick else list(METHODS))
    rest = {"epochs": options.epochs}
    rest |= {"quick": True} if options.quick else {}
    rest |= {"test": [path.name for path in other]} if other else {}
    command = f"python benchmarks/b3.py --data DATA --seeds {options.seeds}"
    command += " --generator GENERATOR" if options.generator else ""
    command += f" --epochs {options.epochs}" if options.epochs != EPOCHS else ""
    command += " --quick" if options.quick else ""
    command += " --test-positives FILE --test-negatives FILE" if other else ""
    lines = Lines(options.lines, "b3", command)
    for seed in range(options.seeds):
        for c in rare:
            setting = Setting(options.data, c, seed, options.epochs, scale, options.generator, other)
            name = f"c{c:g}-seed{seed}-epochs{options.epochs}-scale{scale:g}.jsonl"
            folder = options.work / "-".join(rest["test"]) if other else options.work
            kept = Kept(folder / name, setting.steps)
            same = [
                line
                for line in lines.read()
                if {k: v for k, v in line["setting"].items() if k not in ("c", "variant")} == rest
            ]
            chosen = {} if (c, seed) == (min(rare), 0) else choices(same)
            for method in wanted:
                for variant in METHODS[method][1]:
                    trainable = not options.kept and (options.generator is not None or "GAN" not in method)
                    if chosen.get(method, variant) != variant or not (
                        trainable or (method, variant) in kept.runs
                    ):
                        continue
                    line = lines.run(
                        method,
                        seed,
                        lambda m=method, v=variant, s=setting, k=kept: measured(s, k.outcome(s, m, v)),
                        setting={"c": c, "variant": variant} | rest,
                    )
                    if line is not None:
                        half = line["numbers"]["at_half"]
                        print(
                            f"b3 c = {c:.0%} seed {seed} {method} {variant}: worst cell "
                            f"{100 * half['worst_cell_accuracy']['value']:.1f} %, {half['worst_cell']}, "
                            f"{line['wall_s']:.0f} s",
                            flush=True,
                        )


if __name__ == "__main__":
    main()
