"""Does rarity find the rare? Shares of the draws, by representation and density, on B1 to B4.

    python benchmarks/enrichment.py --data DATA --seeds 5

A rule sees the pictures of one class, without group labels, and gives log weights, which are tempered to ESS 0.5 with
no picture more than 10 times as often as it occurs. Enrichment is a group's share of the draws over its natural share;
1.0 is no help. Race, gender and age are what annotators saw in a picture; they serve to measure, and no rule sees them
but the one marked †. A seed is a draw of the pictures.

Rules with a network train it themselves on the pictures of the benchmark, all of one network in one training: a DB-VAE
with uniform sampling for 2 epochs, and a small SimCLR for 12. ‡ sees other pictures besides, without labels.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import nn
from torch.nn import functional as F

import b1
import b2
import b3
from equipoise.data import ImageTable, planted, split
from equipoise.density import NeighbourDensity, agreement, ranks
from equipoise.fairness import enrichment
from equipoise.groups import Groups
from equipoise.pictures.appearance import light, structure
from equipoise.resample import (
    DegenerateWeightsError,
    cluster_rule,
    effective_sample_size,
    equipoise_rule,
    max_rule,
    mixture_rule,
    neighbours_rule,
    product_rule,
    temper,
)
from equipoise.seeds import child_seed
from equipoise.train import Engine, fit, recipe
from equipoise.train.appearance import appearance_rarity
from equipoise.train.rarity import latent_codes
from lines import Lines, over_seeds
from peers.pictures import brought, columns, stored

ESS, MAX_WEIGHT = 0.5, 10.0
CHILDREN = ("0-2", "3-9")
RARE = 0.01, 0.05  # shares c of B3
CHUNK = 512
LINEAR = torch.tensor([0.2126, 0.7152, 0.0722])  # luminance of linear RGB


# --- scenes: pictures of one class, and who is in them ---


@dataclasses.dataclass(frozen=True)
class Class:
    """What rarity is measured in.

    Args:
        name: Of the class.
        images: uint8, (n, side, side, 3).
        groups: Attribute → group of each picture; the first attribute is the one of the benchmark.
        rest: Pictures of the other class, for networks that are trained to tell them apart.
        pool: Pictures of another composition, without labels; for rules marked ‡.
    """

    name: str
    images: np.ndarray
    groups: dict[str, np.ndarray]
    rest: np.ndarray
    pool: np.ndarray | None = None


def b1_rows(race: np.ndarray, gender: np.ndarray, age: np.ndarray, seed: int, scale: float) -> np.ndarray:
    """The positives of `b1.draw`."""
    rng = np.random.default_rng(seed)
    rows = []
    for name, count in b1.COUNTS.items():
        pool = np.flatnonzero((race == name) & ~np.isin(age, CHILDREN))
        weights = np.where(gender[pool] == "Female", 0.7, 0.3)
        wanted = min(count if scale == 1 else max(8, round(scale * count)), len(pool))
        rows.append(rng.choice(pool, wanted, replace=False, p=weights / weights.sum()))
    return np.sort(np.concatenate(rows))


def faces(data: Path, seed: int, scale: float) -> list[Class]:
    """B1: the positives."""
    file, others = (data / name / "train.parquet" for name in ("fairface64", "tinyimagenet64"))
    race, gender, age = columns(file, "race", "gender", "age")
    rows = b1_rows(race, gender, age, seed, scale)
    rng = np.random.default_rng(child_seed(seed, "enrichment, rest"))
    rest = np.sort(rng.choice(pq.read_metadata(others).num_rows, len(rows), replace=False))
    left = np.setdiff1d(np.flatnonzero(~np.isin(age, CHILDREN)), rows)
    each = max(8, round(200 * scale))
    balanced = [rng.permutation(left[race[left] == name])[:each] for name in b1.COUNTS]
    groups = {"race": race[rows], "gender": gender[rows], "age": age[rows]}
    pool = stored(file, np.sort(np.concatenate(balanced)))
    return [Class("faces", stored(file, rows), groups, stored(others, rest), pool)]


def by_label(data: Path, seed: int, scale: float) -> list[Class]:
    """B2: races within each gender annotation."""
    file = data / "fairface64" / "train.parquet"
    race, gender, age = columns(file, "race", "gender", "age")
    rows = b2.drawn(race, ~np.isin(age, CHILDREN), scale=scale, seed=seed)[0]
    return two(stored(file, rows), gender[rows], race[rows], "race")


def by_age(data: Path, seed: int, scale: float, c: float) -> list[Class]:
    """B3: the gender that is rare among young and among old."""
    file = data / "fairface64" / "train.parquet"
    rows, old, female = b3.labelled(file)
    chosen = b3.drawn(old, female, c, seed, scale)[0]
    label = np.where(old[chosen] == 1, "old", "young")
    rare = np.where(old[chosen] == female[chosen], "rare", "rule")
    return two(stored(file, rows[chosen]), label, rare, "cell")


def two(images: np.ndarray, label: np.ndarray, group: np.ndarray, attribute: str) -> list[Class]:
    """Each of two classes, with the other as the rest."""
    return [
        Class(str(name), images[label == name], {attribute: group[label == name]}, images[label != name])
        for name in sorted(set(label))
    ]


def drawn_faces(seed: int, scale: float) -> list[Class]:
    """B4: hidden groups among drawn faces."""
    table = planted(round(9000 * scale), seed=seed)
    part = split(table, fractions=(0.8, 0, 0.2), seed=seed, stratify=["hidden"]).train
    negatives = np.setdiff1d(np.arange(len(part)), part.positives)
    found = part.take(part.positives).groups("hidden")
    names = np.array(found.names)[found.ids]
    return [Class("faces", part.batch(part.positives), {"hidden": names}, part.batch(negatives))]


def others(positives: Path, negatives: Path, column: str) -> list[Class]:
    """Pictures that somebody brings; enrichment within the positives."""
    images, target, groups = brought(positives, negatives, column)
    return [Class("faces", images[target == 1], {column: groups[target == 1]}, images[target == 0])]


# --- views: pictures → vectors, without training ---


def over(images: np.ndarray, view: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
    """A view of all pictures, in parts."""
    parts = [view(torch.from_numpy(images[start : start + CHUNK])) for start in range(0, len(images), CHUNK)]
    return torch.cat(parts).double().numpy()


def linear(images: torch.Tensor) -> torch.Tensor:
    """Log of linear light of the pictures at 32 × 32, (m, 32, 32, 3)."""
    small = F.adaptive_avg_pool2d(images.permute(0, 3, 1, 2).float() / 255, 32).permute(0, 2, 3, 1)
    return (small.pow(2.2) + 0.004).log()


def middle(values: torch.Tensor) -> torch.Tensor:
    """The centre of what is 32 × 32."""
    return values[:, 11:22, 10:22].flatten(1, 2)


def percentile(values: torch.Tensor, share: float) -> torch.Tensor:
    return values.kthvalue(1 + round(share * (values.shape[1] - 1)), dim=1).values


def luminances(images: torch.Tensor) -> torch.Tensor:
    return (linear(images).exp() @ LINEAR).log()


def reflectance(images: torch.Tensor) -> torch.Tensor:
    """How light the subject is next to the lightest of the picture: a ratio, from which the light cancels."""
    light_ = luminances(images)
    return (percentile(middle(light_[..., None])[..., 0], 0.5) - percentile(light_.flatten(1), 0.98))[:, None]


def colour(images: torch.Tensor) -> torch.Tensor:
    """Colour of the subject next to the mean of the picture, three log ratios (grey world)."""
    light_ = linear(images)
    return middle(light_).median(1).values - light_.mean((1, 2))


def chroma(images: torch.Tensor) -> torch.Tensor:
    """Log R/G and B/G over the middle of the picture, symmetrised, as it is: cast and all."""
    part = linear(images)[:, 7:25, 7:25]
    both = torch.stack([part[..., 0] - part[..., 1], part[..., 2] - part[..., 1]], -1)
    return ((both + both.flip(2)) / 2).flatten(1)


def amplitude(images: torch.Tensor) -> torch.Tensor:
    """How far the 10th and 90th percentile of the subject's log luminance are from its median."""
    centre = middle(luminances(images)[..., None])[..., 0]
    low, half, high = (percentile(centre, share) for share in (0.1, 0.5, 0.9))
    return torch.stack([low - half, high - half], 1)


