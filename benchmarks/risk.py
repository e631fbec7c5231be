"""What each risk finds: errors, pictures of another kind, wrong labels, rare groups. Same model, same run.

    python benchmarks/risk.py --data ../shared/data --seeds 3

Each seed trains three networks (standard CNN, width 12, two outputs) with `equipoise.fit`, each wrapped by histograms,
a histogram VAE with reconstruction error, mean–variance estimation and an ensemble, all trained by the one extra loss;
neighbours, last layer and dropout are added to the same network afterwards:

* *labels*: FairFace adults with a skew in race, 60 % of B2's numbers; the task is the data set's binary gender label.
  It is what annotators put down, not a truth about a person; so is race. Both serve to measure unequal error here.
* *pair*: faces against Tiny ImageNet, with 10 % of the training labels flipped.
* *drawn*: the embedded set, two hidden groups of 5 % of the faces each, 10 % of the labels flipped.

Columns: errors on the test faces of *labels*; Tiny ImageNet's test pictures against those faces under that network;
flipped training labels of *pair* and *drawn*; Black faces among the test faces of *labels*; members of the hidden
groups among the test faces of *drawn*. Baselines come from the same logits z: 1 − max softmax (Hendrycks, Gimpel,
2017), entropy, energy −log Σ exp z (Liu, Wang, Owens, Li, 2020).
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import nn

from equipoise.data import ImageTable, planted, split
from equipoise.nn import StandardCNN, pixels
from equipoise.risk import (
    MVE,
    Compose,
    Dropout,
    Ensemble,
    Histogram,
    HistogramVAE,
    LastLayer,
    Neighbours,
    detection_auroc,
    label_noise,
    precision_at_recall,
)
from equipoise.train import Engine, fit, recipe

COUNTS = {
    "White": 3600,
    "Latino_Hispanic": 900,
    "Middle Eastern": 900,
    "East Asian": 300,
    "Southeast Asian": 120,
    "Indian": 90,
    "Black": 60,
}
NOISE = 0.1
SCORES = {  # what is shown → raw score, and its sign: higher = more at risk
    "1 − max softmax": ("baseline", "max_softmax", 1),
    "entropy": ("baseline", "entropy", 1),
    "energy": ("baseline", "energy", 1),
    "Histogram": ("representation", "histogram.log_density", -1),
    "HistogramVAE": ("representation", "histogram_vae.log_density", -1),
    "Neighbours": ("representation", "neighbours.log_density", -1),
    "reconstruction error (VAE)": ("epistemic", "histogram_vae.reconstruction_error", 1),
    "Ensemble": ("epistemic", "ensemble.mutual_information", 1),
    "Dropout": ("epistemic", "dropout.mutual_information", 1),
    "LastLayer": ("epistemic", "last_layer.mutual_information", 1),
    "MVE": ("aleatoric", "mve.entropy", 1),
    "MVE, noise alone": ("aleatoric", "mve.logit_variance", 1),
    "loss of the given label": ("label", "loss", 1),
    "label_noise": ("label", "label_noise", 1),
}
COLUMNS = {  # column → title, kinds of risk that are for it
    "errors": ("errors", {"epistemic", "aleatoric"}),
    "ood": ("another data set", {"representation", "epistemic"}),
    "noise_pair": ("flipped labels, faces / Tiny ImageNet", {"label"}),
    "noise_drawn": ("flipped labels, embedded set", {"label"}),
    "rare_real": ("rare race (test)", {"representation"}),
    "rare_drawn": ("hidden groups (test)", {"representation"}),
}


class Difference(nn.Module):
    """Two logits as one, for the loop, which trains positives against negatives."""

    def __init__(self, wrapped) -> None:
        super().__init__()
        self.wrapped = wrapped

    def forward(self, images):
        logits = self.wrapped(images)
        return logits[:, 1] - logits[:, 0]

    def losses(self, images, labels, *, generator=None):
        return self.wrapped.losses(images, labels, generator=generator)


class Batches:
    """Batches (images, labels) of a table, the same at every pass."""

    def __init__(self, table: ImageTable, size: int = 256) -> None:
        self.table, self.size = table, size

    def __iter__(self):
        for start in range(0, len(self.table), self.size):
            rows = np.arange(start, min(start + self.size, len(self.table)))
            yield pixels(torch.from_numpy(self.table.batch(rows))), torch.from_numpy(self.table.labels[rows])


# --- data ---


def pictures(file: Path, rows: np.ndarray, labels: np.ndarray, names: tuple[str, ...] = ()) -> ImageTable:
    """Rows of a Parquet file as a table."""
    found = pq.read_table(file, columns=["image", *names]).take(pa.array(rows))
    images = [
        np.asarray(Image.open(io.BytesIO(entry["bytes"])).convert("RGB"))
        for entry in found.column("image").to_pylist()
    ]
    return ImageTable.from_arrays(
        np.stack(images), labels, {name: found.column(name).to_pylist() for name in names}
    )


def columns(file: Path, *names: str) -> tuple[np.ndarray, ...]:
    """Columns of a Parquet file."""
    table = pq.read_table(file, columns=list(names))
    return tuple(np.array(table.column(name).to_pylist()) for name in names)


def adults(data: Path, side: str) -> np.ndarray:
    """Rows of adults."""
    (age,) = columns(data / "fairface64" / f"{side}.parquet", "age")
    return np.flatnonzero(~np.isin(age, ["0-2", "3-9"]))


def flipped(table: ImageTable, seed: int) -> tuple[ImageTable, np.ndarray]:
    """The same table with 10 % wrong labels, and which."""
    wrong = np.zeros(len(table), bool)
    wrong[np.random.default_rng([seed, 1]).permutation(len(table))[: round(NOISE * len(table))]] = True
    return dataclasses.replace(table, labels=np.where(wrong, 1 - table.labels, table.labels)), wrong


# --- one model ---


def trained(table: ImageTable, held_out: ImageTable, seed: int, options) -> dict:
    """A network and two wrapped models around it: trained with it, and added afterwards."""
    torch.manual_seed(seed)
    network = StandardCNN(
        2, width=options.width, norm_momentum=0.1, generator=torch.Generator().manual_seed(seed)
    )
    methods = Compose(
        Histogram(),
        HistogramVAE(latent=64, epistemic=True),
        MVE(seed=seed),
        Ensemble(
            options.members, seed=seed, make=partial(StandardCNN, 2, width=options.width, norm_momentum=0.1)
        ),
    )
    how = recipe("equipoise-latent")
    how = dataclasses.replace(how, plain=dataclasses.replace(how.plain, epochs=options.epochs))
    fitted = fit(
        table,
        how,
        method="plain",
        model=Difference(methods(network)),
        seed=seed,
        engine=Engine(precision="32-true", progress=False),
    )
    inner = fitted.model.wrapped
    after = Compose(Neighbours(), Dropout(passes=options.passes), LastLayer())(inner.model)
    after.fit(Batches(table))
    for model in (inner, after):
        model.eval().calibrate(Batches(held_out))
    return {"inner": inner, "after": after}


@torch.no_grad()
def scored(models: dict, table: ImageTable) -> dict[str, np.ndarray]:
    """Every score of every picture."""
    parts: dict[str, list] = {}
    for images, labels in Batches(table):
        logits, inner = models["inner"](images, return_risk=True)
        _, after = models["after"](images, return_risk=True)
        logs = logits.double().log_softmax(1)
        found = {
            "prediction": logits.argmax(1),
            "max_softmax": 1 - logs.exp().amax(1),
            "entropy": -(logs.exp() * logs).sum(1),
            "energy": -logits.double().logsumexp(1),
            "loss": -logs.gather(1, labels[:, None])[:, 0],
        }
        for name, values in (found | inner.raw | after.raw).items():
            parts.setdefault(name, []).append(values)
    return {name: torch.cat(values).numpy() for name, values in parts.items()}


def features(models: dict, table: ImageTable) -> np.ndarray:
    """What goes into the last layer."""
    after, out = models["after"], []
    with torch.no_grad():
        for images, _ in Batches(table):
            _, seen = after._see((images,), {})
            out.append(seen.needed_features())
    return torch.cat(out).numpy()


def told(scores: dict, keep: np.ndarray, sought: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of the rows asked for, higher = more at risk, and what is sought among them."""
    out = {
        title: sign * np.asarray(scores[name], np.float64)[keep]
        for title, (_, name, sign) in SCORES.items()
        if name in scores
    }
    return {"sought": sought[keep], **out}


