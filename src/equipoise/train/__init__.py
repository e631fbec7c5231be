"""Training: recipes, one loop on Lightning Fabric, checkpoints, saved models.

The loop asks a model for its losses and a sampler for its batches; which method it runs, it does not know.
"""

from equipoise.train.classes import check_trainable
from equipoise.train.embedding import Embedding
from equipoise.train.engine import Engine
from equipoise.train.featured import Featured
from equipoise.train.fit import METHODS, Fit, TrainingMethod, fit
from equipoise.train.gan import GAN
from equipoise.train.predict import predict
from equipoise.train.recipe import AUGMENTATIONS, Optimisation, Recipe, Resampling
from equipoise.train.recipes import RECIPES, recipe
from equipoise.train.saved_generator import load_generator
from equipoise.train.saved_model import load_model, save_model

__all__ = [
    "AUGMENTATIONS",
    "GAN",
    "METHODS",
    "RECIPES",
    "Embedding",
    "Engine",
    "Featured",
    "Fit",
    "Optimisation",
    "Recipe",
    "Resampling",
    "TrainingMethod",
    "check_trainable",
    "fit",
    "load_generator",
    "load_model",
    "predict",
    "recipe",
    "save_model",
]