def shape(images: torch.Tensor) -> torch.Tensor:
    """Histograms of gradient directions in 6 × 6 cells of the middle, symmetrised, square roots of shares."""
    part = luminances(images)[:, 4:28, 4:28]
    across, down = torch.gradient(part, dim=(2, 1))
    angle = torch.atan2(down, across) / math.pi * 4 % 8
    cells = []
    for number in range(8):
        away = (angle - number).abs()
        part = torch.hypot(across, down) * (1 - torch.minimum(away, 8 - away)).clamp_min(0)
        cells.append(F.avg_pool2d(part, 4))
    found = torch.stack(cells, -1)
    found = (found + found.flip(2)[..., [4, 3, 2, 1, 0, 7, 6, 5]]).flatten(1)
    return (found / found.sum(1, keepdim=True).clamp_min(1e-9)).sqrt()


def pixels_of(images: torch.Tensor) -> torch.Tensor:
    return F.adaptive_avg_pool2d(images.permute(0, 3, 1, 2).float() / 255, 16).flatten(1)


def contrast(images: torch.Tensor) -> torch.Tensor:
    """Pixels of mean 0 and standard deviation 1 in each picture."""
    flat = pixels_of(images)
    flat = flat - flat.mean(1, keepdim=True)
    return flat / flat.std(1, keepdim=True).clamp_min(1e-4)