# --- the three tasks ---


def labels_task(data: Path, seed: int, options) -> dict[str, dict]:
    """FairFace's binary gender label."""
    file = data / "fairface64" / "train.parquet"
    race, gender = columns(file, "race", "gender")
    pool, rng = adults(data, "train"), np.random.default_rng(0)
    chosen = np.concatenate(
        [
            rng.choice(pool[race[pool] == name], round(count * options.scale), replace=False)
            for name, count in COUNTS.items()
        ]
    )
    held = rng.choice(np.setdiff1d(pool, chosen), round(600 * options.scale), replace=False)
    train, held_out = (
        pictures(file, rows, (gender[rows] == "Female").astype(int)) for rows in (chosen, held)
    )
    test_file, rows = data / "fairface64" / "test.parquet", adults(data, "test")
    race, gender = columns(test_file, "race", "gender")
    test = pictures(test_file, rows, (gender[rows] == "Female").astype(int))
    others_file = data / "tinyimagenet64" / "test.parquet"
    count = pq.ParquetFile(others_file).metadata.num_rows
    others = pictures(others_file, np.arange(count), np.zeros(count, int))
    models = trained(train, held_out, seed, options)
    inside, outside = scored(models, test), scored(models, others)
    for scores in (inside, outside):
        del scores["loss"]  # looks at the label that is asked about
    wrong = inside["prediction"] != test.labels
    both = {name: np.concatenate([inside[name], outside[name]]) for name in inside}
    everyone = np.ones(len(test), bool)
    return {
        "errors": told(inside, everyone, wrong) | {"accuracy": 1 - wrong.mean()},
        "ood": told(both, np.ones(len(test) + count, bool), np.arange(len(test) + count) >= len(test)),
        "rare_real": told(inside, everyone, race[rows] == "Black"),
    }


