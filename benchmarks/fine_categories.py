"""B6 (c): coarse labels of Tiny ImageNet, with some fine categories rare in training.

The categories of the file in five coarse classes (what is hard to place in one of these, such as a spider web, is left
out). Of each category half of the pictures train and half are held out; of two categories a class, drawn by the seed,
2 to 5 % of the training pictures are kept. A plain last layer on frozen features of EfficientNet-Lite0, 128 pixels,
learns the coarse classes; slices are sought among all that was held out, and nobody tells them the categories.

The network was pretrained on ImageNet, whose categories these are: its features tell them well, better than those of
another data set would.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

SIZE = 128
RARE, KEPT = 2, (0.02, 0.05)
STRENGTH = 1e-2
COARSE: dict[str, tuple[str, ...]] = {
    "animal": (
        *("African elephant", "American alligator", "American lobster", "Arabian camel", "Chihuahua"),
        *("Egyptian cat", "European fire salamander", "German shepherd", "Labrador retriever", "Persian cat"),
        *("Yorkshire terrier", "albatross", "bee", "bighorn", "bison", "black stork", "black widow"),
        *(
            "boa constrictor",
            "brown bear",
            "bullfrog",
            "centipede",
            "cockroach",
            "cougar",
            "dragonfly",
            "dugong",
        ),
        *("fly", "gazelle", "golden retriever", "goldfish", "goose", "grasshopper", "guinea pig", "hog"),
        *("jellyfish", "king penguin", "koala", "ladybug", "lesser panda", "lion", "mantis", "monarch", "ox"),
        *("scorpion", "sea cucumber", "sea slug", "slug", "snail", "spiny lobster", "standard poodle"),
        *("sulphur butterfly", "tabby", "tailed frog", "tarantula", "trilobite"),
    ),
    "vehicle": (
        *(
            "beach wagon",
            "bullet train",
            "convertible",
            "freight car",
            "limousine",
            "moving van",
            "police van",
        ),
        *("school bus", "sports car", "tractor", "trolleybus"),
    ),
    "food": (
        *(
            "banana",
            "bell pepper",
            "cauliflower",
            "espresso",
            "guacamole",
            "ice cream",
            "lemon",
            "mashed potato",
        ),
        *("meat loaf", "mushroom", "orange", "pizza", "pomegranate", "potpie", "pretzel"),
    ),
    "building or place": (
        *("alp", "altar", "barn", "beacon", "cliff", "cliff dwelling", "coral reef", "dam", "fountain"),
        *("lakeside", "obelisk", "seashore", "steel arch bridge", "suspension bridge", "thatch"),
        *("triumphal arch", "viaduct", "water tower"),
    ),
    "thing": (
        *(
            "CD player",
            "Christmas stocking",
            "abacus",
            "barrel",
            "beaker",
            "beer bottle",
            "birdhouse",
            "brass",
        ),
        *(
            "bucket",
            "candle",
            "chest",
            "computer keyboard",
            "desk",
            "dining table",
            "frying pan",
            "hourglass",
        ),
        *("iPod", "lampshade", "magnetic compass", "nail", "pill bottle", "plunger", "pop bottle"),
        *("potter's wheel", "reel", "refrigerator", "remote control", "rocking chair", "sewing machine"),
        *("space heater", "stopwatch", "syringe", "teapot", "teddy", "torch", "walking stick", "water jug"),
        *("wok", "wooden spoon"),
    ),
}

Drawn = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[str]]


class Categories:
    """Features of the pictures of the mapped categories, with both labels.

    Args:
        file: Parquet file of Tiny ImageNet with a column `category`.
        cache: Folder of pixels and features.
    """

    def __init__(self, file: Path, cache: str) -> None:
        from equipoise.data import read
        from equipoise.nn import features
        from features import backbone

        table = read(file, image_size=SIZE, cache=cache)
        names = np.array(table.column("category"), dtype=object)
        vectors = features(backbone(SIZE), table, cache=cache).vectors()
        coarse = {fine: number for number, fines in enumerate(COARSE.values()) for fine in fines}
        if lacking := sorted(set(coarse) - set(names)):
            raise SystemExit(f"Expected the categories {lacking} in {file.name}; got none of them.")
        mapped = np.array([name in coarse for name in names])
        self.features, self.fine = vectors[mapped], names[mapped]
        self.coarse = np.array([coarse[name] for name in self.fine])

    def scene(self, seed: int) -> Drawn:
        """Held-out features, coarse labels, logits, rare category of each picture (−1 for others), and their names."""
        import torch

        from equipoise.nn import fit_linear

        trains, held_out, rare = sides(self.fine, seed)
        layer = fit_linear(self.features[trains], self.coarse[trains], C=STRENGTH)
        with torch.no_grad():
            logits = layer(torch.from_numpy(self.features[held_out])).numpy()
        hidden = np.array([rare.index(name) if name in rare else -1 for name in self.fine[held_out]])
        return self.features[held_out], self.coarse[held_out], logits, hidden, rare


def sides(fine: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Which pictures train and which are held out, and the categories that are rare in training."""
    rng = np.random.default_rng(seed)
    rare = [str(name) for fines in COARSE.values() for name in rng.choice(fines, RARE, replace=False)]
    trains, held_out = np.zeros(len(fine), bool), np.zeros(len(fine), bool)
    for fines in COARSE.values():
        for name in fines:
            rows = rng.permutation(np.flatnonzero(fine == name))
            half = len(rows) // 2
            kept = max(1, round(rng.uniform(*KEPT) * half)) if name in rare else half
            trains[rows[:kept]], held_out[rows[half:]] = True, True
    return trains, held_out, rare