def standard(table: np.ndarray) -> np.ndarray:
    return (table - table.mean(0)) / np.maximum(table.std(0), 1e-9)


def axes(table: np.ndarray, count: int) -> np.ndarray:
    """Codes along the first principal axes, each of standard deviation 1; one axis at least."""
    centred = table - table.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(table))
    kept = max(1, int((values[::-1][:count] > 1e-9 * values[-1]).sum()))
    return centred @ vectors[:, ::-1][:, :kept] / np.sqrt(np.maximum(values[::-1][:kept], 1e-12))


def shared(images: np.ndarray) -> np.ndarray:
    """What the halves of a face have in common without their own light and cast: ten canonical axes."""

    def halves(part: torch.Tensor) -> torch.Tensor:
        light_ = linear(part)[:, 7:25, 7:25]
        light_ = (light_ + light_.flip(2)) / 2
        sides = [side - side.mean((1, 2), keepdim=True) for side in (light_[:, :9], light_[:, 9:])]
        return torch.stack([side.flatten(1) for side in sides], 2)

    both = over(images, halves)
    upper, lower = axes(both[..., 0], 60), axes(both[..., 1], 60)
    u, _, v = np.linalg.svd(upper.T @ lower / len(images))
    return upper @ u[:, :10] + lower @ v[:10].T


def given_light(images: np.ndarray) -> np.ndarray:
    """The subject's light less what is expected from the border and the whole: the residual of a quadratic fit."""

    def view(part: torch.Tensor) -> torch.Tensor:
        light_ = luminances(part)
        border = torch.cat(
            [light_[:, :3].flatten(1), light_[:, 3:, :3].flatten(1), light_[:, 3:, -3:].flatten(1)], 1
        )
        known = [percentile(border, share) for share in (0.1, 0.5, 0.9)] + [
            percentile(light_.flatten(1), 0.98)
        ]
        return torch.stack([percentile(middle(light_[..., None])[..., 0], 0.5), *known], 1)

    table = over(images, view)
    known = standard(table[:, 1:])
    products = [known[:, [i]] * known[:, i:] for i in range(known.shape[1])]
    terms = np.column_stack([np.ones(len(table)), known, *products])
    return (table[:, 0] - terms @ np.linalg.lstsq(terms, table[:, 0], rcond=None)[0])[:, None]


# --- networks: one training a scene ---


class SimCLR(nn.Module):
    """A small convolutional network, trained so that two views of a picture lie near one another.

    Views differ in crop, mirror image, gain, gamma, contrast and colour cast. Source: Chen et al. 2020. Differs from
    it in: the network, 24 × 24 pixels, and a batch of 256.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        sizes = (3, width, 2 * width, 4 * width)
        layers: list[nn.Module] = []
        for here, there in itertools.pairwise(sizes):
            layers += [nn.Conv2d(here, there, 3, 2, 1, bias=False), nn.BatchNorm2d(there), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Sequential(nn.Linear(4 * width, 128), nn.ReLU(), nn.Linear(128, 64))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.body((images - 0.4) / 0.25)


def small(images: np.ndarray) -> torch.Tensor:
    parts = (torch.from_numpy(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK))
    return torch.cat([F.adaptive_avg_pool2d(part.permute(0, 3, 1, 2).float() / 255, 32) for part in parts])


def seen_again(images: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """Another view of each picture, at 24 × 24."""
    count = len(images)

    def between(low: float, high: float, *size: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, *size, generator=chance)

    scale, place = between(0.5, 0.95), torch.zeros(count, 2, 3)
    place[:, 0, 0] = scale * torch.where(between(0, 1) < 0.5, -1.0, 1.0)
    place[:, 1, 1] = scale
    place[:, :, 2] = between(-1, 1, 2) * (0.95 - scale)[:, None]
    grid = F.affine_grid(place, [count, 3, 24, 24], align_corners=False)
    found = F.grid_sample(images, grid, align_corners=False).clamp_min(1e-3)
    found = found ** between(-0.4, 0.4, 1, 1, 1).exp() * between(-0.7, 0.7, 1, 1, 1).exp()
    found = found * between(-0.15, 0.15, 3, 1, 1).exp()
    mean = found.mean((1, 2, 3), keepdim=True)
    return (found - mean) * between(0.7, 1.3, 1, 1, 1) + mean


def self_supervised(images: np.ndarray, *, seed: int, epochs: float = 12, batch: int = 256) -> np.ndarray:
    """Features of a SimCLR trained on these pictures, mean of a picture and its mirror image."""
    torch.manual_seed(child_seed(seed, "simclr") % (1 << 31))
    chance = torch.Generator().manual_seed(child_seed(seed, "views") % (1 << 31))
    model, data = SimCLR(), small(images)
    batch = min(batch, len(data))
    steps = max(2, round(len(data) // batch * epochs))
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=1e-4)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps + 1, pct_start=0.2)
    partner = torch.arange(2 * batch).roll(batch)
    for step in range(steps):
        first = step % (len(data) // batch) * batch
        if not first:
            order = torch.randperm(len(data), generator=chance)
        rows = data[order[first : first + batch]]
        views = torch.cat([seen_again(rows, chance), seen_again(rows, chance)])
        placed = F.normalize(model.head(model(views)), dim=1)
        loss = F.cross_entropy((placed @ placed.T / 0.2).fill_diagonal_(-1e9), partner)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rate.step()
    model.eval()
    with torch.inference_mode():
        found = [
            (model(F.adaptive_avg_pool2d(part, 24)) + model(F.adaptive_avg_pool2d(part.flip(3), 24))) / 2
            for part in data.split(CHUNK)
        ]
    return torch.cat(found).double().numpy()


Learned = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Latent means, features and logits of each picture."""


