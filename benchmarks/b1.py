"""B1: face detection with a skew in race.

    python benchmarks/b1.py --data DATA --seeds 5

Training positives: adults of FairFace, per race a fixed number, within a race women drawn with weight 0.7 and
men with 0.3; as many negatives from Tiny ImageNet; one draw (seed 0) for all methods and training seeds. Test:
both test files, or other ones by --test-positives and --test-negatives. Headline: miss rate of the worst race at 1 %
false positives. Race and gender are what annotators saw in a picture; they serve to measure unequal error, and no
method sees them in training except the oracles among the peers (†).

Methods: recipes through `equipoise debias`, with their controls; the labs' programs (`labs/`) in TensorFlow and in
plain PyTorch; the peers of `peers.py`. All are measured by `equipoise.fairness.evaluate`, so the threshold comes from
the test negatives by one rule. A finished run of a recipe in the work folder is used again.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from fnmatch import fnmatch
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from equipoise.data import ImageTable, read
from equipoise.errors import InputError
from equipoise.fairness import evaluate
from equipoise.groups import Groups
from equipoise.seeds import child_seed
from equipoise.train import Recipe, recipe
from labs import PYTHON, lab_run
from lines import Lines, cost, over_seeds, shown
from peers import HOW, METHODS, Part, Task, steps_of

COUNTS = {
    "White": 7000,
    "Latino_Hispanic": 1500,
    "Middle Eastern": 1500,
    "East Asian": 700,
    "Southeast Asian": 200,
    "Indian": 150,
    "Black": 100,
}
RAREST = "Black"
"""Race with the fewest training pictures."""
RECIPES: dict[str, tuple[str, ...]] = {"equipoise": (), "mit-2021": ("--no-controls",)}
MODELS = {"debiased": "", "plain": ": plain", "uniform": ": uniform", "threshold-only": ": threshold only"}
LABS = ("cnn", "cnn-6", "dbvae", "dbvae-uniform")
OWN = ("equipoise", "equipoise, uniform (control)", "mit-2021")
"""Peers that are recipes, which are measured here through the public command."""
QUICK = 0.025
"""Share of the training pictures that a quick run draws."""


# --- data ---


def draw(data: Path, work: Path, seed: int, scale: float = 1.0) -> tuple[Path, Path]:
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
        wanted = min(count if scale == 1 else max(8, round(scale * count)), len(pool))
        rows.append(rng.choice(pool, wanted, replace=False, p=weights / weights.sum()))
    chosen = np.sort(np.concatenate(rows))
    pq.write_table(faces.take(pa.array(chosen)), positives)
    others = pq.read_table(data / "tinyimagenet64" / "train.parquet")
    pq.write_table(
        others.take(pa.array(np.sort(rng.choice(others.num_rows, len(chosen), replace=False)))), negatives
    )
    return positives, negatives


def part_of(file: Path, work: Path, rows: int) -> Path:
    """A copy of some rows of a Parquet file, for a quick run."""
    copy = work / f"{file.parent.name}-{file.stem}-{rows}.parquet"
    if not copy.exists():
        table = pq.read_table(file)
        chosen = np.random.default_rng(0).permutation(table.num_rows)[:rows]
        copy.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.take(pa.array(np.sort(chosen))), copy)
    return copy


def as_parquet(source: Path, copy: Path) -> Path:
    """Any source that equipoise reads as Parquet with pictures of 64×64, which the labs' programs read too."""
    if not copy.exists():
        table = read(source, label=1)
        pictures = []
        for row in range(len(table)):
            buffer = io.BytesIO()
            Image.fromarray(table.batch([row])[0]).save(buffer, "PNG")
            pictures.append({"bytes": buffer.getvalue(), "path": None})
        columns = {name: table.attributes.column(name) for name in table.attributes.column_names}
        copy.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"image": pictures} | columns), copy)
    return copy


def fingerprint(path: Path) -> str:
    """What tells test files apart in the lines, without the machine's path: name and digest of the content."""
    digest = hashlib.blake2b(digest_size=4)
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(file.read_bytes())
    return f"{path.name} {digest.hexdigest()}"