def noise_scores(models: dict, train: ImageTable, wrong: np.ndarray, seed: int) -> dict:
    """Scores of the training pictures, those that look at the given label too."""
    scores = scored(models, train)
    scores["label_noise"] = label_noise(features(models, train), train.labels, seed=seed).score
    return told(scores, np.ones(len(train), bool), wrong)


def pair_task(data: Path, seed: int, options) -> dict[str, dict]:
    """Faces against Tiny ImageNet with flipped labels."""
    rng, count = np.random.default_rng([seed, 2]), round(2000 * options.scale)
    faces, others = data / "fairface64" / "train.parquet", data / "tinyimagenet64" / "train.parquet"
    rows = rng.choice(adults(data, "train"), count + 300, replace=False)
    away = rng.choice(pq.ParquetFile(others).metadata.num_rows, count + 300, replace=False)
    one, zero = np.ones(len(rows), int), np.zeros(len(away), int)
    table = ImageTable.concat([pictures(faces, rows, one), pictures(others, away, zero)])
    last = np.arange(len(table)) % len(rows) >= count
    train, wrong = flipped(table.take(np.flatnonzero(~last)), seed)
    held_out, _ = flipped(table.take(np.flatnonzero(last)), seed)
    return {"noise_pair": noise_scores(trained(train, held_out, seed, options), train, wrong, seed)}


def drawn_task(data: Path, seed: int, options) -> dict[str, dict]:
    """The embedded set with hidden groups and flipped labels."""
    table = planted(round(6600 * options.scale), seed=seed, label_noise=NOISE)
    parts = split(table, fractions=(0.6, 0.1, 0.3), seed=seed, stratify=["hidden"])
    train, test = parts.train, parts.test
    wrong = np.array(train.column("noisy_label"), bool)
    models = trained(train, parts.validation, seed, options)
    scores = scored(models, test)
    del scores["loss"]
    hidden = np.array([value or "" for value in test.column("hidden")])
    return {
        "noise_drawn": noise_scores(models, train, wrong, seed),
        "rare_drawn": told(scores, hidden != "", hidden != "common"),
    }