def evened(images: np.ndarray) -> np.ndarray:
    """Pictures of one mean and one contrast: luminance of mean 0.5 and standard deviation 0.2 in each, uint8."""
    floats = images.astype(np.float32) / 255
    grey = floats.mean(3, keepdims=True)
    middle, spread = grey.mean((1, 2), keepdims=True), grey.std((1, 2), keepdims=True)
    flat = (floats - middle) / np.maximum(spread, 0.02) * 0.2 + 0.5
    return (255 * flat.clip(0, 1)).astype(np.uint8)


@dataclasses.dataclass
class Scene:
    """A class, and what is learnt from it once for all rules.

    Args:
        part: The class.
        seed: What training starts from.
        quick: A tenth of the training.
    """

    part: Class
    seed: int
    quick: bool = False
    train_seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def images(self) -> np.ndarray:
        return self.part.images

    @cached_property
    def network(self) -> Learned:
        """What a DB-VAE trained with uniform sampling says of the class."""
        return self.learned(self.seed)

    @cached_property
    def seeds(self) -> list[Learned]:
        """The same of three seeds."""
        return [self.network, *(self.learned(self.seed + more) for more in (1000, 2000))]

    @cached_property
    def evened(self) -> Learned:
        """The same where every picture has the same mean and contrast."""
        return self.learned(self.seed, evened)

    def learned(self, seed: int, look: Callable[[np.ndarray], np.ndarray] | None = None) -> Learned:
        """Train a DB-VAE, on pictures as they are or through a look at them."""
        began = time.perf_counter()
        images = np.concatenate([self.images, self.part.rest])
        if look is not None:
            images = np.concatenate([look(images[s : s + CHUNK]) for s in range(0, len(images), CHUNK)])
        count = len(self.images)
        table = ImageTable.from_arrays(images, np.arange(len(images)) < count)
        how = recipe("equipoise-latent")
        short = dataclasses.replace(how.debiased, epochs=1 if self.quick else 2)
        fitted = fit(
            table,
            dataclasses.replace(how, debiased=short),
            method="uniform",
            seed=seed,
            engine=Engine(progress=False),
        )
        codes, _ = latent_codes(fitted.model, table, table.positives, device=torch.device("cpu"))
        features, logits = [], []
        with torch.inference_mode():
            for start in range(0, count, CHUNK):
                part = torch.from_numpy(images[start : min(start + CHUNK, count)])
                part = part.permute(0, 3, 1, 2).float() / 255
                features.append(fitted.model.encoder(part))
                logits.append(fitted.model(part))
        spent = time.perf_counter() - began
        self.train_seconds["DB-VAE"] = self.train_seconds.get("DB-VAE", 0.0) + spent
        return codes, torch.cat(features).double().numpy(), torch.cat(logits).double().numpy()

    @cached_property
    def views(self) -> np.ndarray:
        """SimCLR's features."""
        began = time.perf_counter()
        found = self_supervised(self.images, seed=self.seed, epochs=1 if self.quick else 12)
        self.train_seconds["SimCLR"] = time.perf_counter() - began
        return found

    @cached_property
    def structure(self) -> np.ndarray:
        return over(self.images, structure)

    @cached_property
    def light(self) -> np.ndarray:
        return standard(over(self.images, light))

    @cached_property
    def reflectance(self) -> np.ndarray:
        return standard(over(self.images, reflectance))

    @cached_property
    def colour(self) -> np.ndarray:
        return standard(over(self.images, colour))

    @cached_property
    def chroma(self) -> np.ndarray:
        return over(self.images, chroma)


