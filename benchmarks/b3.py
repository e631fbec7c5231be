"""B3: old or young, where the training pictures correlate it with gender.

    python benchmarks/b3.py --data ../shared/data --seeds 3

Young = ages 10–29, old = 40 and over, of FairFace. 8,000 training pictures: young women and old men are the rule, young
men and old women are a share c of their half. 2,000 more of the same skew are held out for thresholds and choices.
A seed decides the draw, the same for all methods, and the training. Test: all young and old of the test file. Age and
gender are what annotators saw in a picture; gender serves to measure unequal error, and only methods marked † see
it in training. Variants of a method are compared once, in the first scene (first c, seed 0), by the mean accuracy of
the four cells on the held-out part, and the best is taken everywhere; ‡ sees gender there, and only there.

All train the standard CNN (width 12) for equally many steps, with flips, shifts and light as in recipe "equipoise".
What a method trains besides is in the column "extra steps". A finished run is a JSON line in the work folder, so an
interrupted benchmark goes on; a run that fails is told, and tried again at the next start. Intervals over the
pictures of the test, and of differences from plain, are in the JSON.

Methods with "GAN" take their pictures from one generator, trained beforehand by `equipoise train-generator` on faces
of the training file without labels, and are left out without `--generator`. "Discovered" ones put clusters of
`equipoise.latent.discover` where others put gender.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch.nn.functional import binary_cross_entropy_with_logits

from equipoise.data import ImageTable
from equipoise.fairness import attribute_metrics, threshold_at_equal_error, threshold_at_prevalence
from equipoise.groups import Groups
from equipoise.latent import (
    DBVAEGenerator,
    Generator,
    Hyperplane,
    ModuleGenerator,
    discover,
    fit_hyperplanes,
    invert,
    mixed,
    pairs,
    pairs_of,
    scored_latents,
)
from equipoise.nn import DBVAE, StandardCNN, pixels
from equipoise.seeds import child_seed
from equipoise.train import recipe
from equipoise.train.augmentation import augmented
from equipoise.train.fit import precision_of
from equipoise.train.loop import learning_rate
from equipoise.train.saved_generator import load_generator

YOUNG, OLD = ("10-19", "20-29"), ("40-49", "50-59", "60-69", "70+")
TRAIN, HELD_OUT = 8000, 2000
HOW = recipe("equipoise").plain
HALF = precision_of("auto", "cpu") == "bf16-mixed"
T_975 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}


class Part:
    """Pictures with their target (1 = old), gender (1 = Female) and cell (2 · old + female)."""

    def __init__(self, images: np.ndarray, old: np.ndarray, female: np.ndarray) -> None:
        self.images, self.old, self.female = images, old, female
        self.cells = 2 * old + female

    def __len__(self) -> int:
        return len(self.old)

    def take(self, rows: np.ndarray) -> Part:
        return Part(self.images[rows], self.old[rows], self.female[rows])

    @property
    def table(self) -> ImageTable:
        return ImageTable.from_arrays(self.images, self.old)


def labelled(file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows that are young or old, whether old, whether female."""
    found = pq.read_table(file, columns=["age", "gender"])
    age, gender = (np.array(found.column(name).to_pylist()) for name in ("age", "gender"))
    rows = np.flatnonzero(np.isin(age, YOUNG + OLD))
    return rows, np.isin(age[rows], OLD).astype(np.int64), (gender[rows] == "Female").astype(np.int64)


def part(file: Path, chosen: np.ndarray) -> Part:
    """Pictures of chosen rows among the labelled ones."""
    rows, old, female = labelled(file)
    found = pq.read_table(file, columns=["image"]).column("image").take(pa.array(rows[chosen])).to_pylist()
    images = np.stack([np.asarray(Image.open(io.BytesIO(entry["bytes"])).convert("RGB")) for entry in found])
    return Part(images, old[chosen], female[chosen])


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


# --- training ---

RowLoss = Callable[[torch.Tensor, torch.Tensor, np.ndarray], torch.Tensor]


def plain_loss(logits: torch.Tensor, targets: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
    """Binary cross-entropy."""
    return binary_cross_entropy_with_logits(logits, targets)


def batches(count: int, probabilities: np.ndarray | None, steps: int, rng: np.random.Generator):
    """Rows of each step: all rows in turn, or drawn by probability."""
    if probabilities is not None:
        ends = np.cumsum(probabilities) / np.sum(probabilities)
        for _ in range(steps):
            yield np.searchsorted(ends, rng.random(HOW.batch_size), side="right").clip(max=count - 1)
        return
    order = rng.permutation(count)
    for _ in range(steps):
        if len(order) < HOW.batch_size:
            order = np.concatenate([order, rng.permutation(count)])
        yield order[: HOW.batch_size]
        order = order[HOW.batch_size :]


def optimised(model, steps: int, losses) -> None:
    """The recipe's Adam and one-cycle rate over an iterable of functions that give a loss."""
    model.train()
    adam = torch.optim.Adam(model.parameters(), HOW.learning_rate, eps=1e-7, fused=True)
    for step, loss in enumerate(losses):
        for group in adam.param_groups:
            group["lr"] = learning_rate(HOW, step, steps)
        with torch.autocast("cpu", torch.bfloat16, enabled=HALF):
            value = loss()
        adam.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), HOW.clip)
        adam.step()
    model.eval()


def trained(
    images: np.ndarray,
    targets: np.ndarray,
    seed: int,
    steps: int,
    *,
    probabilities: np.ndarray | None = None,
    row_loss: RowLoss = plain_loss,
    partners: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
    heads: int = 1,
) -> StandardCNN:
    """One classifier; the seed gives its weights, the order of rows and the augmentation.

    With `partners` each picture is blended with another of the same class, in parts from Beta(2, 2). Of several
    heads all logits go to `row_loss`, and their mean is the classifier's.
    """
    chance = torch.Generator().manual_seed(child_seed(seed, "augmentation"))
    weights = torch.Generator().manual_seed(child_seed(seed, "weights"))
    model = StandardCNN(heads, width=12, norm_momentum=0.1, generator=weights).to(
        memory_format=torch.channels_last
    )
    labels = torch.from_numpy(np.asarray(targets, np.float32))
    rng = np.random.default_rng(child_seed(seed, "rows"))

    def losses():
        for rows in batches(len(targets), probabilities, steps, rng):
            pictures = augmented(torch.from_numpy(images[rows]), HOW.augmentation, generator=chance)
            if partners is not None:
                others = torch.from_numpy(images[partners(rows, rng)])
                part = torch.from_numpy(rng.beta(2, 2, (len(rows), 1, 1, 1))).float()
                others = augmented(others, HOW.augmentation, generator=chance)
                pictures = part * pictures + (1 - part) * others
            yield lambda x=pictures, rows=rows: row_loss(model(x).float().squeeze(1), labels[rows], rows)

    optimised(model, steps, losses())
    return model


@torch.no_grad()
def logits_of(model: StandardCNN, images: np.ndarray, features: bool = False) -> np.ndarray:
    """Logits, or hidden features, of pictures."""
    found = []
    for start in range(0, len(images), 500):
        x = pixels(torch.from_numpy(images[start : start + 500]))
        found.append(model.features(x) if features else model(x).mean(1))
    return torch.cat(found).numpy().astype(np.float64)


