"""Jobs: from sources to a folder with models, numbers and a report. Each is a function; the commands call them.

What a job is asked is said in a few objects, the same for all: `Sources`, `Reading`, `Training`, `Measuring`, `Engine`,
`Output`.
"""

from equipoise.run.audit.job import audit
from equipoise.run.audit.scoring import AUDIT_METHODS, Scoring
from equipoise.run.augment.augmentation import Attributes, Augmentation
from equipoise.run.augment.job import augment
from equipoise.run.debias.job import debias
from equipoise.run.evaluate import evaluate
from equipoise.run.look import described, look
from equipoise.run.measuring import Measuring
from equipoise.run.model_source import Network
from equipoise.run.output import Output
from equipoise.run.score import score
from equipoise.run.sources import Reading, Sources
from equipoise.run.sweep.grid import varied
from equipoise.run.sweep.job import sweep
from equipoise.run.train import Trained, train
from equipoise.run.train_generator import train_generator
from equipoise.run.training import Training
from equipoise.run.tuning import lines_of, tuned, tuning
from equipoise.train import Engine

__all__ = [
    "AUDIT_METHODS",
    "Attributes",
    "Augmentation",
    "Engine",
    "Measuring",
    "Network",
    "Output",
    "Reading",
    "Scoring",
    "Sources",
    "Trained",
    "Training",
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