# --- rules: a scene → log weights ---

Rule = Callable[[Scene], np.ndarray]
SCALES = 0.0035, 0.1  # shares of the data that a group may have


def normal(log_weights: Any) -> np.ndarray:
    """Normal scores of the ranks, higher = rarer."""
    return torch.special.ndtri(ranks(torch.as_tensor(log_weights, dtype=torch.float64))).numpy()


def near(table: np.ndarray, scale: float, components: int | None = None) -> np.ndarray:
    """Normal scores of the distance to the neighbour at a share of the data."""
    kept = min(2048, len(table) - 1)
    count = max(1, round(scale * kept))
    found = NeighbourDensity(count, reference=kept, components=components).fit(table)
    return normal(-found.log_prob(table, leave_one_out=True))


def scales(*views: tuple[np.ndarray, int | None]) -> np.ndarray:
    """Normal scores of every view at every scale, added."""
    return np.sum([near(view, scale, count) for view, count in views for scale in SCALES], 0)


def added(*rarities: np.ndarray) -> np.ndarray:
    return normal(np.sum([normal(one) for one in rarities], 0))


def pictures(scene: Scene) -> Callable[[], Any]:
    return lambda: (scene.images[start : start + CHUNK] for start in range(0, len(scene.images), CHUNK))


def against_pool(scene: Scene) -> np.ndarray:
    """Log odds of belonging to the pool, by a linear classifier that has not seen the picture."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    if scene.part.pool is None:
        raise ValueError("this benchmark has no pool of other pictures")
    both = np.concatenate([scene.images, scene.part.pool])
    small_ = over(both, lambda part: linear(part)[:, 7:25, 7:25].flatten(1))
    codes = axes(np.column_stack([small_, over(both, structure)]), 120)
    label = np.arange(len(both)) >= len(scene.images)
    model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=500)
    return cross_val_predict(model, codes, label, cv=2, method="decision_function")[: len(scene.images)]


def oracle(scene: Scene) -> np.ndarray:
    """Groups equally often."""
    groups = Groups.from_column(next(iter(scene.part.groups.values())))
    return -np.log(groups.counts[groups.ids])


METHODS: dict[str, Rule] = {
    "uniform": lambda s: np.zeros(len(s.images)),
    "appearance (structure + light), the rule in use": lambda s: appearance_rarity(pictures(s)).numpy(),
    "structure: 20th neighbour": lambda s: neighbours_rule(s.structure, components=20),
    "structure: neighbours at 10 %": lambda s: near(s.structure, 0.1, 20),
    "structure: mixture of 32": lambda s: mixture_rule(s.structure, clusters=32),
    "structure: 32 clusters balanced": lambda s: cluster_rule(s.structure, clusters=32),
    "light: 50th neighbour": lambda s: neighbours_rule(s.light, k=50),
    "light: two scales": lambda s: scales((s.light, None)),
    "reflectance: two scales": lambda s: scales((s.reflectance, None)),
    "light of the subject given the picture's: two scales": lambda s: scales(
        (standard(given_light(s.images)), None)
    ),
    "colour without cast: two scales": lambda s: scales((s.colour, None)),
    "chroma: 20 axes, 20th neighbour": lambda s: neighbours_rule(axes(s.chroma, 20)),
    "amplitude: two scales": lambda s: scales((standard(over(s.images, amplitude)), None)),
    "shape (gradients): 20th neighbour": lambda s: neighbours_rule(over(s.images, shape), components=20),
    "shared by halves: 20th neighbour": lambda s: neighbours_rule(shared(s.images)),
    "pixels: 20th neighbour": lambda s: neighbours_rule(over(s.images, pixels_of), components=40),
    "contrast-normalised pixels: 20th neighbour": lambda s: neighbours_rule(
        over(s.images, contrast), components=40
    ),
    "structure + reflectance": lambda s: added(
        neighbours_rule(s.structure, components=20), neighbours_rule(s.reflectance, k=100)
    ),
    "structure + light + reflectance": lambda s: added(
        neighbours_rule(s.structure, components=20), near(s.light, 0.0045), near(s.reflectance, 0.1)
    ),
    "structure + light + reflectance at two scales": lambda s: added(
        neighbours_rule(s.structure, components=20),
        near(s.light, 0.0045),
        near(s.reflectance, 0.01),
        near(s.reflectance, 0.1),
    ),
    "structure by mixture + reflectance": lambda s: added(
        mixture_rule(s.structure, clusters=32), near(s.reflectance, 0.01)
    ),
    "structure by neighbours and mixture + light + reflectance": lambda s: added(
        neighbours_rule(s.structure, components=20),
        mixture_rule(s.structure, clusters=8, components=20),
        near(s.light, 0.0045),
        near(s.reflectance, 0.1),
    ),
    "structure + light, two scales": lambda s: scales((s.structure, 20), (s.light, None)),
    "structure + reflectance, two scales": lambda s: scales((s.structure, 20), (s.reflectance, None)),
    "structure + light + reflectance, two scales": lambda s: scales(
        (s.structure, 20), (s.light, None), (s.reflectance, None)
    ),
    "structure + reflectance + colour, two scales": lambda s: scales(
        (s.structure, 20), (s.reflectance, None), (s.colour, None)
    ),
    "structure + light + reflectance + colour, two scales": lambda s: scales(
        (s.structure, 20), (s.light, None), (s.reflectance, None), (s.colour, None)
    ),
    "six views, mean rank": lambda s: agreement(
        neighbours_rule(s.structure, components=20),
        near(s.light, 0.02),
        near(s.reflectance, 0.02),
        near(s.colour, 0.02),
        neighbours_rule(axes(s.chroma, 20)),
        neighbours_rule(shared(s.images)),
    ).numpy(),
    "structure + dark (assumes that dark is rare)": lambda s: added(
        neighbours_rule(s.structure, components=20), -over(s.images, reflectance)[:, 0]
    ),
    "DB-VAE latents: max rule": lambda s: max_rule(s.network[0]),
    "DB-VAE latents: product rule": lambda s: product_rule(s.network[0]),
    "DB-VAE latents: histogram": lambda s: equipoise_rule(s.network[0], density="histogram"),
    "DB-VAE latents: neighbours at 10 %": lambda s: equipoise_rule(s.network[0]),
    "DB-VAE latents: 20th neighbour": lambda s: neighbours_rule(s.network[0]),
    "DB-VAE latents: mixture of 32": lambda s: mixture_rule(s.network[0], clusters=32),
    "DB-VAE latents: 32 clusters balanced": lambda s: cluster_rule(s.network[0], clusters=32),
    "DB-VAE latents: 20th neighbour, three seeds' agreement": lambda s: agreement(
        *(neighbours_rule(codes) for codes, *_ in s.seeds)
    ).numpy(),
    "DB-VAE latents of evened pictures: 20th neighbour": lambda s: neighbours_rule(s.evened[0]),
    "DB-VAE latents of evened pictures: mixture of 32": lambda s: mixture_rule(s.evened[0], clusters=32),
    "DB-VAE penultimate features: 20th neighbour": lambda s: neighbours_rule(s.network[1]),
    "DB-VAE logit: low": lambda s: normal(-s.network[2]),
    "SimCLR: cosine, 20th neighbour": lambda s: neighbours_rule(unit(s.views)),
    "SimCLR: 20 axes, 20th neighbour": lambda s: neighbours_rule(axes(s.views, 20)),
    "SimCLR: 32 clusters balanced": lambda s: cluster_rule(unit(s.views), clusters=32),
    "SimCLR + structure + reflectance": lambda s: added(
        neighbours_rule(axes(s.views, 20)),
        neighbours_rule(s.structure, components=20),
        neighbours_rule(s.reflectance, k=100),
    ),
    "pool of 1,400 other pictures ‡": against_pool,
    "groups equally often †": oracle,
}
TRAINED = tuple(name for name in METHODS if "DB-VAE" in name or "SimCLR" in name)


def sees_groups(method: str) -> bool:
    """Whether a rule uses group annotations."""
    return method.endswith("†")


def unit(table: np.ndarray) -> np.ndarray:
    return table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)


# --- measuring ---


def tempered(rarity: np.ndarray) -> np.ndarray:
    """Weights at ESS 0.5; where so few are rare that ten times as often leaves more, at the smallest ESS there is."""
    for ess in np.arange(ESS, 1, 0.01):
        try:
            return temper(rarity, ess=float(ess), max_weight=MAX_WEIGHT)
        except DegenerateWeightsError as error:
            last = error
    raise ValueError(f"no weights: {last}") from last


def measured(rule: Rule, scenes: Sequence[Scene]) -> dict[str, Any]:
    """Enrichment of each group of each attribute, ESS, largest weight; over classes, the mean weighted by size."""
    began, found = time.perf_counter(), []
    before = [dict(scene.train_seconds) for scene in scenes]
    for scene in scenes:
        found.append(tempered(rule(scene)))
    seconds = time.perf_counter() - began
    trained = sum(
        scene.train_seconds[name] - old.get(name, 0)
        for scene, old in zip(scenes, before, strict=True)
        for name in scene.train_seconds
    )
    one = len(scenes) == 1
    rates: dict[str, dict[str, float]] = {}
    bounds, counts = {}, {}
    for scene, weights in zip(scenes, found, strict=True):
        for number, (attribute, group) in enumerate(scene.part.groups.items()):
            told = enrichment(weights, Groups.from_column(group, attribute=attribute))
            for name, rate in told.items():
                key = str(name) if one else f"{scene.part.name}, {name}"
                rates.setdefault(attribute, {})[key] = rate.value
                if not number:
                    bounds[key], counts[key] = [rate.low, rate.high], rate.n
    first = next(iter(rates))
    return {
        "enrichment": rates.pop(first),
        "interval": bounds,
        "pictures": counts,
        "other": rates,
        "ess": [effective_sample_size(weights) for weights in found],
        "largest": max(float(weights.max() * len(weights)) for weights in found),
        "seconds": seconds - trained,
        "training_s": trained,
    }


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


# --- the page ---

COLUMNS: tuple[tuple[str, dict[str, Any], str, tuple[str, ...]], ...] = (
    *(
        ("B1 " + name, {"benchmark": "b1"}, "enrichment", (name,))
        for name in ("Black", "Indian", "Southeast Asian")
    ),
    ("B1 70+", {"benchmark": "b1"}, "age", ("70+",)),
    ("B2 Black", {"benchmark": "b2"}, "enrichment", ("Female, Black", "Male, Black")),
    ("B2 Indian", {"benchmark": "b2"}, "enrichment", ("Female, Indian", "Male, Indian")),
    *(
        (
            f"B3 rare cells, c = {c:.0%}",
            {"benchmark": "b3", "c": c},
            "enrichment",
            ("old, rare", "young, rare"),
        )
        for c in RARE
    ),
    ("B4 darker skin", {"benchmark": "b4"}, "enrichment", ("darker skin",)),
    ("B4 backlit", {"benchmark": "b4"}, "enrichment", ("backlit",)),
)
ELSEWHERE = {"test_positives", "test_negatives", "group_column"}


def value(line: dict[str, Any], attribute: str, names: Sequence[str]) -> float | None:
    """Mean enrichment of some groups of a line; None where one is not there."""
    numbers = line["numbers"]
    table_ = numbers["enrichment"] if attribute == "enrichment" else numbers["other"].get(attribute, {})
    found = [table_.get(name) for name in names]
    return None if None in found else float(np.mean(found))


def by_method(
    lines: Sequence[dict[str, Any]], where: dict[str, Any], attribute: str, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Method → a column's values over seeds."""
    found: dict[str, list[float]] = {}
    for line in lines:
        if where.items() <= line["setting"].items() and not ELSEWHERE & line["setting"].keys():
            number = value(line, attribute, names)
            if number is not None:
                found.setdefault(line["method"], []).append(number)
    return {method: over_seeds(values) for method, values in found.items()}