@dataclass(frozen=True)
class Scene:
    """The draw, the test files and how long things may take.

    Args:
        data: Folder of the protocol's pictures.
        work: Folder for the draws and runs.
        draw_seed: Seed of the draw.
        tests: Test positives and negatives in place of the protocol's; None where they are the protocol's.
        quick: Tiny sizes.
        labs_python: Python that has TensorFlow.
        extra: Further flags of `equipoise debias`.
        labs_work: Where the labs' runs are kept, for other cases too.
    """

    data: Path
    work: Path
    draw_seed: int = 0
    tests: tuple[Path | None, Path | None] = (None, None)
    quick: bool = False
    labs_python: Path | None = None
    extra: tuple[str, ...] = ()
    labs_work: Path = Path("runs/labs")

    @cached_property
    def setting(self) -> dict[str, Any]:
        """What tells these lines from the protocol's; empty for the protocol."""
        found: dict[str, Any] = {"draw": self.draw_seed} if self.draw_seed else {}
        for name, path in zip(("test_positives", "test_negatives"), self.tests, strict=True):
            if path is not None:
                found[name] = fingerprint(path)
        return found | ({"quick": True} if self.quick else {})

    @cached_property
    def training_files(self) -> tuple[Path, Path]:
        return draw(self.data, self.work, self.draw_seed, QUICK if self.quick else 1.0)

    @cached_property
    def test_files(self) -> tuple[Path, Path]:
        """Parquet files of the test faces and the test negatives."""
        usual = ("fairface64", "tinyimagenet64")
        files = []
        for given, own, rows in zip(self.tests, usual, (350, 400), strict=True):
            file = self.data / own / "test.parquet"
            if given is not None:
                file = as_parquet(given, self.work / f"test-{fingerprint(given).split()[-1]}.parquet")
            files.append(part_of(file, self.work, rows) if self.quick else file)
        return files[0], files[1]

    @cached_property
    def tables(self) -> dict[str, ImageTable]:
        """Pictures by part: "positives", "negatives", "test_positives", "test_negatives"."""
        names = ("positives", "negatives", "test_positives", "test_negatives")
        files = zip(names, (1, 0, 1, 0), self.training_files + self.test_files, strict=True)
        return {name: read(file, label=label) for name, label, file in files}

    @cached_property
    def races(self) -> list[str | None] | None:
        """Race of each test face; None if the test files do not say."""
        faces = self.tables["test_positives"]
        return faces.column("race") if "race" in faces.attributes.column_names else None

    def folder(self, name: str, seed: int) -> Path:
        """A run's folder in the work folder; runs with other test files or flags have their own."""
        own = {k: v for k, v in self.setting.items() if k.startswith("test")} | {"extra": self.extra}
        mark = "-" + mark_of(own) if len(own) > 1 or self.extra else ""
        return self.work / f"{name}-draw{self.draw_seed}{mark}-seed{seed}"

    @cached_property
    def parts(self) -> tuple[Part, Part, Part]:
        """Training, held-out and test part for peers: the held-out part is a tenth of each cell of the draw."""
        cells = self.cells_of("positives")
        pictures = np.concatenate([_images(self.tables[name]) for name in ("positives", "negatives")])
        cells = np.r_[cells, np.full(len(self.tables["negatives"]), len(COUNTS))]
        training = Part(pictures, (cells < len(COUNTS)).astype(np.int64), cells)
        rng = np.random.default_rng(child_seed(self.draw_seed, "held out"))
        aside = np.zeros(len(cells), bool)
        for cell in np.unique(cells):
            rows = np.flatnonzero(cells == cell)
            aside[rng.permutation(rows)[: max(1, round(len(rows) / 10))]] = True
        tested = np.concatenate([_images(self.tables[f"test_{name}"]) for name in ("positives", "negatives")])
        found = np.r_[
            np.zeros(len(self.tables["test_positives"])), np.ones(len(self.tables["test_negatives"]))
        ]
        target = 1 - found.astype(np.int64)
        test = Part(tested, target, np.where(target == 1, 0, len(COUNTS)))  # nobody may look at its cells
        return training.take(np.flatnonzero(~aside)), training.take(np.flatnonzero(aside)), test

    def cells_of(self, name: str) -> np.ndarray:
        """Number of the race of each picture of a part."""
        return np.array([list(COUNTS).index(race) for race in self.tables[name].column("race")])