def cell_weights(cells: np.ndarray) -> np.ndarray:
    """One over the size of a row's cell, mean 1."""
    names, place, sizes = np.unique(cells, return_inverse=True, return_counts=True)
    return len(cells) / (len(names) * sizes[place])


def mean_of_cells(logits: np.ndarray, old: np.ndarray, cells: np.ndarray) -> float:
    """Mean accuracy of cells; the criterion of choices."""
    right = (logits >= 0) == old
    return float(np.mean([right[cells == cell].mean() for cell in np.unique(cells)]))


def prior(labels: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Log odds of label 1 among the rows with the same given value."""
    shares = np.array([labels[given == value].mean() for value in (0, 1)])
    return np.log(shares / (1 - shares))[given]


def on_top_of(bias: np.ndarray) -> RowLoss:
    """Cross-entropy of logits that are added to what is known already."""
    known = torch.from_numpy(bias).float()
    return lambda logits, targets, rows: binary_cross_entropy_with_logits(logits + known[rows], targets)


def learning(labels: np.ndarray, other: np.ndarray) -> dict[str, dict]:
    """Ways to train a classifier of labels that go with another attribute."""
    return {
        "plain": {},
        "balanced": {"probabilities": cell_weights(2 * labels + other)},
        "corrected": {"row_loss": on_top_of(prior(labels, other))},
    }


class Fast(torch.nn.Module):
    """A generator's network in the benchmark's precision."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=HALF):
            return self.network(latents).float()


Protected = str | tuple[int, ...]
"""What is crossed: annotated "gender", or what is discovered by so many clusters."""


class Scene:
    """One draw and one training seed, and the networks that several methods share."""

    def __init__(
        self,
        training: Part,
        held_out: Part,
        test: Part,
        seed: int,
        steps: int,
        gan: Path | None,
        rest: Callable[[], Part],
    ) -> None:
        self.training, self.held_out, self.test = training, held_out, test
        self.seed, self.steps, self.gan, self.rest = seed, steps, gan, rest

    def train(self, **settings) -> StandardCNN:
        return trained(self.training.images, self.training.old, self.seed, self.steps, **settings)

    def scores(self, model: StandardCNN) -> dict[str, np.ndarray]:
        return {
            "held_out": logits_of(model, self.held_out.images),
            "test": logits_of(model, self.test.images),
        }

    @property
    def vae_steps(self) -> int:
        return 3 * self.steps // 2

    @cached_property
    def plain(self) -> StandardCNN:
        return self.train()

    @cached_property
    def early(self) -> StandardCNN:
        """A classifier stopped early, after a quarter of the steps."""
        return trained(
            self.training.images, self.training.old, child_seed(self.seed, "early"), self.steps // 4
        )

    def discovered(self, counts: tuple[int, ...]) -> tuple[np.ndarray, dict]:
        """What takes the place of gender in training rows, and how it came about.

        The class that a picture looks like, turned round: as with gender, cells of two equal numbers are rare.
        """
        if counts not in (made := self.__dict__.setdefault("discoveries", {})):
            training, held_out = (
                logits_of(self.plain, p.images, features=True) for p in (self.training, self.held_out)
            )
            said, old = logits_of(self.plain, self.held_out.images), self.training.old
            found = discover(
                training, old, held_out=(held_out, self.held_out.old, said), counts=counts, seed=self.seed
            )
            attribute = 1 - found.sides(training, old)
            conflict, rare = attribute == old, self.training.female == old
            made[counts] = (
                attribute,
                {
                    "clusters": list(found.clusters.values()),
                    "held-out accuracy in conflict": [
                        found.accuracy[t][cluster].value for t, cluster in found.conflict.items()
                    ],
                    "in conflict": float(conflict.mean()),
                    "rare in conflict": float(rare[conflict].mean()),
                    "rare found": float(conflict[rare].mean()),
                },
            )
        return made[counts]

    def protected(self, by: Protected) -> np.ndarray:
        """Annotated gender of the training rows, or what is discovered in its place."""
        return self.training.female if by == "gender" else self.discovered(by)[0]

    def f_t(self, how: str, by: Protected = "gender") -> StandardCNN:
        """From pictures to the class; plain, or balanced or corrected by class × protected attribute."""
        if how == "plain":
            return self.plain
        if how == "elsewhere":
            return self.elsewhere[0]
        how = "balanced" if how == "gender elsewhere" else how
        if (how, by) not in (made := self.__dict__.setdefault("targets", {})):
            made[how, by] = self.train(**learning(self.training.old, self.protected(by))[how])
        return made[how, by]

    def f_g(self, how: str, by: Protected = "gender") -> StandardCNN:
        """From pictures to the protected attribute; likewise."""
        if how in ("elsewhere", "gender elsewhere"):
            return self.elsewhere[1]
        if (how, by) not in (made := self.__dict__.setdefault("genders", {})):
            protected, seed = self.protected(by), child_seed(self.seed, "gender")
            settings = learning(protected, self.training.old)[how]
            made[how, by] = trained(self.training.images, protected, seed, self.steps, **settings)
        return made[how, by]

    @cached_property
    def elsewhere(self) -> tuple[StandardCNN, StandardCNN]:
        """f_t and f_g as they could be: four times the steps on pictures of no part, all cells equally often."""
        rest, steps = self.rest(), 4 * self.steps
        settings = {"probabilities": cell_weights(rest.cells)}
        target, gender = (
            trained(rest.images, labels, child_seed(self.seed, "elsewhere", i), steps, **settings)
            for i, labels in enumerate((rest.old, rest.female))
        )
        return target, gender

    @cached_property
    def vae(self) -> DBVAE:
        """A VAE of all training pictures: each counts as a positive, which DBVAE decodes."""
        weights = torch.Generator().manual_seed(child_seed(self.seed, "vae"))
        noise = torch.Generator().manual_seed(child_seed(self.seed, "noise"))
        model = DBVAE(
            latent=64, width=12, decoder_output="linear", norm_momentum=0.1, kl_weight=1e-4, generator=weights
        )
        rng = np.random.default_rng(child_seed(self.seed, "vae rows"))
        ones = torch.ones(HOW.batch_size, dtype=torch.long)
        steps = self.vae_steps

        def losses():
            for rows in batches(len(self.training), None, steps, rng):
                x = augmented(torch.from_numpy(self.training.images[rows]), ("flip",), generator=noise)
                yield lambda x=x: model.losses(x, ones, generator=noise).total

        optimised(model, steps, losses())
        return model

    @cached_property
    def unseen(self) -> np.ndarray:
        """Logits of the training rows from two classifiers, each trained on the half without the row."""
        rng = np.random.default_rng(child_seed(self.seed, "halves"))
        half = rng.permutation(len(self.training)) % 2
        found = np.empty(len(half))
        for side in (0, 1):
            other = self.training.take(half != side)
            model = trained(other.images, other.old, child_seed(self.seed, "half", side), self.steps // 2)
            found[half == side] = logits_of(model, self.training.images[half == side])
        return found

    @property
    def unseen_cells(self) -> np.ndarray:
        """Class × whether a classifier that has not seen the row is right."""
        return 2 * self.training.old + ((self.unseen >= 0) == self.training.old)

    def among_errors(self, wrong: np.ndarray) -> dict:
        """How many are errors, and how well these find the rare cells; to be told, not to be used."""
        rare = self.training.old == self.training.female
        return {
            "errors": float(wrong.mean()),
            "rare_among_errors": float(rare[wrong].mean()),
            "rare_found": float(wrong[rare].mean()),
        }


# --- methods: scene → scores of the held-out and of the test part, and what else is to be told ---


def plain(scene: Scene) -> tuple[dict, dict]:
    return scene.scores(scene.plain), {}


def uniform(scene: Scene) -> tuple[dict, dict]:
    """Control of all that draw rows: drawn with replacement, all alike."""
    return scene.scores(scene.train(probabilities=np.ones(len(scene.training)))), {}


def weighted(scene: Scene) -> tuple[dict, dict]:
    """Loss of each row over the share of its cell."""
    weights = torch.from_numpy(cell_weights(scene.training.cells)).float()

    def loss(logits, targets, rows):
        return binary_cross_entropy_with_logits(logits, targets, weight=weights[rows])

    return scene.scores(scene.train(row_loss=loss)), {}


def balanced(scene: Scene) -> tuple[dict, dict]:
    return scene.scores(scene.f_t("balanced")), {}


def robust(scene: Scene, cells: np.ndarray, rate: float = 0.01) -> StandardCNN:
    """GroupDRO, online, with cells drawn equally often (Sagawa, Koh, Hashimoto, Liang 2020, algorithm 1)."""
    names, place = np.unique(cells, return_inverse=True)
    q = torch.full((len(names),), 1 / len(names))
    ids = torch.from_numpy(place)

    def loss(logits, targets, rows):
        nonlocal q
        each = binary_cross_entropy_with_logits(logits, targets, reduction="none")
        here = torch.nn.functional.one_hot(ids[rows], len(names)).float()
        means = (each[:, None] * here).sum(0) / here.sum(0).clamp(min=1)
        q = q * torch.exp(rate * means.detach())
        q = q / q.sum()
        return (q * means).sum()

    return scene.train(probabilities=cell_weights(cells), row_loss=loss)


def group_dro(scene: Scene) -> tuple[dict, dict]:
    return scene.scores(robust(scene, scene.training.cells)), {}


def corrected(scene: Scene) -> tuple[dict, dict]:
    """Trained on top of the log odds of the class given gender, used without (Menon et al. 2021, by group)."""
    return scene.scores(scene.f_t("corrected")), {}


def domain_independent(scene: Scene) -> tuple[dict, dict]:
    """A head for each gender, learning from its pictures alone; used together (Wang et al. 2020, section 4.4)."""
    gender = torch.from_numpy(scene.training.female)

    def loss(logits, targets, rows):
        own = logits.gather(1, gender[rows][:, None])[:, 0]
        return binary_cross_entropy_with_logits(own, targets)

    return scene.scores(scene.train(row_loss=loss, heads=2)), {}


def gender_threshold(scene: Scene) -> tuple[dict, dict]:
    """Plain, moved for each gender so that both classes are equally often right there: needs gender in use too."""
    scores, rows = scene.scores(scene.plain), {"held_out": scene.held_out, "test": scene.test}
    limits = []
    for gender in (0, 1):
        mine = scene.held_out.female == gender
        limits.append(threshold_at_equal_error(scores["held_out"][mine], scene.held_out.old[mine]))
    moved = {name: s - np.array(limits)[rows[name].female] for name, s in scores.items()}
    return moved, {"logits": limits}


def two_logits(scene: Scene) -> tuple[dict, dict]:
    """Plain's logit less what f_g says: a logistic regression on both, fitted to the held-out cells equally.

    Last-layer retraining (Kirichenko, Izmailov, Wilson 2023) on two features; gender itself is not needed in use.
    """
    f_g, scores = scene.f_g("balanced"), scene.scores(scene.plain)
    both = {
        name: np.stack([scores[name], logits_of(f_g, rows.images)], 1)
        for name, rows in (("held_out", scene.held_out), ("test", scene.test))
    }
    start = (torch.tensor([[1.0, 0.0]]), torch.tensor([0.0]))
    weights = cell_weights(scene.held_out.cells)
    weight, bias = last_layer(both["held_out"], scene.held_out.old, weights, start, pull=1e-3)
    told = {"weights": weight[0].tolist(), "extra_steps": scene.steps}
    return {name: values @ weight[0] + bias[0] for name, values in both.items()}, told


def class_threshold(scene: Scene) -> tuple[dict, dict]:
    """Plain, moved so that both classes are equally often right on the held-out part."""
    scores = scene.scores(scene.plain)
    moved = threshold_at_equal_error(scores["held_out"], scene.held_out.old)
    return {name: s - moved for name, s in scores.items()}, {"logit": moved}


def jtt(scene: Scene, times: int) -> tuple[dict, dict]:
    """Just train twice: errors of a classifier stopped early are drawn `times` as often (Liu et al. 2021)."""
    wrong = (logits_of(scene.early, scene.training.images) >= 0) != scene.training.old
    model = scene.train(probabilities=np.where(wrong, float(times), 1.0))
    return scene.scores(model), scene.among_errors(wrong) | {"extra_steps": scene.steps // 4}


def unseen_errors(scene: Scene) -> tuple[dict, dict]:
    """Class × whether out-of-fold right, in place of class × gender: drawn equally often."""
    cells = scene.unseen_cells
    model = scene.train(probabilities=cell_weights(cells))
    return scene.scores(model), scene.among_errors(cells % 2 == 0) | {"extra_steps": scene.steps}


def experts(scene: Scene, share: float) -> tuple[dict, dict]:
    """Product of experts: trained on top of out-of-fold logits, used without (Clark et al. 2019)."""
    return scene.scores(scene.train(row_loss=on_top_of(share * scene.unseen))), {"extra_steps": scene.steps}


def blended(scene: Scene, cells: np.ndarray) -> StandardCNN:
    """LISA: cells drawn equally often, each picture blended with one of its class in another cell (Yao et al. 2022).

    Differs from it in: there the rest of the blends is of one gender and two classes; here all keep the class.
    """
    old = scene.training.old
    pools = {
        cell: np.flatnonzero((cells != cell) & (old == old[cells == cell][0])) for cell in np.unique(cells)
    }

    def partners(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.array([rng.choice(pools[cell]) for cell in cells[rows]])

    return scene.train(probabilities=cell_weights(cells), partners=partners)


def lisa(scene: Scene) -> tuple[dict, dict]:
    return scene.scores(blended(scene, scene.training.cells)), {}


def unseen_lisa(scene: Scene) -> tuple[dict, dict]:
    """LISA with class × whether out-of-fold right in place of class × gender."""
    return scene.scores(blended(scene, scene.unseen_cells)), {"extra_steps": scene.steps}


def clusters(scene: Scene, of: str) -> tuple[np.ndarray, dict]:
    """Clusters within each class, their number by silhouette on the held-out part."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.metrics import silhouette_score

    def codes(rows: Part) -> np.ndarray:
        if of == "latents":
            return invert(scene.vae, rows.table).numpy().astype(np.float64)
        return logits_of(scene.early, rows.images, features=True)

    training, held_out = codes(scene.training), codes(scene.held_out)
    cells, kept = np.zeros(len(scene.training), np.int64), []
    for label in (0, 1):
        mine, other = scene.training.old == label, scene.held_out.old == label
        axes = PCA(8, random_state=0).fit(training[mine])
        best = None
        for k in (2, 3, 4, 6):
            found = KMeans(k, n_init=3, random_state=scene.seed).fit(axes.transform(training[mine]))
            places = axes.transform(held_out[other])
            ids = found.predict(places)
            value = silhouette_score(places, ids) if len(np.unique(ids)) > 1 else -1.0
            if best is None or value > best[0]:
                best = (value, k, found.labels_)
        cells[mine] = 10 * label + best[2]
        kept.append(best[1])
    rare = scene.training.old == scene.training.female
    shares = [float(rare[cells == cell].mean()) for cell in np.unique(cells)]
    return cells, {"clusters": kept, "rare_in_clusters": shares}


def george(scene: Scene, of: str) -> tuple[dict, dict]:
    """GroupDRO on clusters within each class (Sohoni et al. 2020)."""
    cells, told = clusters(scene, of)
    extra = scene.vae_steps if of == "latents" else scene.steps // 4
    return scene.scores(robust(scene, cells)), told | {"extra_steps": extra}


def last_layer(features: np.ndarray, targets: np.ndarray, weights: np.ndarray, start, pull: float):
    """Logistic regression from a start that pulls it back."""
    x, y, w = (torch.from_numpy(np.asarray(a, np.float64)) for a in (features, targets, weights))
    first = [p.detach().double().clone() for p in start]
    now = [p.clone().requires_grad_() for p in first]
    solver = torch.optim.LBFGS(now, max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        solver.zero_grad()
        each = binary_cross_entropy_with_logits(x @ now[0][0] + now[1][0], y, reduction="none")
        total = (w * each).sum() / w.sum()
        total = total + pull * sum(((a - b) ** 2).sum() for a, b in zip(now, first, strict=True))
        total.backward()
        return total

    solver.step(closure)
    return [p.detach().numpy() for p in now]


def afr(scene: Scene, sharpness: float) -> tuple[dict, dict]:
    """Last layer retrained on a fifth set aside, by exp(−γ p of the right class) (Qiu et al. 2023)."""
    rng = np.random.default_rng(child_seed(scene.seed, "afr"))
    aside = rng.random(len(scene.training)) < 0.2
    if "afr" not in scene.__dict__:
        most = scene.training.take(~aside)
        scene.__dict__["afr"] = trained(most.images, most.old, scene.seed, scene.steps)
    model = scene.__dict__["afr"]
    rest = scene.training.take(aside)
    features = logits_of(model, rest.images, features=True)
    right = 1 / (1 + np.exp(-np.where(rest.old, 1, -1) * logits_of(model, rest.images)))
    weights = np.exp(-sharpness * right) * cell_weights(rest.old)
    weight, bias = last_layer(
        features, rest.old, weights, (model.output.weight, model.output.bias), pull=1e-2
    )
    scores = {
        name: logits_of(model, rows.images, features=True) @ weight[0] + bias[0]
        for name, rows in (("held_out", scene.held_out), ("test", scene.test))
    }
    return scores, {}


@dataclass(frozen=True)
class Making:
    """How pairs are made.

    Args:
        classifiers: f_t and f_g are "plain", "balanced" or "corrected"; or, to see what better ones would bring,
            trained "elsewhere", on pictures that no other method has; "gender elsewhere" has f_t balanced and such an
            f_g.
        generator: "VAE", trained on the draw, or "GAN", the one of `--generator`.
        codes: "sampled", or those of "real" pictures.
        by: What the edit crosses.
        margin: A pair is made only if f_t is so far from its threshold.
        all: Also keep pairs that did not do what they should.
    """

    classifiers: str = "plain"
    generator: str = "VAE"
    codes: str = "sampled"
    by: Protected = "gender"
    margin: float = 0.0
    all: bool = False


SPARE = {"VAE": 2, "GAN": 3}
"""Pairs made for each one wanted; if fewer do what they should, the share is lower."""


def source(scene: Scene, how: Making) -> tuple[Generator, dict[str, Hyperplane], dict[str, float]]:
    """The generator, its hyperplanes, and the scores that as many of its pictures reach as in training."""
    key = how.classifiers, how.generator, how.by
    if key not in (made := scene.__dict__.setdefault("sources", {})):
        if how.generator == "GAN":
            loaded = load_generator(scene.gan)
            maker = ModuleGenerator(Fast(loaded.module), loaded.latent)
        else:
            maker = DBVAEGenerator.from_images(scene.vae, scene.training.table)
        f_t, f_g = (classifier(how.classifiers, how.by) for classifier in (scene.f_t, scene.f_g))
        attributes = {"old": f_t, "protected": f_g}
        seen = scored_latents(maker, attributes, 4096, seed=scene.seed).scores
        shares = {"old": scene.training.old.mean(), "protected": scene.protected(how.by).mean()}
        limits = {name: float(np.quantile(seen[name], 1 - shares[name])) for name in attributes}
        planes = fit_hyperplanes(
            maker, attributes, fit=6000, validate=2000, threshold=limits, seed=scene.seed
        )
        made[key] = maker, planes, limits
    return made[key]


def made_pairs(scene: Scene, how: Making, count: int) -> ImageTable:
    """Pairs, good or not; of real pictures one each. Only the latest are kept: they are large."""
    key, table = scene.__dict__.get("pairs", (None, ()))
    if key == replace(how, all=False) and len(table) >= 2 * count:
        return table.take(np.arange(2 * count))  # a longer run begins with the shorter one
    maker, planes, limits = source(scene, how)
    f_t, f_g = (classifier(how.classifiers, how.by) for classifier in (scene.f_t, scene.f_g))
    setting = {"scorer": f_t, "also": {"protected": f_g}}
    if how.codes == "real":
        codes = invert(scene.vae, scene.training.table)
        made = pairs_of(codes, scene.training.old, maker, planes["old"], planes["protected"], **setting)
    else:
        made = pairs(
            maker,
            planes["old"],
            planes["protected"],
            count,
            threshold=limits["old"],
            margin=how.margin,
            seed=scene.seed,
            **setting,
        )
    scene.__dict__["pairs"] = replace(how, all=False), made
    return made


def edited(scene: Scene, how: Making, count: int) -> tuple[ImageTable, dict]:
    """Pairs, without those that did not do what they should: f_g changed sides and f_t did not; how many did."""
    _, planes, limits = source(scene, how)
    made = made_pairs(scene, how, count)
    target, protected = (
        (np.asarray(made.column(f"{column}_score")) >= limits[name]).reshape(-1, 2)
        for column, name in (("target", "old"), ("protected", "protected"))
    )
    kept_target, changed = target[:, 0] == target[:, 1], protected[:, 0] != protected[:, 1]
    good, labels = changed & kept_target, made.labels.reshape(-1, 2)[:, 0]
    told = {
        "auroc": {name: plane.auroc.value for name, plane in planes.items()},
        "cosine": float(np.asarray(planes["old"].weight) @ np.asarray(planes["protected"].weight)),
        "f_g changed": float(changed.mean()),
        "f_t kept": float(kept_target.mean()),
        "kept": float(good.mean()),
        "rare_among_kept": float((labels == protected[:, 1])[good].mean()) if good.any() else float("nan"),
        "extra_steps": 2 * scene.steps,
    }
    if how.generator == "GAN":
        told["generator_steps"] = json.loads((scene.gan / "config.json").read_text())["steps"]
    else:
        told["extra_steps"] += scene.vae_steps
    if "elsewhere" in how.classifiers:
        told["extra_steps"] = (8 if how.classifiers == "elsewhere" else 5) * scene.steps
    if how.by != "gender":
        told |= scene.discovered(how.by)[1]
        told["extra_steps"] += scene.steps
    return made if how.all else made.take(np.repeat(good, 2)), told


def with_pairs(
    scene: Scene, how: Making, share: float, edit: bool = True, even: bool = False
) -> tuple[dict, dict]:
    """Real pictures and pairs; without `edit`, the first pictures of the same pairs, twice.

    With `even` the cells of the real pictures are drawn equally often, at the same share of generated ones.

    Of corrected classifiers the real pictures are corrected too; pairs have nothing to correct.
    """
    real = scene.training.table
    wanted = len(real) / 2 * max(1, share / (1 - share))
    table, told = edited(scene, how, max(64, round(SPARE[how.generator] * wanted)))
    most = len(table) / (len(table) + len(real))
    both = mixed(real, table, min(share, most), seed=scene.seed)
    images = both.batch(np.arange(len(both)))
    if not edit:
        images = np.concatenate([images[: len(real)], np.repeat(images[len(real) :: 2], 2, axis=0)])
    row_loss = plain_loss
    if how.classifiers == "corrected":
        bias = np.zeros(len(both))
        bias[: len(real)] = prior(scene.training.old, scene.training.female)
        row_loss = on_top_of(bias)
    chances = None
    if even:
        chances = np.ones(len(both))
        chances[: len(real)] = cell_weights(scene.training.cells)
    model = trained(images, both.labels, scene.seed, scene.steps, row_loss=row_loss, probabilities=chances)
    return scene.scores(model), told | {"share": 1 - len(real) / len(both)}


def gan_variants(classifiers: str) -> dict[str, partial]:
    """Half generated, and what differs from it in one thing; those with the same pairs one after another."""
    tried = {
        "share 0.5, margin 0.2": (0.5, {"margin": 0.2}),
        "share 0.67": (0.67, {}),
        "share 0.25": (0.25, {}),
        "share 0.5": (0.5, {}),
        "share 0.5, all pairs": (0.5, {"all": True}),
    }
    return {
        name: partial(with_pairs, how=Making(classifiers, "GAN", **others), share=share)
        for name, (share, others) in tried.items()
    }


def discovered_balanced(scene: Scene, counts: tuple[int, ...]) -> tuple[dict, dict]:
    """Class × discovered side, in place of class × gender: drawn equally often."""
    told = scene.discovered(counts)[1] | {"extra_steps": scene.steps}
    return scene.scores(scene.f_t("balanced", counts)), told


CLUSTERS = {"clusters by silhouette": (2, 3, 4, 6), "12 clusters": (12,)}
METHODS = {  # name → sees gender?, variants to choose from on the held-out part
    "plain": (False, {"": plain}),
    "uniform sampling (control)": (False, {"": uniform}),
    "weighted loss": (True, {"": weighted}),
    "balanced sampling": (True, {"": balanced}),
    "GroupDRO": (True, {"": group_dro}),
    "logit correction": (True, {"": corrected}),
    "domain independent": (True, {"": domain_independent}),
    "threshold per gender, in use too": (True, {"": gender_threshold}),
    "plain less gender's logit": (True, {"": two_logits}),
    "LISA": (True, {"": lisa}),
    "threshold per class": (False, {"": class_threshold}),
    "JTT": (False, {f"λ = {n}": partial(jtt, times=n) for n in (5, 20)}),
    "unseen errors as cells": (False, {"": unseen_errors}),
    "LISA of unseen errors": (False, {"": unseen_lisa}),
    "product of experts": (
        False,
        {"": partial(experts, share=1.0), "half of the logits": partial(experts, share=0.5)},
    ),
    "AFR": (False, {f"γ = {x}": partial(afr, sharpness=x) for x in (2, 5, 10)}),
    "GEORGE, early features": (False, {"": partial(george, of="features")}),
    "pairs": (True, {f"share {x}": partial(with_pairs, how=Making(), share=x) for x in (0.25, 0.5)}),
    "pairs, unedited (control)": (
        True,
        {"share 0.5": partial(with_pairs, how=Making(), share=0.5, edit=False)},
    ),
    "pairs of real": (
        True,
        {f"share {x}": partial(with_pairs, how=Making(codes="real"), share=x) for x in (0.25, 0.5)},
    ),
    "pairs, balanced classifiers": (
        True,
        {"share 0.5": partial(with_pairs, how=Making("balanced"), share=0.5)},
    ),
    "pairs, corrected classifiers": (
        True,
        {"share 0.5": partial(with_pairs, how=Making("corrected"), share=0.5)},
    ),
    "GEORGE, latents": (False, {"": partial(george, of="latents")}),
    "pairs, GAN": (True, gan_variants("plain")),
    "pairs, GAN, balanced classifiers": (True, gan_variants("balanced")),
    "GAN, unedited (control)": (
        True,
        {"share 0.5": partial(with_pairs, how=Making("balanced", "GAN"), share=0.5, edit=False)},
    ),
    "GAN, unedited, and balanced sampling (control)": (
        True,
        {"share 0.67": partial(with_pairs, how=Making("balanced", "GAN"), share=0.67, edit=False, even=True)},
    ),
    "pairs, GAN, and balanced sampling": (
        True,
        {
            f"share {x}": partial(with_pairs, how=Making("balanced", "GAN"), share=x, even=True)
            for x in (0.67, 0.5, 0.25)
        },
    ),
    "pairs, GAN, classifiers from elsewhere (ceiling)": (
        True,
        {f"share {x}": partial(with_pairs, how=Making("elsewhere", "GAN"), share=x) for x in (0.5, 0.67)},
    ),
    "pairs, GAN, f_g from elsewhere": (
        True,
        {
            f"share {x}": partial(with_pairs, how=Making("gender elsewhere", "GAN"), share=x)
            for x in (0.5, 0.67)
        },
    ),
    "balanced sampling, discovered": (
        False,
        {name: partial(discovered_balanced, counts=counts) for name, counts in CLUSTERS.items()},
    ),
    "pairs, GAN, discovered": (
        False,
        {
            name: partial(with_pairs, how=Making("balanced", "GAN", by=counts), share=0.5)
            for name, counts in CLUSTERS.items()
        },
    ),
}
DISCOVERED = {  # what takes the place of gender by discovered cells → what it takes the place of
    "GEORGE, early features": "GroupDRO",
    "unseen errors as cells": "balanced sampling",
    "LISA of unseen errors": "LISA",
    "balanced sampling, discovered": "balanced sampling",
    "pairs, GAN, discovered": "pairs, GAN, balanced classifiers",
}
IN_USE = ("threshold per gender, in use too",)
UNEDITED = {  # pairs → their generator's pictures, unedited
    "pairs": "pairs, unedited (control)",
    "pairs, GAN, balanced classifiers": "GAN, unedited (control)",
    "pairs, GAN, and balanced sampling": "GAN, unedited, and balanced sampling (control)",
}
CEILING = "pairs, GAN, classifiers from elsewhere (ceiling)"
CONTROLS = ("plain", "uniform sampling (control)", CEILING, *UNEDITED.values())
NUMBERS = {  # attribute of AttributeMetrics → title, factor, digits
    "worst_cell_accuracy": ("worst cell, %", 100, 1),
    "average_accuracy": ("average accuracy, %", 100, 1),
    "deo": ("DEO, %", 100, 1),
    "ap": ("AP, %", 100, 1),
    "ba": ("BA, %", 100, 1),
    "kl": ("KL, nats", 1, 2),
}


# --- runs ---


def lines_of(kept: Path) -> dict[tuple, dict]:
    """Finished runs by method and variant; a last line that is cut off does not count."""
    found = {}
    if kept.exists():
        for line in kept.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if "error" not in entry:
                found[entry["method"], entry["variant"]] = entry
    return found


def run_scene(
    options: argparse.Namespace, rare: float, seed: int, kept: Path, chosen: dict[str, str]
) -> None:
    """What is not finished of one draw and seed, each run a line; of methods in `chosen` this variant alone."""
    done = lines_of(kept)
    wanted = [
        (m, v, f)
        for m, (_, variants) in METHODS.items()
        for v, f in variants.items()
        if m in options.methods
        and (m, v) not in done
        and chosen.get(m, v) == v
        and (options.generator is not None or "GAN" not in m)
    ]
    if not wanted:
        return
    files = {side: options.data / "fairface64" / f"{side}.parquet" for side in ("train", "test")}
    _, old, female = labelled(files["train"])
    training, held_out = (part(files["train"], c) for c in drawn(old, female, rare, seed, options.scale))
    test = part(files["test"], np.arange(len(labelled(files["test"])[0])))
    steps = round(options.epochs * len(training) / HOW.batch_size)
    taken = np.concatenate(drawn(old, female, rare, seed, options.scale))

    def rest() -> Part:
        left = np.setdiff1d(np.arange(len(old)), taken)
        most = round(2 * TRAIN * options.scale)
        return part(files["train"], np.random.default_rng(child_seed(seed, "rest")).permutation(left)[:most])

    scene = Scene(training, held_out, test, seed, steps, options.generator, rest)

    def keep(entry: dict) -> None:
        with kept.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    if ("scene", "") not in done:
        arrays = {"held_out": held_out, "test": test}
        cells = {name: {"old": p.old.tolist(), "female": p.female.tolist()} for name, p in arrays.items()}
        keep({"method": "scene", "variant": "", "steps": steps} | cells)
    for method, variant, function in wanted:
        began = time.perf_counter()
        try:
            scores, told = function(scene)
        except Exception as error:  # one run that fails must not lose the others
            message = f"{type(error).__name__}: {error}"
            print(f"c = {rare:.0%} seed {seed}: {method} {variant} failed: {message}", flush=True)
            keep({"method": method, "variant": variant, "error": message})
            continue
        rounded = {name: np.round(values, 5).tolist() for name, values in scores.items()}
        seconds = time.perf_counter() - began
        keep({"method": method, "variant": variant, "seconds": seconds, "told": told, "scores": rounded})
        cells = [((scores["test"] >= 0) == test.old)[test.cells == c].mean() for c in range(4)]
        print(
            f"c = {rare:.0%} seed {seed} {method} {variant}: {seconds:.0f} s, young men, young women, old men, "
            f"old women {np.round(100 * np.array(cells), 1).tolist()} {told}",
            flush=True,
        )


# --- results ---


def over_seeds(values: list[float]) -> dict:
    """Mean, 95 % t-interval over seeds, and all values."""
    array = np.asarray(values, float)
    mean = float(array.mean())
    half = T_975[len(array)] * float(array.std(ddof=1)) / len(array) ** 0.5 if len(array) > 1 else None
    return {
        "mean": mean,
        "low": None if half is None else mean - half,
        "high": None if half is None else mean + half,
        "values": array.tolist(),
    }


@cache
def measured(values: tuple[float, ...], old: tuple[int, ...], female: tuple[int, ...], limit: float) -> dict:
    """Metrics on the test part, each with its interval over pictures; scores are probabilities."""
    groups = Groups.from_column(["female" if f else "male" for f in female], attribute="gender")
    found = attribute_metrics(
        1 / (1 + np.exp(-np.array(values))),
        np.array(old),
        groups,
        threshold=1 / (1 + np.exp(-limit)),
        signs={"female": -1, "male": 1},
        bins=np.linspace(0, 1, 21),
    )
    rates = {name: getattr(found, name) for name in NUMBERS}
    cells = {
        f"{'old' if c.target else 'young'} {'women' if c.group == 'female' else 'men'}": c.accuracy.value
        for c in found.cells
    }
    return {name: {"value": r.value, "low": r.low, "high": r.high} for name, r in rates.items()} | {
        "cells": cells
    }


def choices(first: dict[tuple, dict]) -> dict[str, str]:
    """Of each method whose variants are all finished, the one that is best on the held-out part."""
    found = {}
    for method, (_, variants) in METHODS.items():
        if not all((method, variant) in first for variant in variants):
            continue
        part = first["scene", ""]["held_out"]
        old, cells = np.array(part["old"]), 2 * np.array(part["old"]) + np.array(part["female"])
        found[method] = max(
            variants,
            key=lambda v, method=method, old=old, cells=cells: mean_of_cells(
                np.array(first[method, v]["scores"]["held_out"]), old, cells
            ),
        )
    return found


def summary(runs: list[dict], chosen: dict[str, str]) -> dict:
    """Numbers of each method over the seeds in which it and plain finished."""
    found = {}
    for method, variant in chosen.items():
        seeds = [run for run in runs if ("plain", "") in run and (method, variant) in run]
        if not seeds:
            continue
        entries = [run[method, variant] for run in seeds]
        entry = {"oracle": METHODS[method][0], "seeds": len(seeds), "variant": variant}
        for at in ("at_half", "at_prevalence"):
            mine, base = (
                [told(run["scene", ""], e, at) for run, e in zip(seeds, some, strict=True)]
                for some in (entries, [run["plain", ""] for run in seeds])
            )
            entry[at] = {
                name: over_seeds([m[name]["value"] for m in mine])
                | {
                    "against_plain": over_seeds(
                        [m[name]["value"] - b[name]["value"] for m, b in zip(mine, base, strict=True)]
                    ),
                    "plain": float(np.mean([b[name]["value"] for b in base])),
                    "over_pictures": [[m[name]["low"], m[name]["high"]] for m in mine],
                }
                for name in NUMBERS
            }
            entry[at]["cells"] = {
                cell: over_seeds([m["cells"][cell] for m in mine]) for cell in mine[0]["cells"]
            }
        entry["told"] = [e["told"] for e in entries]
        entry["seconds"] = [e["seconds"] for e in entries]
        found[method] = entry
    return found


def told(scene: dict, entry: dict, at: str) -> dict:
    """Metrics of a run."""
    held_out = np.array(entry["scores"]["held_out"])
    limit = 0.0 if at == "at_half" else threshold_at_prevalence(held_out, scene["held_out"]["old"])
    test = scene["test"]
    return measured(tuple(entry["scores"]["test"]), tuple(test["old"]), tuple(test["female"]), limit)


def shown(numbers: dict, factor: float, digits: int) -> str:
    """Mean and interval."""
    text = f"{factor * numbers['mean']:.{digits}f}"
    if numbers["low"] is None:
        return text
    return f"{text} [{factor * numbers['low']:.{digits}f}, {factor * numbers['high']:.{digits}f}]"


def meets(entry: dict, at: str) -> tuple[bool, float]:
    """Whether DEO is at most half of plain's with AP no more than 1 point lower; points gained in the worst cell."""
    numbers = entry[at]
    halved = numbers["deo"]["mean"] <= numbers["deo"]["plain"] / 2
    kept = numbers["ap"]["against_plain"]["mean"] >= -0.01
    return halved and kept, 100 * numbers["worst_cell_accuracy"]["against_plain"]["mean"]


def named(method: str, oracle: bool) -> str:
    return f"{method} †" if oracle else f"{method} ‡" if len(METHODS[method][1]) > 1 else method


def sentences(methods: dict, at: str, rare: float) -> list[str]:
    """What the goals say to these numbers."""
    tried = {m: e for m, e in methods.items() if m not in CONTROLS}
    if not tried:
        return []
    verdicts = {m: meets(e, at) for m, e in tried.items()}
    halved = [named(m, tried[m]["oracle"]) for m, (ok, _) in verdicts.items() if ok]
    lines = [
        "* DEO at most half of plain's, AP no more than 1 point lower: "
        + (", ".join(halved) if halved else "no method")
        + "."
    ]
    if rare <= 0.011:
        far = [
            f"{named(m, tried[m]['oracle'])} ({gain:+.1f}, AP {ap_change(tried[m], at):+.1f})"
            for m, (_, gain) in verdicts.items()
            if gain >= 15
        ]
        lines.append(
            "* Worst cell at least 15 points above plain: " + (", ".join(far) if far else "no method") + "."
        )
    lines.append("* Most gained in the worst cell by a method whose AP is no more than 1 point lower:")
    for title, test in (
        ("with gender in training and in use", lambda m: m in IN_USE),
        ("with gender in training", lambda m: tried[m]["oracle"] and m not in IN_USE),
        ("with pairs", lambda m: m.startswith("pairs")),
        ("without gender", lambda m: not tried[m]["oracle"]),
    ):
        some = [m for m in tried if test(m) and ap_change(tried[m], at) >= -1]
        if not some:
            lines.append(f"    * {title}: no method.")
            continue
        best = max(some, key=lambda m: verdicts[m][1])
        numbers = tried[best][at]
        lines.append(
            f"    * {title}: {best}, {verdicts[best][1]:+.1f} points"
            + spread(numbers["worst_cell_accuracy"]["against_plain"])
            + f"; DEO {100 * numbers['deo']['mean']:.1f} against plain's {100 * numbers['deo']['plain']:.1f} %, "
            f"AP {ap_change(tried[best], at):+.1f} points."
        )
    gained = {m: f"{gain:+.1f}" for m, (_, gain) in verdicts.items()}
    for found, annotated in DISCOVERED.items():
        if found in gained and annotated in gained:
            enough = verdicts[found][1] >= 2 / 3 * verdicts[annotated][1] > 0
            lines.append(
                f"* {found} gains {gained[found]} points in the worst cell, the same with gender ({annotated} †) "
                f"{gained[annotated]}: {'at' if enough else 'not at'} least two thirds."
            )
    for method, control in UNEDITED.items():
        if method in methods and control in methods:
            both = [methods[m] for m in (method, control)]
            gains = [100 * e[at]["worst_cell_accuracy"]["against_plain"]["mean"] for e in both]
            share = [100 * float(np.mean([t["share"] for t in e["told"]])) for e in both]
            lines.append(
                f"* {method}{' as published' if method == 'pairs' else ''}: {gains[0]:+.1f} points in the worst cell "
                f"with {share[0]:.0f} % generated; the same generator's pictures, unedited, {gains[1]:+.1f} with "
                f"{share[1]:.0f} %."
            )
    if ceiling := methods.get(CEILING):
        gain = meets(ceiling, at)[1]
        better = spread(ceiling[at]["worst_cell_accuracy"]["against_plain"])
        lines.append(
            "* With f_t and f_g from elsewhere, which see other pictures with all cells equally often, the same pairs "
            f"gain {gain:+.1f} points in the worst cell{better}, DEO {100 * ceiling[at]['deo']['mean']:.1f} %, AP "
            f"{ap_change(ceiling, at):+.1f}: what better classifiers would bring, and no method to use, since who has "
            "such pictures trains on them."
        )
    if uniform := methods.get(CONTROLS[1]):
        moved = [abs(100 * v) for v in uniform[at]["worst_cell_accuracy"]["against_plain"]["values"]]
        lines.append(
            f"* How large chance is: rows drawn with replacement in place of in turn moved the worst cell by "
            f"{', '.join(f'{v:.1f}' for v in moved)} points ({len(moved)} seed{'s' if len(moved) > 1 else ''})."
        )
    return lines


def ap_change(entry: dict, at: str) -> float:
    """Points of AP against plain."""
    return 100 * entry[at]["ap"]["against_plain"]["mean"]


def spread(numbers: dict) -> str:
    return "" if numbers["low"] is None else f" [{100 * numbers['low']:.1f}, {100 * numbers['high']:.1f}]"


def pair_sentences(methods: dict) -> list[str]:
    """What the edits did, in the eyes of the classifiers."""
    lines = []
    for method, entry in methods.items():
        known = [t for t in entry["told"] if "f_g changed" in t]
        if not known or "unedited" in method:
            continue

        def mean(name: str, known: list = known) -> float:
            return 100 * float(np.mean([t[name] for t in known]))

        lines.append(
            f"* {method}: f_g changed sides in {mean('f_g changed'):.0f} % of the pairs, f_t kept its side in "
            f"{mean('f_t kept'):.0f} %, both in {mean('kept'):.0f} %; of the kept, "
            f"{mean('rare_among_kept'):.0f} % of the complements are of a rare cell in the eyes of f_g. Cosine of "
            f"the hyperplanes {mean('cosine') / 100:.2f}; generated in the training set {mean('share'):.0f} %."
        )
    return lines


def discovery_sentences(methods: dict) -> list[str]:
    """What was found in place of gender, and how much of gender is in it; to be told, not used."""
    lines = []
    for method, entry in methods.items():
        if "rare found" not in entry["told"][0]:
            continue
        clusters = ", ".join("+".join(map(str, t["clusters"])) for t in entry["told"])
        names = ("in conflict", "rare in conflict", "rare found", "held-out accuracy in conflict")
        mean = {name: 100 * float(np.mean([t[name] for t in entry["told"]])) for name in names}
        lines.append(
            f"* {method} ({entry['variant']}): {clusters} clusters of young + old; in the conflicting ones lie "
            f"{mean['in conflict']:.0f} % of the training pictures, of which {mean['rare in conflict']:.1f} % are of a "
            f"rare cell, and {mean['rare found']:.0f} % of the rare cells' pictures. Plain is right in "
            f"{mean['held-out accuracy in conflict']:.0f} % of the held-out ones there."
        )
    return lines


def markdown(results: dict) -> str:
    """The results as a page."""
    lines = ["# B3: old or young, correlated with gender", "", f"`{results['command']}`", ""]
    lines += [
        "Mean [95 % t-interval] over seeds; a seed is a draw of the training pictures and a training. Young 10–29, "
        "old 40 and over; 8,000 training pictures, young men and old women a share c of their half; 2,000 more of the "
        "same skew held out for thresholds and choices. Age and gender are what annotators saw in a picture; gender "
        "serves to measure unequal error. † sees gender in training, ‡ only in choosing a variant on "
        "the held-out part at the first c, seed 0. Every method takes "
        f"{results['steps']} optimiser steps of the standard CNN, batch {HOW.batch_size} ({results['epochs']:g} "
        "epochs); what it trains besides is in 'extra steps'. AP counts the four cells equally. DEO is the "
        "difference of the shares of old women and old men missed; BA and KL as in `equipoise.fairness`. Methods are "
        "compared with plain on the seeds that they have in common; rows with fewer seeds were run for fewer, and two "
        f"seeds give hardly an interval. Training in {results['precision']}. "
        "LISA, logit correction, domain independent, threshold per gender, plain less gender's logit, all with "
        "unseen errors, product of experts in this form, corrected classifiers, the GAN and discovered sides were "
        "added after test numbers of c = 1 %, seed 0 had been seen; that 12 clusters are tried, after looking at how "
        "well clusters find the rare cells in training. "
        "No number here proves fairness.",
        "",
    ]
    if any("GAN" in method for methods in results["rare"].values() for method in methods):
        lines += [
            "Methods with GAN take pictures from one generator, trained once by `equipoise train-generator`. It has "
            "seen nearly all faces of the training file of 20 years and older, without labels: more pictures than the "
            f"{TRAIN:,}, the held-out ones among them, and none of the test. Its steps, after the + in "
            "'extra steps', are those of both of its networks, and stand for all seeds.",
            "",
        ]
    for rare, methods in results["rare"].items():
        if not methods:
            continue
        lines += [f"## c = {float(rare):.0%}", ""]
        for at, title in (
            ("at_half", "Threshold: probability 0.5"),
            ("at_prevalence", "Threshold: prevalence on the held-out part"),
        ):
            titles = [t for t, _, _ in NUMBERS.values()]
            lines += [f"### {title}", ""]
            lines += ["| method | " + " | ".join(titles) + " | extra steps | seeds |"]
            lines += ["|---" * (len(titles) + 3) + "|"]
            for method, entry in methods.items():
                cells = [shown(entry[at][name], f, d) for name, (_, f, d) in NUMBERS.items()]
                extra = entry["told"][0].get("extra_steps", "–")
                if (steps := entry["told"][0].get("generator_steps")) is not None:
                    extra = f"{extra} + {steps}"
                lines.append(
                    f"| {named(method, entry['oracle'])} | "
                    + " | ".join(cells)
                    + f" | {extra} | {entry['seeds']} |"
                )
            lines += ["", *sentences(methods, at, float(rare)), ""]
        lines += ["### Cells at probability 0.5, accuracy in %", ""]
        cells = list(next(iter(methods.values()))["at_half"]["cells"])
        lines += ["| method | " + " | ".join(cells) + " | variant |", "|---" * (len(cells) + 2) + "|"]
        for method, entry in methods.items():
            values = [f"{100 * entry['at_half']['cells'][c]['mean']:.1f}" for c in cells]
            lines.append(
                f"| {named(method, entry['oracle'])} | {' | '.join(values)} | {entry['variant'] or '–'} |"
            )
        lines += ["", "### What the edits did", "", *pair_sentences(methods), ""]
        if found := discovery_sentences(methods):
            lines += ["### What was discovered", "", *found, ""]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with fairface64")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rare", type=float, nargs="+", default=[0.01, 0.05], help="shares c")
    parser.add_argument("--epochs", type=float, default=4.0)
    parser.add_argument("--generator", type=Path, help="folder of `equipoise train-generator`, for the GAN")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--quick", action="store_true", help="a tenth of the pictures: shows that it runs")
    parser.add_argument("--work", type=Path, default=Path("runs/b3"), help="finished runs")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/b3"), help="without ending")
    options = parser.parse_args()
    options.scale = 0.1 if options.quick else 1.0
    options.work.mkdir(parents=True, exist_ok=True)

    def kept(rare: float, seed: int) -> Path:
        return options.work / f"c{rare:g}-seed{seed}-epochs{options.epochs:g}-scale{options.scale:g}.jsonl"

    def chosen() -> dict[str, str]:
        return choices(lines_of(kept(options.rare[0], 0)))

    def write() -> None:
        results = {
            "command": f"python benchmarks/b3.py --data DATA --seeds {options.seeds} --epochs {options.epochs:g}"
            + f" --rare {' '.join(f'{c:g}' for c in options.rare)}"
            + (" --generator GENERATOR" if options.generator else "")
            + (" --quick" if options.quick else ""),
            "epochs": options.epochs,
            "torch": torch.__version__,
            "precision": "bf16-mixed" if HALF else "32-true",
            "rare": {},
        }
        for rare in options.rare:
            runs = [run for s in range(options.seeds) if (run := lines_of(kept(rare, s)))]
            results["rare"][f"{rare:g}"] = summary(runs, chosen())
            results["steps"] = runs[0]["scene", ""]["steps"] if runs else results.get("steps")
        options.out.parent.mkdir(parents=True, exist_ok=True)
        rounded = json.loads(json.dumps(results), parse_float=lambda digits: round(float(digits), 5))
        options.out.with_suffix(".json").write_text(json.dumps(rounded) + "\n")
        options.out.with_suffix(".md").write_text(markdown(results))

    for seed in range(options.seeds):
        for rare in options.rare:
            first = (rare, seed) == (options.rare[0], 0)
            run_scene(options, rare, seed, kept(rare, seed), {} if first else chosen())
            write()


if __name__ == "__main__":
    main()