def shown(numbers: dict[str, Any] | None) -> str:
    if numbers is None:
        return "–"
    if len(numbers["values"]) == 1:
        return f"{numbers['mean']:.2f}"
    return f"{numbers['mean']:.2f} ({numbers['min']:.2f}–{numbers['max']:.2f})"


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Every rule on every benchmark, as Markdown."""
    columns_ = [by_method(lines, where, attribute, names) for _, where, attribute, names in COLUMNS]
    seen = dict.fromkeys(line["method"] for line in lines)
    names = [m for m in METHODS if m in seen] + [m for m in seen if m not in METHODS]
    seconds = by_seconds(lines)
    text = [
        "Share of the draws over natural share at ESS 0.5 (or the smallest that is possible where too few pictures are "
        "rare: groups equally often in B3), no picture more than 10 times as often as it occurs; mean "
        "(smallest–largest) over the draws that were run, not the same number in each row; "
        "1.0 is no help. B2 and B3: rarity within each class, "
        "mean of both classes. Race, gender and age are what annotators saw in a picture; they serve to measure. "
        "† sees groups, ‡ other pictures without labels. 70+: a handful of pictures a draw. Seconds: weights of a draw "
        "of B1 without training, median.",
        "",
        "| rule | " + " | ".join(title for title, *_ in COLUMNS) + " | s |",
        "|---" * (len(COLUMNS) + 2) + "|",
    ]
    for name in names:
        cells = [shown(column.get(name)) for column in columns_]
        text.append(f"| {name} | {' | '.join(cells)} | {seconds.get(name, '–')} |")
    return "\n".join(text) + "\n"


def by_seconds(lines: Sequence[dict[str, Any]]) -> dict[str, str]:
    found: dict[str, list[float]] = {}
    for line in lines:
        if line["setting"].get("benchmark") == "b1" and not ELSEWHERE & line["setting"].keys():
            found.setdefault(line["method"], []).append(line["numbers"]["seconds"])
    return {method: f"{np.median(values):.1f}" for method, values in found.items()}


def figures(lines: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """Enrichment of the rarest race of B1 by rule, and a hidden group of B4 beside it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    _, where, attribute, names = COLUMNS[0]
    rarest = by_method(lines, where, attribute, names)
    if not rarest:
        return []
    order = sorted(rarest, key=lambda method: rarest[method]["mean"])
    figure, axis = pyplot.subplots(figsize=(8, 1 + 0.24 * len(order)), layout="constrained")
    for place, method in enumerate(order):
        numbers = rarest[method]
        axis.plot([numbers["min"], numbers["max"]], [place, place], color="0.6", lw=2, zorder=1)
        axis.scatter(numbers["mean"], place, s=22, color="C1" if sees_groups(method) else "C0", zorder=2)
    axis.axvline(1, color="0.4", lw=1)
    axis.axvline(2, color="0.4", lw=1, ls=":")
    axis.set(
        yticks=range(len(order)), xlabel="B1: Black faces, share of the draws over natural share at ESS 0.5"
    )
    axis.set_yticklabels(order, fontsize=8)
    axis.set_xscale("log", base=2)
    axis.set_xticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "bench-enrichment.svg"
    with pyplot.rc_context({"svg.hashsalt": "equipoise"}):  # the same lines make the same file
        figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
    return [file]