def _images(table: ImageTable) -> np.ndarray:
    return table.batch(np.arange(len(table)))


def mark_of(value: Any) -> str:
    """Short digest of JSON-able values."""
    told = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2b(told.encode(), digest_size=4).hexdigest()


# --- measuring ---


def percent(rate: dict[str, Any]) -> tuple[float, list[float]]:
    """Share missed and its interval in percent, from a TPR."""
    return 100 * (1 - rate["value"]), [100 * (1 - rate["high"]), 100 * (1 - rate["low"])]


def quality(model: dict[str, Any]) -> dict[str, Any]:
    """Numbers in percent out of an `Evaluation` as a dict: that of a model in a record, or `asdict` of one."""
    everyone = {"group": "all", "tpr": model["tpr_at_fpr"]}
    race = "race" in model["worst_group"]
    worst = model["worst_group"]["race"]["at_fpr"] if race else everyone
    missed, interval = percent(worst["tpr"])
    overall, overall_interval = percent(model["tpr_at_fpr"])
    variance = model["variance"]["race"]["at_fpr"] if race else None
    return {
        "worst_race": worst["group"],
        "worst_miss": missed,
        "worst_miss_interval": interval,
        "miss": overall,
        "miss_interval": overall_interval,
        "variance": variance and variance["value"],
        "variance_interval": variance and [variance["low"], variance["high"]],
        "miss_at_half": 100 * (1 - model["tpr"]["value"]),
        "fpr_at_half": 100 * model["fpr"]["value"],
        "miss_by_race": {
            name: percent(numbers["tpr_at_fpr"])[0]
            for name, numbers in (model["groups"]["race"].items() if race else ())
        },
    }


def scored(positive: np.ndarray, negative: np.ndarray, races: list[str | None] | None) -> dict[str, Any]:
    """Quality of scores on the test faces and the test negatives, with the record's seed of resampling."""
    scores = np.r_[np.asarray(positive, np.float64), np.asarray(negative, np.float64)]
    labels = np.r_[np.ones(len(positive), int), np.zeros(len(negative), int)]
    groups = (
        [] if races is None else [Groups.from_column([*races, *[None] * len(negative)], attribute="race")]
    )
    return quality(asdict(evaluate(scores, labels, groups)))


# --- methods ---


def recipe_mark(name: str, extra: tuple[str, ...]) -> str:
    """Digest of a recipe's settings and further flags: a recipe that changes gets lines of its own."""
    return mark_of([chosen_settings(replace(recipe(name), summary="")), extra])


def chosen_settings(part: Any) -> dict[str, Any]:
    """Settings that differ from the default of their kind, so that a new setting that changes nothing has no mark."""
    found = {field.name: (getattr(part, field.name), field.default) for field in fields(part)}
    return {
        name: chosen_settings(value) if is_dataclass(value) else value
        for name, (value, default) in found.items()
        if value != default
    }


def is_recipe(recorded: dict[str, Any], name: str) -> bool:
    """Whether a run was made with a recipe as it is now; its precision may have come by a flag."""
    now = recipe(name)
    try:
        then = Recipe.from_dict(recorded)
    except InputError:  # a setting that is gone
        return False
    return replace(then, summary=now.summary, precision=now.precision) == now