# --- numbers ---


def replicates(values: np.ndarray, sought: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """AUROC of resamples with replacement: `draws` says how often each picture is in each, shape (b, n)."""
    _, place = np.unique(values, return_inverse=True)
    size = place.max() + 1
    out = np.empty(len(draws))
    for i, weights in enumerate(draws):
        yes = np.bincount(place, weights * sought, size)
        no = np.bincount(place, weights * ~sought, size)
        out[i] = yes @ (np.cumsum(no) - no / 2) / (yes.sum() * no.sum())
    return out


def summary(runs: list[dict[str, dict]], bootstrap: int = 200) -> dict:
    """AUROC by column and score: over seeds, and against the column's best by resampling pictures."""
    out = {}
    for column, (title, kinds) in COLUMNS.items():
        names = [name for name in SCORES if name in runs[0][column]]
        rates = {
            name: [detection_auroc(run[column][name], run[column]["sought"]) for run in runs]
            for name in names
        }
        resampled = dict.fromkeys(names, 0)
        for seed, run in enumerate(runs):
            rng = np.random.default_rng([seed, 3])
            n = len(run[column]["sought"])
            draws = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(bootstrap)])
            for name in names:
                resampled[name] = resampled[name] + replicates(
                    run[column][name], run[column]["sought"], draws
                ) / len(runs)
        means = {name: float(np.mean([rate.value for rate in rates[name]])) for name in names}
        best = max(means, key=means.get)
        rows = {}
        for name in names:
            behind = np.percentile(resampled[best] - resampled[name], 2.5)
            by_seed = [rates[best][s].value - rates[name][s].value for s in range(len(runs))]
            close = bool(behind <= 0 or min(by_seed) <= 0)
            row = {
                "kind": SCORES[name][0],
                "for_this": SCORES[name][0] in kinds,
                "mean": means[name],
                "seeds": [rate.value for rate in rates[name]],
                "intervals": [[rate.low, rate.high] for rate in rates[name]],
                "bootstrap": np.percentile(resampled[name], [2.5, 97.5]).tolist(),
                "verdict": "best" if name == best else "within noise" if close else "not",
            }
            if column.startswith("noise"):
                row["precision_at_half_recall"] = [
                    precision_at_recall(run[column][name], run[column]["sought"]).value for run in runs
                ]
            rows[name] = row
        out[column] = {
            "title": title,
            "sought": [int(run[column]["sought"].sum()) for run in runs],
            "of": [len(run[column]["sought"]) for run in runs],
            "scores": rows,
        }
    return out