# --- the command ---


def benchmarks(options: argparse.Namespace) -> dict[str, tuple[dict[str, Any], Callable[[int], list[Class]]]]:
    """Name → what marks its lines, and how a seed draws it."""
    scale = 0.05 if options.quick else 1.0
    if options.test_positives is not None:
        files = options.test_positives, options.test_negatives
        marks = {
            "benchmark": "brought",
            "test_positives": files[0].name,
            "group_column": options.group_column,
        }
        return {"brought": (marks, lambda _: others(*files, options.group_column))}
    found: dict[str, tuple[dict[str, Any], Callable[[int], list[Class]]]] = {}
    if options.data is not None:
        data = options.data
        found["b1"] = {"benchmark": "b1"}, lambda seed: faces(data, seed, scale)
        found["b2"] = {"benchmark": "b2"}, lambda seed: by_label(data, seed, scale)
        for c in RARE:
            found[f"b3, c = {c:.0%}"] = (
                {"benchmark": "b3", "c": c},
                lambda seed, c=c: by_age(data, seed, 0.4 if options.quick else 1.0, c),
            )
    found["b4"] = {"benchmark": "b4"}, lambda seed: drawn_faces(seed, scale)
    return {name: entry for name, entry in found.items() if name.split(",")[0] in options.benchmarks}


