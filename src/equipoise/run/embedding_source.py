"""The embedding that a run was given: a network, the name of one, or a column of vectors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from equipoise.errors import InputError
from equipoise.nn import Backbone, FeatureExtractor, digest_of
from equipoise.run.identity import Setting
from equipoise.run.model_source import brought_backbone
from equipoise.train import Embedding, Resampling
from equipoise.train.classes import rule_of

__all__ = ["EmbeddingSource", "embedding_source"]


@dataclass(frozen=True, eq=False)
class EmbeddingSource:
    """An embedding and what the user called it.

    Args:
        embedding: What `fit` takes; None = the user brought none.
        named: A name as `nn.named_backbone` takes it, a run's folder, or the class of a network that was given
            as it is.
        column: The column of vectors.
        title: What people read; None is what the user called it.
    """

    embedding: Embedding | None = None
    named: str | None = None
    column: str | None = None
    title: str | None = None

    def settings(self) -> dict[str, Setting]:
        """What a run's settings say about it."""
        return {"embedding": self.named, "embedding_column": self.column}

    def brought(self) -> dict[str, str]:
        """What a run's identity says about it; a column is part of the data."""
        return (
            {}
            if self.embedding is None or self.column is not None
            else {"embedding": digest_of(self.embedding)}
        )

    def representation(self, settings: Resampling) -> str:
        """In what rarity was measured, in words."""
        if self.embedding is None:
            if settings.rule == "errors":
                return "what plain models get wrong that learned from the other half"
            return "the pictures themselves" if settings.rule == "appearance" else "the model's latent codes"
        usual = f"column {self.column}" if self.column is not None else f"embedding {self.named}"
        what = self.title or usual
        how = "as they are" if settings.normalisation == "raw" else settings.normalisation
        return f"{what} ({how})"

    def rule(self, settings: Resampling) -> str:
        """The rule that was used."""
        return rule_of(settings, embedded=self.embedding is not None)


def embedding_source(
    embedding: nn.Module | str | None, column: str | None, *, seed: int = 0
) -> EmbeddingSource:
    """Load what the user named; weights that it draws come from the seed.

    Raises:
        InputError: if both are given, or the name does not lead to a network.
        MissingExtraError: if the module is not installed.
    """
    if embedding is not None and column is not None:
        raise InputError(
            "Expected one embedding; got `embedding` and `embedding_column`. Give the network or the column."
        )
    if embedding is None:
        return EmbeddingSource(column, None, column)
    if isinstance(embedding, nn.Module):
        return EmbeddingSource(embedding, type(embedding).__name__)
    found = brought_backbone(embedding, seed=seed)
    return EmbeddingSource(FeatureExtractor(found) if isinstance(found, Backbone) else found, embedding)