def markdown(results: dict) -> str:
    """The results as a page."""
    found = results["columns"]
    lines = [
        "# What each risk finds",
        "",
        f"`{results['command']}`",
        "",
        f"AUROC, mean over seeds {list(range(results['seeds']))} (smallest–largest); 0.5 is chance. **Best** of the "
        "column in bold; ≈ within noise of it: the difference to the best is not above 0 in 97.5 % of 200 resamples of "
        "the pictures, or not in every seed. † the column that this kind of risk is for. Pictures with a rare "
        "race or from a hidden group are test pictures; flipped labels are sought among training pictures.",
        "",
        "Networks: the standard CNN with two outputs, trained by `equipoise.fit` together with the methods' extra "
        "loss on 5,970 faces with B2's skew in race (label: the annotators' gender label), on 4,000 faces and Tiny "
        "ImageNet pictures, and on 3,960 pictures of the embedded set; in the last two 10 % of the labels are flipped. "
        "Neighbours, Dropout and LastLayer are put on the trained network.",
        "",
        "The gender and race labels are what annotators put down. They serve to measure unequal error.",
        "",
        "| score | kind | " + " | ".join(entry["title"] for entry in found.values()) + " |",
        "|---|---|" + "---|" * len(found),
    ]
    for name, (kind, _, _) in SCORES.items():
        cells = []
        for entry in found.values():
            row = entry["scores"].get(name)
            if row is None:
                cells.append("–")
                continue
            text = f"{row['mean']:.3f}"
            text = f"**{text}**" if row["verdict"] == "best" else text
            text += " ≈" if row["verdict"] == "within noise" else ""
            text += " †" if row["for_this"] else ""
            cells.append(f"{text} ({min(row['seeds']):.3f}–{max(row['seeds']):.3f})")
        lines.append(f"| {name} | {kind} | " + " | ".join(cells) + " |")
    lines += [
        "| sought / pictures, first seed | | "
        + " | ".join(f"{entry['sought'][0]} / {entry['of'][0]}" for entry in found.values())
        + " |",
        "",
        f"Accuracy of the network on the test faces: {', '.join(f'{100 * a:.1f} %' for a in results['accuracy'])}.",
        "",
        "## Flipped labels: precision at recall 0.5",
        "",
        "One training label in ten is wrong, so 0.10 is chance. A risk that does not look at the given label cannot "
        "tell which of two like pictures carries the wrong one: flips are at random.",
        "",
        "| score | " + " | ".join(found[c]["title"] for c in ("noise_pair", "noise_drawn")) + " |",
        "|---|---|---|",
    ]
    for name in found["noise_pair"]["scores"]:
        cells = []
        for column in ("noise_pair", "noise_drawn"):
            values = found[column]["scores"][name]["precision_at_half_recall"]
            cells.append(f"{np.mean(values):.2f} ({min(values):.2f}–{max(values):.2f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "## Is each risk best at what it is for?", ""]
    for entry in found.values():
        kinds = sorted({row["kind"] for row in entry["scores"].values() if row["for_this"]})
        for kind in kinds:
            rows = {name: row for name, row in entry["scores"].items() if row["kind"] == kind}
            top = max(rows, key=lambda name, rows=rows: rows[name]["mean"])
            overall = max(entry["scores"], key=lambda name, entry=entry: entry["scores"][name]["mean"])
            verdict = rows[top]["verdict"]
            told = (
                "best"
                if verdict == "best"
                else f"{verdict}; {overall} {entry['scores'][overall]['mean']:.3f}"
            )
            lines.append(f"* {entry['title']}, {kind}: {top} {rows[top]['mean']:.3f}, {told}.")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with fairface64 and tinyimagenet64")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--members", type=int, default=3, help="models in the ensemble")
    parser.add_argument("--passes", type=int, default=8, help="of dropout")
    parser.add_argument("--width", type=int, default=12)
    parser.add_argument("--quick", action="store_true", help="a tenth of the pictures: shows that it runs")
    parser.add_argument("--work", type=Path, default=Path("runs/risk"), help="scores of finished seeds")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/risk"), help="without ending")
    options = parser.parse_args()
    options.scale = 0.1 if options.quick else 1.0
    options.work.mkdir(parents=True, exist_ok=True)
    runs = []
    for seed in range(options.seeds):
        run = {}
        for task in (labels_task, pair_task, drawn_task):
            kept = options.work / (
                f"{task.__name__}-{seed}-{options.epochs}-{options.members}-{options.passes}-{options.width}"
                f"-{options.scale}.npz"
            )
            if not kept.exists():
                parts = task(options.data, seed, options)
                np.savez(kept, **{f"{c}/{name}": v for c, part in parts.items() for name, v in part.items()})
            with np.load(kept, allow_pickle=False) as stored:
                for key in stored.files:
                    column, _, name = key.partition("/")
                    run.setdefault(column, {})[name] = stored[key]
        runs.append(run)
        results = {
            "command": "python benchmarks/risk.py --data DATA"
            + f" --seeds {seed + 1} --epochs {options.epochs} --members {options.members}"
            + f" --passes {options.passes} --width {options.width}"
            + (" --quick" if options.quick else ""),
            "seeds": seed + 1,
            "torch": torch.__version__,
            "accuracy": [float(one["errors"]["accuracy"]) for one in runs],
            "columns": summary(runs),
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
        options.out.with_suffix(".md").write_text(markdown(results))
        print(f"seed {seed} done", flush=True)
    print(markdown(results))


if __name__ == "__main__":
    main()