def main(argv: list[str] | None = None) -> None:
    """Measure what has no line yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with fairface64 and tinyimagenet64")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--lines", type=Path, default=Path("benchmarks/results/enrichment.jsonl"))
    parser.add_argument(
        "--quick", action="store_true", help="a twentieth of the pictures: shows that it runs"
    )
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument(
        "--benchmarks", nargs="+", default=["b1", "b2", "b3", "b4"], choices=["b1", "b2", "b3", "b4"]
    )
    parser.add_argument(
        "--trained-seeds", type=int, default=1, help="draws for which networks are trained: they cost most"
    )
    parser.add_argument(
        "--test-positives", type=Path, help="pictures with a group column, in place of B1 to B4"
    )
    parser.add_argument("--test-negatives", type=Path)
    parser.add_argument("--group-column", default="race", help="their column of groups")
    options = parser.parse_args(argv)
    if (options.test_positives is None) != (options.test_negatives is None):
        parser.error("--test-positives and --test-negatives go together")
    if options.test_positives is not None and not options.test_positives.exists():
        parser.error(f"there is no file {options.test_positives}")
    command = "python benchmarks/enrichment.py --data DATA" + f" --seeds {options.seeds}"
    command += " --quick" if options.quick else ""
    lines = Lines(options.lines, "enrichment", command)
    for _, (marks, drawn) in benchmarks(options).items():
        setting = marks | ({"quick": True} if options.quick else {})
        for seed in range(1 if marks["benchmark"] == "brought" else options.seeds):
            wanted = [m for m in options.methods if m not in TRAINED or seed < options.trained_seeds]
            wanted = [m for m in wanted if "‡" not in m or marks["benchmark"] == "b1"]
            scenes: list[Scene] = []

            def run(
                method: str, seed: int = seed, scenes: list[Scene] = scenes, drawn: Any = drawn
            ) -> dict[str, Any]:
                if not scenes:
                    scenes += [Scene(part, seed, options.quick) for part in drawn(seed)]
                return rounded(measured(METHODS[method], scenes))

            for method in wanted:
                line = lines.run(method, seed, lambda method=method: run(method), setting=setting)
                if line is not None:
                    print(marks, seed, method, line["numbers"]["enrichment"], flush=True)
    print(table(lines.read()))


if __name__ == "__main__":
    main()
