"""Jobs: from sources to a folder with models, numbers and a report. Each is a function; the commands call them."""

from equipoise.run.audit.job import AUDIT_METHODS, audit
from equipoise.run.augment.job import Augmentation, augment
from equipoise.run.debias.job import debias
from equipoise.run.engine import Engine
from equipoise.run.evaluate import evaluate
from equipoise.run.look import described, look
from equipoise.run.score import score
from equipoise.run.sources import Reading, Sources
from equipoise.run.sweep.grid import varied
from equipoise.run.sweep.job import sweep
from equipoise.run.train import Trained, train
from equipoise.run.train_generator import train_generator
from equipoise.run.tuning import lines_of, tuned, tuning

__all__ = [
    "AUDIT_METHODS",
    "Augmentation",
    "Engine",
    "Reading",
    "Sources",
    "Trained",
    "audit",
    "augment",
    "debias",
    "described",
    "evaluate",
    "lines_of",
    "look",
    "score",
    "sweep",
    "train",
    "train_generator",
    "tuned",
    "tuning",
    "varied",
]
