"""`PictureText`: a model of transformers that puts pictures and texts into one space, as CLIP and its like do."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equipoise.errors import DataError, EquipoiseError, InputError
from equipoise.failures import refused
from equipoise.nn.backbone import Backbone
from equipoise.nn.hub import reaching_hub
from equipoise.nn.hugging_face import HuggingFace, without_bars
from equipoise.nn.named import library_of, named_backbone
from equipoise.nn.passes import home

__all__ = ["PictureText", "picture_text"]

AT_A_TIME = 64  # texts
FOLDER = "A folder holds config.json, preprocessor_config.json, tokenizer.json and model.safetensors."
READ = "input_ids", "attention_mask", "token_type_ids"  # what models of texts take


@dataclass(frozen=True, eq=False)
class PictureText:
    """A model of pictures and texts; made by `picture_text`.

    Args:
        backbone: Its picture side: features are vectors in the space.
        tokenizer: From texts to what it takes.
        longest: Tokens of a text, at most.
        name: What people read.
    """

    backbone: Backbone
    tokenizer: Any
    longest: int
    name: str

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts as they are given, shape (texts, d); nothing is put before or behind them, or cut.

        Raises:
            InputError: if a text is longer than it takes or of unknown tokens alone, the tokenizer does not fit, or
                vectors are not finite or of another space.
        """
        try:
            tokens = self._tokens(texts)
            places = [slice(start, start + AT_A_TIME) for start in range(0, len(texts), AT_A_TIME)]
            parts = [
                self._vectors({key: values[place] for key, values in tokens.items()}) for place in places
            ]
        except EquipoiseError:
            raise
        except Exception as error:  # a tokenizer and a model of others: tokenizers raises Exception itself
            if refused(error):
                raise
            raise InputError(
                f"Expected the tokenizer of {self.name} to fit its model; texts give: {_told(error)}. Give the "
                "tokenizer that it was trained with."
            ) from error
        vectors = np.concatenate(parts) if parts else np.zeros((0, self.backbone.dimensions), np.float32)
        if vectors.shape != (len(texts), self.backbone.dimensions) or not np.isfinite(vectors).all():
            raise InputError(
                f"Expected finite vectors of {self.backbone.dimensions} numbers of texts, as of pictures, from "
                f"{self.name}; got shape {vectors.shape}. Give a model that puts both in one space, as CLIP does."
            )
        return vectors

    def _tokens(self, texts: Sequence[str]) -> dict[str, Any]:
        """Filled up to the longest length, as such models learned it."""
        tokens = self.tokenizer(list(texts), padding="max_length", max_length=self.longest, truncation=False)
        no_word = set(self.tokenizer.all_special_ids)  # the one of what it does not know among them
        for text, own in zip(texts, tokens["input_ids"], strict=True):
            if len(own) > self.longest:
                raise InputError(
                    f"Expected texts of at most {self.longest} tokens, as {self.name} takes them; got {len(own)} for "
                    f"{text!r:.100}. Say it in fewer words."
                )
            if not set(own) - no_word:
                raise InputError(
                    f"Expected texts in words that the tokenizer of {self.name} knows; it knows nothing in "
                    f"{text!r:.100}. Say it in other words, or look whether its files are there. {FOLDER}"
                )
        return {key: tokens[key] for key in READ if key in tokens}

    def _vectors(self, tokens: dict[str, Any]) -> NDArray[np.float32]:
        model: Any = self.backbone.network.model
        device, _ = home(model)
        with torch.inference_mode():
            found = model.get_text_features(
                **{key: torch.tensor(value, device=device) for key, value in tokens.items()}
            )
        found = getattr(found, "pooler_output", found)
        return np.asarray(found.float().cpu().numpy(), np.float32)


def picture_text(name: str) -> PictureText:
    """A model of pictures and texts by its name.

    Args:
        name: hf:NAME_OR_FOLDER, with its image processor and its tokenizer. Code that lies beside weights is not run.

    Raises:
        MissingExtraError: without transformers.
        InputError: if the name is another, or the model takes no pictures and texts.
        DataError: if files cannot be had or read.
    """
    if library_of(name) != "hf":
        raise InputError(
            f"Expected a model of pictures and texts by its name, hf:NAME_OR_FOLDER; got {name!r:.200}. Give CLIP or "
            "its like, in the files of transformers."
        )
    backbone = named_backbone(name)
    network = backbone.network
    model = network.model if isinstance(network, HuggingFace) else network
    able = getattr(network, "kind", None) == "image_features" and hasattr(model, "get_text_features")
    if not able:
        raise InputError(
            f"Expected a model that takes pictures and texts, with get_image_features and get_text_features; {name} is "
            f"a {type(model).__name__}. Give CLIP or its like."
        )
    return _with_tokenizer(backbone, name)


def _with_tokenizer(backbone: Backbone, name: str) -> PictureText:
    library = importlib.import_module("transformers")  # it is there: the model came from it
    place = name.partition(":")[2]
    with reaching_hub(f"{name}, its tokenizer among them", FOLDER), without_bars(library):
        try:
            tokenizer = library.AutoTokenizer.from_pretrained(place)
        except (OSError, ValueError):
            raise
        except Exception as error:  # tokenizers raises Exception itself
            if refused(error):
                raise
            raise DataError(f"Expected a tokenizer in {name}; got: {_told(error)}. {FOLDER}") from error
    model: Any = backbone.network.model
    settings = getattr(model.config, "text_config", model.config)
    known = [getattr(settings, "max_position_embeddings", None), getattr(tokenizer, "model_max_length", None)]
    lengths = [int(one) for one in known if isinstance(one, int) and 0 < one < 1 << 20]
    if not lengths:
        raise InputError(
            f"Expected {name} to say how long a text may be (max_position_embeddings); it does not. Give CLIP or its "
            "like."
        )
    return PictureText(backbone, tokenizer, min(lengths), name)


def _told(error: BaseException) -> str:
    return f"{(str(error).strip().splitlines() or [type(error).__name__])[0]:.300}"
