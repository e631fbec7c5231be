"""What B3 compares beside `peers`: methods for two genders, and pairs of a generator.

Pairs are two pictures of one latent code, moved so that the protected attribute changes and the target does not
(Ramaswamy, Kim, Russakovsky 2021). `METHODS` lists all of B3, those of `peers` among them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

import peers
from equipoise.data import ImageTable
from equipoise.latent import (
    DBVAEGenerator,
    Generator,
    Hyperplane,
    ModuleGenerator,
    fit_hyperplanes,
    invert,
    mixed,
    pairs,
    pairs_of,
    scored_latents,
)
from equipoise.nn import DBVAE
from equipoise.seeds import child_seed
from equipoise.slices import Options, find
from equipoise.train.augmentation import augmented
from equipoise.train.saved_generator import load_generator
from peers import HALF, HOW, Outcome, Part, Task, Trained, cell_weights, trained
from peers.clusters import class_clusters
from peers.harness import Watch, batches, optimised, plain_loss
from peers.last_layer import afr, last_layer
from peers.reweighting import on_top_of, prior, robust, weighted
from peers.sampling import jtt


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


class Scene(Task):
    """One draw and one training seed, with the networks that pairs and discovered sides need.

    Args:
        gan: Folder of the saved generator; None leaves its methods out.
        rest: Pictures of no part.
    """

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
        super().__init__(training, held_out, test, seed, steps)
        self.gan, self.rest = gan, rest

    @cached_property
    def discovered(self) -> tuple[np.ndarray | None, dict[str, Any]]:
        """What takes the place of gender in training rows, None where nothing was found, and how it came about.

        What lies in a slice that plain fails on looks like the other class. That is turned round: as with gender, cells
        of two equal numbers are rare.
        """
        training, held_out = (self.plain.features(p.images) for p in (self.training, self.held_out))
        said, old = self.plain.logits(self.held_out.images), self.training.target
        found = find(held_out, self.held_out.target, said, options=Options(seed=self.seed))
        told: dict[str, Any] = {"slices": len(found.slices)}
        if not found.slices:
            return None, told
        inside, rare = found.assign(training, old) >= 0, self.training.groups == old
        return np.where(inside, old, 1 - old), told | {
            "wrong": [one.errors.value for one in found.slices],
            "inside": float(inside.mean()),
            "rare inside": float(rare[inside].mean()),
            "rare found": float(inside[rare].mean()),
        }

    def protected(self, by: str) -> np.ndarray:
        """Annotated gender of the training rows, or what is discovered in its place."""
        found = self.training.groups if by == "gender" else self.discovered[0]
        if found is None:
            raise ValueError("Nothing was discovered in this scene; see `discovered`.")
        return found

    def f_t(self, how: str, by: str = "gender") -> Trained:
        """From pictures to the class; plain, or balanced or corrected by class × protected attribute."""
        if how == "plain":
            return self.plain
        if how == "elsewhere":
            return self.elsewhere[0]
        how = "balanced" if how == "gender elsewhere" else how
        if (how, by) not in (made := self.__dict__.setdefault("targets", {})):
            made[how, by] = self.train(**learning(self.training.target, self.protected(by))[how])
        return made[how, by]

    def f_g(self, how: str, by: str = "gender") -> Trained:
        """From pictures to the protected attribute; likewise."""
        if how in ("elsewhere", "gender elsewhere"):
            return self.elsewhere[1]
        if (how, by) not in (made := self.__dict__.setdefault("genders", {})):
            protected, seed = self.protected(by), child_seed(self.seed, "gender")
            settings = learning(protected, self.training.target)[how]
            made[how, by] = trained(self.training.images, protected, seed, self.steps, **settings)
        return made[how, by]

    @cached_property
    def elsewhere(self) -> tuple[Trained, Trained]:
        """f_t and f_g as they could be: four times the steps on pictures of no part, all cells equally often."""
        rest, steps = self.rest(), 4 * self.steps
        settings = {"probabilities": cell_weights(rest.cells)}
        target, gender = (
            trained(rest.images, labels, child_seed(self.seed, "elsewhere", i), steps, **settings)
            for i, labels in enumerate((rest.target, rest.groups))
        )
        return target, gender

    @cached_property
    def vae(self) -> Trained:
        """A VAE of all training pictures: each counts as a positive, which DBVAE decodes."""
        weights = torch.Generator().manual_seed(child_seed(self.seed, "vae"))
        noise = torch.Generator().manual_seed(child_seed(self.seed, "noise"))
        model = DBVAE(
            latent=64, width=12, decoder_output="linear", norm_momentum=0.1, kl_weight=1e-4, generator=weights
        )
        rng = np.random.default_rng(child_seed(self.seed, "vae rows"))
        ones = torch.ones(HOW.batch_size, dtype=torch.long)
        steps = 3 * self.steps // 2

        def losses() -> Iterable[Callable[[], torch.Tensor]]:
            for rows in batches(len(self.training), None, steps, rng):
                x = augmented(torch.from_numpy(self.training.images[rows]), ("flip",), generator=noise)
                yield lambda x=x: model.losses(x, ones, generator=noise).total

        with Watch() as watch:
            optimised(model, steps, losses())
        return Trained(model, steps, watch.seconds)


# --- methods beside those of `peers` ---


def corrected(scene: Scene) -> Outcome:
    """Trained on top of the log odds of the class given gender, used without (Menon et al. 2021, by group)."""
    return scene.scored(scene.f_t("corrected"))


def domain_independent(scene: Scene) -> Outcome:
    """A head for each gender, learning from its pictures alone; used together (Wang et al. 2020, section 4.4)."""
    gender = torch.from_numpy(scene.training.groups)

    def loss(logits: torch.Tensor, targets: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
        own = logits.gather(1, gender[rows][:, None])[:, 0]
        return binary_cross_entropy_with_logits(own, targets)

    return scene.scored(scene.train(row_loss=loss, heads=2))


def two_logits(scene: Scene) -> Outcome:
    """Plain's logit less what f_g says: a logistic regression on both, fitted to the held-out cells equally.

    Last-layer retraining (Kirichenko, Izmailov, Wilson 2023) on two features; gender itself is not needed in use.
    """
    f_g = scene.f_g("balanced")

    def both(rows: Part) -> np.ndarray:
        return np.stack([scene.plain.logits(rows.images), f_g.logits(rows.images)], 1)

    start = (torch.tensor([[1.0, 0.0]]), torch.tensor([0.0]))
    held_out, weights = scene.held_out, cell_weights(scene.held_out.cells)
    weight, bias = last_layer(both(held_out), held_out.target, weights, start, pull=1e-3)
    told = {"weights": weight.tolist()}
    return scene.outcome(lambda rows: both(rows) @ weight + bias, scene.plain, f_g, told=told)


def experts(scene: Scene, share: float) -> Outcome:
    """Product of experts: trained on top of out-of-fold logits, used without (Clark et al. 2019)."""
    network = scene.train(row_loss=on_top_of(share * scene.unseen))
    return scene.scored(network, scene.halves[1])


def blended(scene: Scene, cells: np.ndarray) -> Trained:
    """LISA: cells drawn equally often, each picture blended with one of its class in another cell (Yao et al. 2022).

    Differs from it in: there the rest of the blends is of one gender and two classes; here all keep the class.
    """
    old = scene.training.target
    pools = {
        cell: np.flatnonzero((cells != cell) & (old == old[cells == cell][0])) for cell in np.unique(cells)
    }

    def partners(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.array([rng.choice(pools[cell]) for cell in cells[rows]])

    return scene.train(probabilities=cell_weights(cells), partners=partners)


def lisa(scene: Scene) -> Outcome:
    return scene.scored(blended(scene, scene.training.cells))


def unseen_lisa(scene: Scene) -> Outcome:
    """LISA with class × whether out-of-fold right in place of class × gender."""
    return scene.scored(blended(scene, scene.unseen_cells), scene.halves[1])


def george(scene: Scene, of: str) -> Outcome:
    """GroupDRO on clusters within each class (Sohoni et al. 2020)."""

    def codes(rows: Part) -> np.ndarray:
        if of == "latents":
            return invert(scene.vae.model, rows.table).numpy().astype(np.float64)
        return scene.early.features(rows.images)

    coded = ((codes(rows), rows.target) for rows in (scene.training, scene.held_out))
    cells, told = class_clusters(*coded, seed=scene.seed)
    network, _ = robust(scene, cells)
    return scene.scored(network, scene.vae if of == "latents" else scene.early, told=told)


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
    by: str = "gender"
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
            maker = DBVAEGenerator.from_images(scene.vae.model, scene.training.table)
        f_t, f_g = (f(how.classifiers, how.by).model for f in (scene.f_t, scene.f_g))
        attributes = {"old": f_t, "protected": f_g}
        seen = scored_latents(maker, attributes, 4096, seed=scene.seed).scores
        shares = {"old": scene.training.target.mean(), "protected": scene.protected(how.by).mean()}
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
    f_t, f_g = (f(how.classifiers, how.by).model for f in (scene.f_t, scene.f_g))
    setting = {"scorer": f_t, "also": {"protected": f_g}}
    if how.codes == "real":
        codes = invert(scene.vae.model, scene.training.table)
        made = pairs_of(codes, scene.training.target, maker, planes["old"], planes["protected"], **setting)
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
    }
    if how.generator == "GAN":
        told["generator_steps"] = json.loads((scene.gan / "config.json").read_text())["steps"]
    if how.by != "gender":
        told |= scene.discovered[1]
    return made if how.all else made.take(np.repeat(good, 2)), told


def stages(scene: Scene, how: Making) -> list[Trained]:
    """The networks behind pairs, each once; a generator trained beforehand is told by itself."""
    found = [scene.f_t(how.classifiers, how.by), scene.f_g(how.classifiers, how.by)]
    found += [scene.vae] if how.generator == "VAE" else []
    found += [scene.plain] if how.by != "gender" else []
    return list({id(stage): stage for stage in found}.values())


def with_pairs(scene: Scene, how: Making, share: float, edit: bool = True, even: bool = False) -> Outcome:
    """Real pictures and pairs; without `edit`, the first pictures of the same pairs, twice.

    With `even` the cells of the real pictures are drawn equally often, at the same share of generated ones.

    Of corrected classifiers the real pictures are corrected too; pairs have nothing to correct.
    """
    real = scene.training.table
    wanted = len(real) / 2 * max(1, share / (1 - share))
    before = stages(scene, how)  # trained here, so that the watch sees the pairs alone
    with Watch() as watch:
        table, told = edited(scene, how, max(64, round(SPARE[how.generator] * wanted)))
    most = len(table) / (len(table) + len(real))
    both = mixed(real, table, min(share, most), seed=scene.seed)
    images = both.batch(np.arange(len(both)))
    if not edit:
        images = np.concatenate([images[: len(real)], np.repeat(images[len(real) :: 2], 2, axis=0)])
    row_loss = plain_loss
    if how.classifiers == "corrected":
        bias = np.zeros(len(both))
        bias[: len(real)] = prior(scene.training.target, scene.training.groups)
        row_loss = on_top_of(bias)
    chances = None
    if even:
        chances = np.ones(len(both))
        chances[: len(real)] = cell_weights(scene.training.cells)
    network = trained(images, both.labels, scene.seed, scene.steps, row_loss=row_loss, probabilities=chances)
    told["share"] = 1 - len(real) / len(both)
    return scene.scored(network, *before, told=told, seconds=watch.seconds)


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


def discovered(scene: Scene, then: Callable[[Scene], Outcome]) -> Outcome:
    """What slices are used for; where none was found, plain as it is."""
    sides, told = scene.discovered
    return scene.scored(scene.plain, told=told) if sides is None else then(scene)


def discovered_balanced(scene: Scene) -> Outcome:
    """Class × discovered side, in place of class × gender: drawn equally often."""
    return scene.scored(scene.f_t("balanced", "slices"), scene.plain, told=scene.discovered[1])


def one(name: str) -> tuple[bool, dict[str, Callable[[Task], Outcome]]]:
    """A method of `peers`, with no variants."""
    return peers.METHODS[name].sees_groups, {"": peers.METHODS[name].run}


METHODS = {  # name → sees gender?, variants to choose from on the held-out part
    "plain, no augmentation": one("plain, no augmentation"),
    "plain": one("plain"),
    "uniform sampling (control)": one("uniform sampling (control)"),
    "weighted loss": (True, {"": weighted}),
    "balanced sampling": one("balanced sampling"),
    "GroupDRO": one("GroupDRO"),
    "logit correction": (True, {"": corrected}),
    "domain independent": (True, {"": domain_independent}),
    "threshold per gender, in use too": one("threshold per group, in use too"),
    "ThresholdOptimizer, in use too": one("ThresholdOptimizer, in use too"),
    "DFR": one("DFR"),
    "plain less gender's logit": (True, {"": two_logits}),
    "LISA": (True, {"": lisa}),
    "threshold per class": one("threshold per class"),
    "logit adjustment": one("logit adjustment"),
    "logit scaling per class": one("logit scaling per class"),
    "last layer, class-balanced": one("last layer, class-balanced"),
    "SELF": one("SELF"),
    "JTT": (False, {f"λ = {n}": partial(jtt, times=n) for n in (5, 20)}),
    "unseen errors as cells": one("unseen errors as cells"),
    "LISA of unseen errors": (False, {"": unseen_lisa}),
    "product of experts": (
        False,
        {"": partial(experts, share=1.0), "half of the logits": partial(experts, share=0.5)},
    ),
    "AFR": (False, {f"γ = {x}": partial(afr, sharpness=x) for x in (2, 5, 10)}),
    "cluster-balanced sampling": one("cluster-balanced sampling"),
    "GEORGE, early features": (False, {"": partial(george, of="features")}),
    **{
        name: one(name)
        for name in (
            "rarity sampling with the plain CNN",
            "rarity sampling with the plain CNN, both classes",
            "equipoise",
            "equipoise, uniform (control)",
            "equipoise, uniform, wide, ten views",
            "mit-2021",
        )
    },
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
    "balanced sampling, discovered": (False, {"": partial(discovered, then=discovered_balanced)}),
    "pairs, GAN, discovered": (
        False,
        {
            "": partial(
                discovered,
                then=partial(with_pairs, how=Making("balanced", "GAN", by="slices"), share=0.5),
            )
        },
    ),
}
DISCOVERED = {  # what takes the place of gender by discovered cells → what it takes the place of
    "GEORGE, early features": "GroupDRO",
    "cluster-balanced sampling": "balanced sampling",
    "unseen errors as cells": "balanced sampling",
    "LISA of unseen errors": "LISA",
    "balanced sampling, discovered": "balanced sampling",
    "pairs, GAN, discovered": "pairs, GAN, balanced classifiers",
}
IN_USE = ("threshold per gender, in use too", "ThresholdOptimizer, in use too")
UNEDITED = {  # pairs → their generator's pictures, unedited
    "pairs": "pairs, unedited (control)",
    "pairs, GAN, balanced classifiers": "GAN, unedited (control)",
    "pairs, GAN, and balanced sampling": "GAN, unedited, and balanced sampling (control)",
}
CEILING = "pairs, GAN, classifiers from elsewhere (ceiling)"
CONTROLS = (
    "plain",
    "plain, no augmentation",
    "uniform sampling (control)",
    "equipoise, uniform (control)",
    CEILING,
    *UNEDITED.values(),
)
