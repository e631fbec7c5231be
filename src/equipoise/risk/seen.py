"""One pass of a model, and what it shows: features, prediction, and a way to run it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from torch.utils._pytree import tree_map_only

from equipoise.errors import InputError
from equipoise.nn.taps import Output, Tap, described, features_at, prediction_of, tapped

__all__ = [
    "Batches",
    "Output",
    "Pass",
    "Seen",
    "Task",
    "check_inputs",
    "copied",
    "prediction_of",
    "supervised_loss",
    "taken",
]

Task = Literal["regression", "binary", "multiclass"]
"""What the prediction is: values (batch, …), one logit (batch,) or (batch, 1), or logits (batch, classes)."""

Batches = Iterable[Any]
"""Batches, the same number at every pass: tensors of inputs, or tuples (inputs, targets, …)."""


class Seen(NamedTuple):
    """What one forward pass of the model showed; what a risk method works on.

    Args:
        inputs: The first argument of the model.
        features: One vector a sample, single precision at least; None if no method asked.
        prediction: The model's prediction.
        again: Runs the model, or the one that is passed to it, on the same inputs and gives its prediction.
        task: What the prediction is; None if the user did not say and it cannot be told.
        model: The model itself.
    """

    inputs: Tensor
    features: Float[Tensor, "batch n"] | None
    prediction: Tensor
    again: Callable[..., Tensor]
    task: Task | None
    model: nn.Module

    def detached(self) -> Seen:
        """Without gradients."""
        features = None if self.features is None else self.features.detach()
        return self._replace(features=features, prediction=self.prediction.detach())

    def needed_features(self) -> Float[Tensor, "batch n"]:
        """Features, for methods with `uses_features`."""
        if self.features is None:
            raise InputError("Expected features; got none. Set uses_features in the method's class.")
        return self.features

    def needed_task(self) -> Task:
        """The task.

        Raises:
            InputError: if it is not known: one output may be a logit or a value.
        """
        if self.task is None:
            raise InputError(
                f"A prediction of shape {tuple(self.prediction.shape)} may be logits or values. Wrap with "
                "task='binary', 'multiclass' or 'regression'."
            )
        return self.task


@dataclass(frozen=True, eq=False)
class Pass:
    """How a model is looked at.

    Args:
        model: Any network.
        tap: Where its features are; None if nobody asks for them.
        output: Where the prediction is in what it returns.
        task: What the prediction is; None takes logits (batch, 2 or more) as "multiclass".
        watching: Entered around the pass, by methods that see more.
    """

    model: nn.Module
    tap: Tap | None
    output: Output
    task: Task | None
    watching: Sequence[Callable[[nn.Module], AbstractContextManager[None]]] = ()

    def of(self, inputs: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, Seen]:
        """What the model returned for inputs, and what it showed.

        Raises:
            InputError: if features are NaN or infinite, or the prediction cannot be found.
        """
        check_inputs(inputs)
        found: list[Tensor] = []
        with ExitStack() as stack:
            if self.tap is not None:
                found = stack.enter_context(tapped(self.model, self.tap))
            for watching in self.watching:
                stack.enter_context(watching(self.model))
            given, named = copied((inputs, kwargs))  # the inputs are needed again as they are
            returned = self.model(*given, **named)
        prediction = prediction_of(returned, self.output)
        features = None if self.tap is None else features_at(self.tap, found, inputs[0].shape[0])

        def again(model: nn.Module = self.model) -> Tensor:
            given, named = copied((inputs, kwargs))
            return prediction_of(
                model(*given, **named), self.output
            ).clone()  # it may be the same memory each time

        several = prediction.ndim == 2 and prediction.shape[1] > 1
        task = self.task or ("multiclass" if several else None)
        return returned, Seen(inputs[0], features, prediction, again, task, self.model)


def supervised_loss(prediction: Tensor, targets: Tensor, task: Task) -> Float[Tensor, " batch"]:
    """The usual loss of a task, one a sample: squared error, sigmoid or softmax cross-entropy in nats."""
    if task == "multiclass":
        return cross_entropy(prediction, targets.long(), reduction="none")
    wanted = targets.to(prediction.dtype).reshape(prediction.shape)
    loss = mse_loss if task == "regression" else binary_cross_entropy_with_logits
    return (
        loss(prediction, wanted, reduction="none").flatten(1).mean(1)
        if prediction.ndim > 1
        else loss(prediction, wanted, reduction="none")
    )


def check_inputs(inputs: tuple[Any, ...]) -> None:
    """Refuse inputs of which the first is no tensor.

    Raises:
        InputError: says what came.
    """
    if not inputs or not isinstance(inputs[0], Tensor):
        raise InputError(
            f"Expected a tensor as first input; got {type(inputs[0]).__name__ if inputs else 'nothing'}. "
            "Pass the model's inputs by position, the main one first."
        )


def copied(given: Any) -> Any:
    """With a copy of each tensor, in lists, tuples and mappings too."""
    return tree_map_only(Tensor, torch.clone, given)


def taken(batch: Any) -> tuple[Tensor, Tensor | None]:
    """Inputs and, if there are some, targets of a batch.

    Raises:
        InputError: if it is neither a tensor nor a tuple that begins with one.
    """
    if isinstance(batch, Tensor):
        return batch, None
    if isinstance(batch, Sequence) and len(batch) >= 2 and all(isinstance(p, Tensor) for p in batch[:2]):
        return batch[0], batch[1]
    if isinstance(batch, Sequence) and len(batch) == 1 and isinstance(batch[0], Tensor):
        return batch[0], None
    raise InputError(
        f"A batch must be a tensor of inputs, or a tuple (inputs, targets); got {described(batch)}. "
        "Map your batches to that."
    )
