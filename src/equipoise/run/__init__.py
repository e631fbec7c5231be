"""Jobs: from sources to a folder with models, numbers and a report. Each is a function; the commands call them.

What a job is asked is said in a few objects, the same for all: `Sources`, `Reading`, `Training`, `Measuring`, `Engine`,
`Output`. Names that need torch arrive on first use: what does without it, does not wait for it.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.run.audit.job import audit
    from equipoise.run.audit.scoring import AUDIT_METHODS, Scoring
    from equipoise.run.augment.augmentation import Attributes, Augmentation
    from equipoise.run.augment.job import augment
    from equipoise.run.compared_models import networks
    from equipoise.run.debias.job import debias
    from equipoise.run.demo import demo
    from equipoise.run.evaluate import evaluate
    from equipoise.run.export import export
    from equipoise.run.find import Finding, find
    from equipoise.run.fix.job import Choosing, fix
    from equipoise.run.look import described, look
    from equipoise.run.measuring import Measuring
    from equipoise.run.model_source import Network
    from equipoise.run.naming import Naming
    from equipoise.run.output import Output
    from equipoise.run.predictions import PredictionTables, evaluate_predictions
    from equipoise.run.score import score
    from equipoise.run.slice_column import SLICE
    from equipoise.run.sources import Reading, Sources
    from equipoise.run.sweep.grid import varied
    from equipoise.run.sweep.job import sweep
    from equipoise.run.train import Trained, train
    from equipoise.run.train_generator import train_generator
    from equipoise.run.training import Training
    from equipoise.run.tuning import lines_of, tuned, tuning
    from equipoise.train import Engine

_HOMES = {
    "AUDIT_METHODS": "equipoise.run.audit.scoring",
    "SLICE": "equipoise.run.slice_column",
    "Attributes": "equipoise.run.augment.augmentation",
    "Augmentation": "equipoise.run.augment.augmentation",
    "Choosing": "equipoise.run.fix.job",
    "Engine": "equipoise.train",
    "Finding": "equipoise.run.find",
    "Measuring": "equipoise.run.measuring",
    "Naming": "equipoise.run.naming",
    "Network": "equipoise.run.model_source",
    "Output": "equipoise.run.output",
    "PredictionTables": "equipoise.run.predictions",
    "Reading": "equipoise.run.sources",
    "Scoring": "equipoise.run.audit.scoring",
    "Sources": "equipoise.run.sources",
    "Trained": "equipoise.run.train",
    "Training": "equipoise.run.training",
    "audit": "equipoise.run.audit.job",
    "augment": "equipoise.run.augment.job",
    "debias": "equipoise.run.debias.job",
    "demo": "equipoise.run.demo",
    "described": "equipoise.run.look",
    "evaluate": "equipoise.run.evaluate",
    "evaluate_predictions": "equipoise.run.predictions",
    "find": "equipoise.run.find",
    "fix": "equipoise.run.fix.job",
    "export": "equipoise.run.export",
    "lines_of": "equipoise.run.tuning",
    "look": "equipoise.run.look",
    "networks": "equipoise.run.compared_models",
    "score": "equipoise.run.score",
    "sweep": "equipoise.run.sweep.job",
    "train": "equipoise.run.train",
    "train_generator": "equipoise.run.train_generator",
    "tuned": "equipoise.run.tuning",
    "tuning": "equipoise.run.tuning",
    "varied": "equipoise.run.sweep.grid",
}

__all__ = [
    "AUDIT_METHODS",
    "SLICE",
    "Attributes",
    "Augmentation",
    "Choosing",
    "Engine",
    "Finding",
    "Measuring",
    "Naming",
    "Network",
    "Output",
    "PredictionTables",
    "Reading",
    "Scoring",
    "Sources",
    "Trained",
    "Training",
    "audit",
    "augment",
    "debias",
    "demo",
    "described",
    "evaluate",
    "evaluate_predictions",
    "export",
    "find",
    "fix",
    "lines_of",
    "look",
    "networks",
    "score",
    "sweep",
    "train",
    "train_generator",
    "tuned",
    "tuning",
    "varied",
]


class _Room(ModuleType):
    """A job and the folder of its modules share a name: whoever asks for it here gets the job."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in _HOMES):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Room


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