@cache
def record(scene: Scene, name: str, seed: int) -> dict[str, Any]:
    """The record of `equipoise debias`, which runs unless its folder has the run already; and its day."""
    file = scene.folder(name, seed) / "record.json"
    tuned = scene.quick or scene.extra  # such a run's recipe is not the one by that name
    if not file.exists() or not (tuned or is_recipe(json.loads(file.read_text())["recipe"], name)):
        files = dict(zip(("positives", "negatives"), scene.training_files, strict=True))
        files |= dict(zip(("test-positives", "test-negatives"), scene.test_files, strict=True))
        command = [sys.executable, "-m", "equipoise", "debias", "--recipe", name, "--seed", str(seed)]
        command += [part for flag, path in files.items() for part in (f"--{flag}", str(path))]
        columns = scene.tables["test_positives"].attributes.column_names
        groups = [column for column in ("race", "gender") if column in columns]
        command += ["--groups", ",".join(groups)] if groups else []
        command += ["--epochs", "1"] if scene.quick else []
        command += [*RECIPES.get(name, ()), *scene.extra, "--out", str(file.parent), "--overwrite"]
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        if ended.returncode:
            raise RuntimeError(f"equipoise debias ended with {ended.returncode}: {ended.stderr[-500:]}")
    day = time.strftime("%Y-%m-%d", time.localtime(file.stat().st_mtime))
    return json.loads(file.read_text()) | {"day": day}


def by_recipe(scene: Scene, name: str, model: str, seed: int) -> dict[str, Any]:
    """Numbers of one model of a recipe's run. Peak memory is that of the whole run with all its models."""
    found = record(scene, name, seed)
    numbers = quality(found["models"][model]["numbers"])
    numbers |= {key: found["models"][model][key] for key in ("seconds", "steps")}
    numbers |= {"peak_rss_bytes": found["timing"]["peak_rss_bytes"], "trained": found["day"]}
    numbers["versions"] = found["versions"]
    if model == "debiased":
        rates = found["resampling"]["enrichment"].get("race", {})
        numbers["enrichment"] = {group: rate["value"] for group, rate in rates.items()}
        half = found["resampling"].get("enrichment_at_half", {}).get("race", {})  # older runs lack it
        numbers["enrichment_at_half"] = {group: rate["value"] for group, rate in half.items()}
        numbers["ess"] = found["resampling"]["ess"]
    return numbers


def by_lab(scene: Scene, kind: str, framework: str, seed: int) -> dict[str, Any]:
    """Numbers of a lab's program."""
    (positives, negatives), (test_positives, test_negatives) = scene.training_files, scene.test_files
    found = lab_run(
        kind,
        framework,
        positives=positives,
        negatives=negatives,
        test_positives=test_positives,
        test_negatives=test_negatives,
        seed=seed,
        work=scene.labs_work,
        **({"python": scene.labs_python} if scene.labs_python is not None else {}),
    )
    numbers = scored(
        probability(found.pop("positive_scores")), probability(found.pop("negative_scores")), scene.races
    )
    return numbers | {key: value for key, value in found.items() if not isinstance(value, np.ndarray)}


@cache
def task(scene: Scene, seed: int) -> Task:
    """What all peers of a seed share; a few networks among it."""
    count = sum(len(scene.tables[name]) for name in ("positives", "negatives"))
    return Task(*scene.parts, seed=seed, steps=20 if scene.quick else steps_of(count, HOW.epochs))


def by_peer(scene: Scene, name: str, seed: int) -> dict[str, Any]:
    """Numbers of a peer; peak memory is that of this process, pictures of all parts included."""
    method = METHODS[name]
    reset_peak()
    outcome = method.run(task(scene, seed))
    faces = len(scene.tables["test_positives"])
    scores = probability(outcome.test)
    numbers = scored(scores[:faces], scores[faces:], scene.races)
    numbers |= {"seconds": outcome.seconds, "steps": outcome.steps, "peak_rss_bytes": peak()}
    enriched = outcome.told.get("enrichment", {})
    if enriched:
        races = dict(enumerate(COUNTS))
        numbers["enrichment"] = {races[int(k)]: v for k, v in enriched.items() if int(k) in races}
        numbers["ess"] = outcome.told["ess"]
    return numbers | {"sees_groups": method.sees_groups, "source": method.source}


def probability(logits: np.ndarray) -> np.ndarray:
    """Sigmoid."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, np.float64)))


def reset_peak() -> None:
    """Forget this process's peak memory so far, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int | None:
    """Peak memory of this process in bytes since it was forgotten; None where the system does not say."""
    status = Path("/proc/self/status")
    found = [line for line in status.read_text().splitlines() if "VmHWM" in line] if status.exists() else []
    return int(found[0].split()[1]) * 1024 if found else None


