"""A model with one or more risk methods around it: the same model, and its risks when asked."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from equipoise.errors import InputError, NotFittedError
from equipoise.nn import Losses, evaluating, modes_kept
from equipoise.nn.modes import weights_fixed
from equipoise.nn.taps import Tap, find_tap, named_tap
from equipoise.risk.percentiles import Percentiles
from equipoise.risk.risk import KINDS, Kind, Risk
from equipoise.risk.seen import (
    Batches,
    Output,
    Pass,
    Seen,
    Task,
    check_inputs,
    copied,
    prediction_of,
    supervised_loss,
    taken,
)

__all__ = ["Method", "Rule", "Wrapped"]

Rule = Literal["mean", "max"]
"""How percentiles of the same kind of risk are put together."""


class Method(nn.Module, ABC):
    """A way to tell risk. Calling it on a model wraps the model; the method itself is copied, never shared.

    A subclass sets the class variables and implements `risk`, and what it needs of `build`, `observe`, `loss` and
    `finish`. Its state lies in parameters and buffers.
    """

    label: ClassVar[str]  # in the names of raw scores
    kinds: ClassVar[tuple[Kind, ...]]  # the risks that it tells
    uses_features: ClassVar[bool] = False
    on_features: ClassVar[bool] = False  # looks at nothing but features and prediction: kept ones will do
    learns: ClassVar[bool] = False  # has parameters, made by `build`

    def __call__(
        self,
        model: nn.Module,
        *,
        layer: str | None = None,
        output: Output = None,
        task: Task | None = None,
        example: Tensor | None = None,
    ) -> Wrapped:
        """Wrap a model; arguments as in `Wrapped`."""
        return Wrapped(model, [self], layer=layer, output=output, task=task, example=example)

    def build(self, seen: Seen) -> None:
        """Make layers and buffers whose sizes follow from a first pass. Called once, before anything else."""

    def watching(self, model: nn.Module) -> AbstractContextManager[None]:
        """Entered around a pass of the model whose risk is asked: to see more than features and prediction."""
        return nullcontext()

    def begin(self) -> None:
        """Called when `fit` starts to take statistics: forget what was seen of a model that has changed since."""

    def observe(self, seen: Seen) -> None:
        """Update running statistics; called on training batches only, without gradients."""

    def loss(self, seen: Seen, targets: Tensor | None, generator: torch.Generator | None) -> Tensor | None:
        """Extra loss term of a training batch, a scalar; None if there is nothing to learn."""
        return None

    def finish(self) -> None:
        """Called when training or fitting pauses and scores may be asked for."""

    @abstractmethod
    def risk(self, seen: Seen) -> Risk:
        """Risk of a batch. `raw` is keyed by the score's own name, without the method's.

        Raises:
            NotFittedError: if too little was seen to tell.
        """


class Wrapped(nn.Module):
    """A model, unchanged, and the methods that tell its risks.

    Called as the model is called, it gives what the model gives, with the same gradient. In training mode the
    methods' running statistics are updated on the way.

    Args:
        model: Any network. It is kept, not copied: its weights are trained and loaded as before.
        methods: Risk methods, copied.
        layer: The module whose output are the features; None takes what goes into the last layer, found by running
            the model once.
        output: Where the prediction is in what the model returns.
        task: What the prediction is; None takes logits (batch, 2 or more) as "multiclass" and asks otherwise.
        example: A batch of inputs, one sample is enough, to make the methods' layers from now; without it, the
            first call does.
        rule: If several methods tell the same kind of risk: mean or maximum of their percentiles. `calibrate` then
            has to come first.

    Raises:
        InputError: if there is no such layer, the prediction cannot be found, or two methods have the same name.

    Example:
        >>> from equipoise.risk import Histogram
        >>> wrapped = Histogram(bins=5)(nn.Linear(2, 3))
        >>> _ = wrapped.train()(torch.randn(64, 2))
        >>> prediction, risk = wrapped.eval()(torch.randn(4, 2), return_risk=True)
        >>> risk.representation.shape
        torch.Size([4])
    """

    def __init__(
        self,
        model: nn.Module,
        methods: Sequence[Method],
        *,
        layer: str | None = None,
        output: Output = None,
        task: Task | None = None,
        example: Tensor | None = None,
        rule: Rule = "mean",
    ) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise InputError(
                f"Expected a torch nn.Module to wrap; got {type(model).__name__}. Put a function into a module."
            )
        if task is not None and task not in get_args(Task):
            raise InputError(f"task must be one of {', '.join(get_args(Task))}; got {task!r}. Choose one.")
        if rule not in get_args(Rule):
            raise InputError(f"rule must be one of {', '.join(get_args(Rule))}; got {rule!r}. Choose one.")
        self.model = model
        self.methods = nn.ModuleDict()
        for method in methods:
            name, number = method.label, 1
            while name in self.methods:
                number += 1
                name = f"{method.label}_{number}"
            self.methods[name] = copy.deepcopy(method)
        self.percentiles = Percentiles()
        self.layer, self.output, self.task, self.rule = layer, output, task, rule
        self.tap: Tap | None = None if layer is None else named_tap(model, layer)
        self.built, self.training = False, model.training  # its own parts keep the modes that they are in
        self.methods.train(model.training)
        self.percentiles.train(model.training)
        if example is not None:
            self.build(example)

    def extra_repr(self) -> str:
        """What `repr` shows."""
        where = self.layer or (self.tap and f"input of {self.tap.layer}") or "not looked for yet"
        return f"features={where}, task={self.task}, rule={self.rule}"

    def forward(
        self,
        *inputs: Any,
        return_risk: bool = False,
        return_loss: bool = False,
        targets: Tensor | None = None,
        generator: torch.Generator | None = None,
        **kwargs: Any,
    ) -> Any:
        """What the model returns; with its risk, or with the methods' extra loss, if asked.

        Args:
            inputs: Passed to the model, as are all other keywords.
            return_risk: Give (what the model returns, `Risk`).
            return_loss: Give (what the model returns, extra loss): a scalar to add to your own.
            targets: Of the samples, for methods that learn from them.
            generator: Chance of the extra loss.

        Raises:
            InputError: if features are NaN or infinite, or a method cannot work with what the model returns.
            NotFittedError: if a method has seen too little to tell a risk.
        """
        if return_risk and return_loss:
            raise InputError("Expected return_risk or return_loss; got both. Ask for one at a time.")
        if not (self.training or return_risk or return_loss):
            return self.model(*inputs, **kwargs)
        if not self.built:
            self.build(*inputs, **kwargs)
        returned, seen = self._see(inputs, kwargs, judged=return_risk)
        if self.training:
            with torch.no_grad():
                for method in self._methods():
                    method.observe(seen.detached())
        if return_loss:
            return returned, self._loss(seen, targets, generator)
        return (returned, self._risk(seen)) if return_risk else returned

    def losses(self, images: Tensor, labels: Tensor, *, generator: torch.Generator | None = None) -> Losses:
        """Losses of a training batch, for `equipoise.fit`: the task's own loss and the methods' extra terms."""
        returned, extra = self(images, return_loss=True, targets=labels, generator=generator)
        prediction = self.prediction_of(returned)
        task = self.task or ("binary" if prediction[0].numel() == 1 else "multiclass")
        supervised = supervised_loss(prediction, labels, task).mean()
        parts = {"classification": supervised.detach(), "risk": extra.detach()}
        logits = prediction.flatten(1) if prediction.ndim > 1 else prediction[:, None]
        logits = logits[:, -1] if logits.shape[1] <= 2 else logits
        return Losses(supervised + extra, parts, logits.detach())

    def fit(
        self,
        batches: Batches,
        *,
        epochs: int = 1,
        learning_rate: float = 1e-3,
        generator: torch.Generator | None = None,
    ) -> Wrapped:
        """Let the methods learn from data while the model itself stays exactly as it is.

        Args:
            batches: Training data of the model. Read once, and before that `epochs` times if a method has layers.
            epochs: Passes, for methods with layers of their own.
            learning_rate: Of Adam, for the same.
            generator: Chance of the methods' losses.

        Raises:
            InputError: if there are no batches.
        """
        if epochs < 1:
            raise InputError(f"epochs must be at least 1; got {epochs}. One pass is enough for statistics.")
        with modes_kept(self):
            if self._learn(batches, epochs, learning_rate, generator) == 0:
                raise InputError("Expected batches to learn from; got none. Give a list or a data loader.")
        self._finish()
        return self

    def _learn(
        self, batches: Batches, epochs: int, learning_rate: float, generator: torch.Generator | None
    ) -> int:
        """Train the methods' layers, then one pass for their statistics: of layers that no longer change."""
        optimizer: torch.optim.Optimizer | None = None
        read = 0
        passes = epochs if any(method.learns for method in self._methods()) else 0
        for number in range(passes + 1):
            for batch in batches:
                inputs, targets = taken(batch)
                if not self.built:
                    self.build(inputs)
                self.model.eval()
                self.methods.train(number < passes)
                with weights_fixed(self.model):
                    with torch.no_grad():
                        _, seen = self._see((inputs,), {})
                        if number == passes:
                            for method in self._methods():
                                if read == 0:
                                    method.begin()
                                method.observe(seen)
                            read += 1
                            if all(type(method).observe is Method.observe for method in self._methods()):
                                return read  # nobody has statistics to take
                            continue
                    loss = self._loss(seen, targets, generator)
                    if optimizer is None:
                        optimizer = torch.optim.Adam(self.methods.parameters(), learning_rate)
                    optimizer.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
        return read

    @torch.no_grad()
    def calibrate(self, batches: Batches) -> Wrapped:
        """Take the scores of held-out data as the reference for `percentile` and for putting methods together.

        Args:
            batches: Data that neither the model nor the methods learned from.

        Raises:
            InputError: if there are no batches, or a score is not finite.
            NotFittedError: if a method has seen too little to tell a risk.
        """
        found: dict[str, list[Tensor]] = {}
        with evaluating(self):
            for batch in batches:
                inputs, _ = taken(batch)
                if not self.built:
                    self.build(inputs)
                _, seen = self._see((inputs,), {}, judged=True)
                for name, method in self.methods.items():
                    told = method.risk(seen)  # type: ignore[operator]
                    for kind in KINDS:
                        values = getattr(told, kind)
                        if values is not None:
                            found.setdefault(f"{name}.{kind}", []).append(values)
        if not found:
            raise InputError("Expected batches of held-out data; got none. Give a list or a data loader.")
        self.percentiles.fit({name: torch.cat(parts) for name, parts in found.items()})
        return self

    def percentile(self, risk: Risk) -> Risk:
        """The same risk as shares of the held-out data that are less at risk, in [0, 1]; `raw` as it was.

        Raises:
            NotFittedError: before `calibrate`.
        """
        fields: dict[str, Tensor | None] = {}
        for kind in KINDS:
            values, tellers = getattr(risk, kind), self._tellers(kind)
            one = values is not None and len(tellers) == 1
            fields[kind] = self.percentiles(f"{tellers[0]}.{kind}", values) if one else values
        return Risk(**fields, raw=risk.raw)

    def build(self, *inputs: Any, **kwargs: Any) -> None:
        """Find the features and make the methods' layers, from a batch of inputs; done once.

        Raises:
            InputError: if the features or the prediction cannot be found.
        """
        if self.built:
            return
        check_inputs(inputs)
        inputs, kwargs = copied((inputs, kwargs))  # several passes, of a model that may work on them in place
        # layers that are made in inference mode could never be trained
        with evaluating(self), torch.inference_mode(False), torch.no_grad():
            if self.tap is None and any(method.uses_features for method in self._methods()):
                self.tap = find_tap(self.model, lambda: self.prediction_of(self.model(*inputs, **kwargs)))
            _, seen = self._see(inputs, kwargs)
            for method in self._methods():
                method.build(seen)
                method.to(seen.prediction.device)
        self.methods.train(self.training)
        self.built = True

    def train(self, mode: bool = True) -> Wrapped:
        """Training or evaluation mode, of the model too; methods get their statistics ready for scoring."""
        super().train(mode)
        if not mode and self.built:
            self._finish()
        return self

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """As any module's.

        Raises:
            NotFittedError: while layers are missing that the first input decides on: an optimizer made now would
                never train them.
        """
        if not self.built and any(method.learns for method in self._methods()):
            raise NotFittedError(
                "Expected layers; they are made from the first input. Wrap with example=inputs, or call the "
                "wrapped model once, before you ask for its parameters."
            )
        return super().named_parameters(*args, **kwargs)

    def _methods(self) -> list[Method]:
        return list(self.methods.values())  # type: ignore[arg-type]

    def _tellers(self, kind: Kind) -> list[str]:
        return [name for name, method in self.methods.items() if kind in method.kinds]  # type: ignore[operator]

    def _see(
        self, inputs: tuple[Any, ...], kwargs: Mapping[str, Any], *, judged: bool = False
    ) -> tuple[Any, Seen]:
        tap = self.tap if any(method.uses_features for method in self._methods()) else None
        watching = [method.watching for method in self._methods() if judged]
        return Pass(self.model, tap, self.output, self.task, watching).of(inputs, kwargs)

    def prediction_of(self, returned: Any) -> Tensor:
        """The prediction in what the model returned."""
        return prediction_of(returned, self.output)

    def _risk(self, seen: Seen) -> Risk:
        told: dict[str, Risk] = {
            name: method.risk(seen)  # type: ignore[operator]
            for name, method in self.methods.items()
        }
        raw = {f"{name}.{score}": values for name, one in told.items() for score, values in one.raw.items()}
        fields: dict[str, Tensor | None] = {}
        for kind in KINDS:
            parts = {n: getattr(one, kind) for n, one in told.items() if getattr(one, kind) is not None}
            if len(parts) > 1:
                ranks = torch.stack([self.percentiles(f"{n}.{kind}", values) for n, values in parts.items()])
                fields[kind] = ranks.mean(0) if self.rule == "mean" else ranks.amax(0)
            else:
                fields[kind] = next(iter(parts.values()), None)
        return Risk(**fields, raw=raw)

    def _loss(self, seen: Seen, targets: Tensor | None, generator: torch.Generator | None) -> Tensor:
        extra = [method.loss(seen, targets, generator) for method in self._methods()]
        nothing = torch.zeros((), device=seen.prediction.device)
        return sum((one for one in extra if one is not None), nothing)

    def _finish(self) -> None:
        with torch.no_grad():
            for method in self._methods():
                method.finish()