Measure = Callable[[int], dict[str, Any]]


def methods(scene: Scene) -> dict[str, tuple[Measure, dict[str, Any]]]:
    """Name → how it is measured for a seed, and what its lines' setting holds besides the scene's."""
    found: dict[str, tuple[Measure, dict[str, Any]]] = {}
    for name, flags in RECIPES.items():
        own = {"recipe": recipe_mark(name, scene.extra)}
        if scene.extra:
            own["flags"] = " ".join(scene.extra)
        for model, title in MODELS.items():
            if "--no-controls" in flags and model in ("uniform", "threshold-only"):
                continue
            if model == "uniform" and recipe(name).objective == "classifier":  # that is "plain"
                continue
            found[name + title] = partial(by_recipe, scene, name, model), own
    for framework in ("tensorflow", "torch"):
        if framework == "tensorflow" and scene.labs_python is None:
            continue
        for kind in LABS[::2] if scene.quick else LABS:  # quick: one CNN and one DB-VAE each
            found[f"lab {kind} ({framework})"] = partial(by_lab, scene, kind, framework), {}
    for name, method in METHODS.items():
        if name not in OWN and not method.in_use:
            found[f"peer {name}"] = partial(by_peer, scene, name), {}
    return found


# --- the table ---


def newest(lines: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Method → its lines with the setting of its last one (a recipe that changed has other settings), by seed."""
    last = {line["method"]: line["setting"] for line in lines}
    found: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        if line["setting"] == last[line["method"]]:
            found.setdefault(line["method"], []).append(line)
    return {name: sorted(rows, key=lambda line: line["seed"]) for name, rows in found.items()}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Key → mean and interval over seeds of what all lines of a method have as a number."""
    found = {}
    for key, first in rows[0]["numbers"].items():
        values = [row["numbers"].get(key) for row in rows]
        if isinstance(first, int | float) and not isinstance(first, bool) and None not in values:
            found[key] = over_seeds(values)
    return found


def table(lines: list[dict[str, Any]]) -> str:
    """The results as Markdown, one table for each scene (protocol, other draw, other test files)."""
    scenes: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        scene = {k: v for k, v in line["setting"].items() if k not in ("recipe", "flags")}
        scenes.setdefault(json.dumps(scene), []).append(line)
    parts = []
    for scene, mine in scenes.items():
        told = ", ".join(f"{k} {v}" for k, v in json.loads(scene).items() if k != "quick")
        parts += [f"### {told}"] if told else []
        parts += [_table(newest(mine)), _notes(newest(mine))]
    return "\n\n".join(parts)


def _table(methods: dict[str, list[dict[str, Any]]]) -> str:
    rows = [
        "| method | seeds | worst race missed, % | the same, over images | all missed, % | variance, %² "
        "| missed at 0.5, % | FPR at 0.5, % | steps | seconds | peak, MiB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]

    def by_headline(item: tuple[str, list[dict[str, Any]]]) -> float:
        return float(np.mean([line["numbers"]["worst_miss"] for line in item[1]]))

    for name, mine in sorted(methods.items(), key=by_headline):
        numbers, over = [line["numbers"] for line in mine], summary(mine)
        low, high = (float(np.median([n["worst_miss_interval"][i] for n in numbers])) for i in (0, 1))
        oracle = " †" if numbers[0].get("sees_groups") else ""
        peak_memory = over.get("peak_rss_bytes")
        cells = [
            name + oracle,
            str(len(mine)),
            shown(over["worst_miss"]),
            f"{low:.2f}–{high:.2f}",
            shown(over["miss"]),
            shown(over.get("variance")),
            shown(over["miss_at_half"]),
            shown(over["fpr_at_half"]),
            str(numbers[0].get("steps") or "–"),
            cost(over.get("seconds")),
            f"{peak_memory['median'] / 2**20:.0f}" if peak_memory else "–",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _notes(methods: dict[str, list[dict[str, Any]]]) -> str:
    rows = ["Enrichment by race (share of the draws over natural share), mean over seeds:", ""]
    races = list(reversed(COUNTS))
    rows += ["| method | ESS | " + " | ".join(races) + " |", "|---|---|" + "---|" * len(races)]
    for name, mine in methods.items():
        enriched = [line["numbers"].get("enrichment") for line in mine]
        if all(enriched):
            means = [np.mean([each[race] for each in enriched if race in each]) for race in races]
            ess = np.mean([line["numbers"]["ess"] for line in mine])
            rows.append(f"| {name} | {ess:.2f} | " + " | ".join(f"{mean:.2f}" for mean in means) + " |")
    worst = {name: Counter(line["numbers"]["worst_race"] for line in mine) for name, mine in methods.items()}
    told = "; ".join(
        f"{name}: " + ", ".join(f"{race} {count}" for race, count in found.most_common())
        for name, found in worst.items()
    )
    enriched_rows = "\n".join(rows) if len(rows) > 4 else ""
    return "\n\n".join(filter(None, [NOTE, enriched_rows, f"Worst race, in how many seeds: {told}."]))


NOTE = (
    "Mean [95 % t-interval over seeds], best first; over images: bootstrap interval of the worst race, median over "
    "seeds. Missed at 1 % false positives, the threshold from the test negatives by one rule. Seconds: wall-clock of "
    "training, median (range); of a recipe's models, peak memory is that of the run that trains them all. † sees race "
    "in training. Recipes and labs train on the whole draw; peers hold a tenth of each race aside, which those that "
    "choose something need. A peer that only moves logits is its plain network here, since the threshold is matched."
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with fairface64 and tinyimagenet64")
    parser.add_argument("--seeds", type=int, default=5, help="training seeds 0…n−1")
    parser.add_argument("--draw", type=int, default=0, help="seed of the draw of training pictures")
    parser.add_argument("--lines", type=Path, default=Path("benchmarks/results/b1.jsonl"))
    parser.add_argument("--methods", nargs="+", default=["*"], help="names or patterns such as 'lab *'")
    parser.add_argument("--work", type=Path, help="folder for the runs; runs/b1")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run?")
    parser.add_argument(
        "--labs-python", type=Path, default=PYTHON, help="Python that has TensorFlow; left out if not there"
    )
    parser.add_argument("--test-positives", type=Path, help="other test faces; column race if they have it")
    parser.add_argument("--test-negatives", type=Path)
    parser.add_argument("extra", nargs="*", help="further flags of `equipoise debias`, after --")
    options = parser.parse_args()
    scene = Scene(
        options.data,
        options.work or Path("runs/bench-quick/b1" if options.quick else "runs/b1"),
        options.draw,
        (options.test_positives, options.test_negatives),
        options.quick,
        options.labs_python if options.labs_python.exists() else None,
        tuple(options.extra),
        Path("runs/bench-quick/labs" if options.quick else "runs/labs"),
    )
    lines = Lines(options.lines, "b1", told_command(options))
    failed = False
    for seed in range(options.seeds):
        for name, (measure, own) in methods(scene).items():
            if any(fnmatch(name, pattern) for pattern in options.methods):
                line = lines.run(name, seed, partial(measure, seed), setting=scene.setting | own)
                failed |= line is None
                if line is not None:
                    told = f"{line['numbers']['worst_race']} missed {line['numbers']['worst_miss']:.2f} %"
                    print(f"{name} seed {seed}: worst race {told}", flush=True)
        task.cache_clear()  # a seed's networks and pictures
    return int(failed)


def told_command(options: argparse.Namespace) -> str:
    """What a person types; data, other pictures and environments under general names."""
    found = f"python benchmarks/b1.py --data DATA --seeds {options.seeds}"
    found += f" --draw {options.draw}" if options.draw else ""
    for flag in ("test_positives", "test_negatives"):
        if getattr(options, flag) is not None:
            found += f" --{flag.replace('_', '-')} {getattr(options, flag).name}"
    found += " --methods " + " ".join(f"'{m}'" for m in options.methods) if options.methods != ["*"] else ""
    found += " --quick" if options.quick else ""
    return found + (" -- " + " ".join(options.extra) if options.extra else "")


if __name__ == "__main__":
    sys.exit(main())
