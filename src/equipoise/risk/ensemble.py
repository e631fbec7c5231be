"""Epistemic risk by an ensemble: how far members are apart that differ in their starting weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise.errors import InputError, NotFittedError
from equipoise.nn import evaluating
from equipoise.risk.disagreement import disagreement, joint_prediction
from equipoise.risk.risk import KINDS, Risk
from equipoise.risk.seen import Output, Seen, Task, copied, prediction_of, supervised_loss
from equipoise.risk.wrapped import Method, Wrapped
from equipoise.seeds import child_seed

__all__ = ["Ensemble", "Mean", "bootstrap_weights", "fresh_copy"]


def fresh_copy(model: nn.Module, seed: int) -> nn.Module:
    """A copy on the CPU with new starting weights; what is frozen stays, torch's own chance too.

    Raises:
        InputError: if a module has parameters and no `reset_parameters`.
    """
    fresh = copy.deepcopy(getattr(model, "_orig_mod", model)).cpu()  # what torch.compile was given
    unknown = []
    with _seeded(seed):
        for name, module in fresh.named_modules():
            own = list(module.parameters(recurse=False))
            if own and not any(parameter.requires_grad for parameter in own):
                continue
            reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
            if reset is not None and own:
                reset()
            elif own:
                unknown.append(f"{name or 'the model'} ({type(module).__name__})")
    if unknown:
        raise InputError(
            f"Expected layers with reset_parameters, to start members anew; got {', '.join(unknown[:5])}"
            f"{', …' if len(unknown) > 5 else ''}. Say how to make a model, Ensemble(make=lambda: Net()), or train the "
            "members yourself and use Ensemble.of(models)."
        )
    return fresh


def bootstrap_weights(inputs: Float[Tensor, "batch ..."], seed: int) -> Float[Tensor, " batch"]:
    """How often each sample is in a resample with replacement: Poisson(1), from the sample's own content.

    The same sample has the same weight at every epoch, in whatever batch and order.
    """
    flat = inputs.detach().flatten(1)
    flat = flat[:, :: max(1, flat.shape[1] // 4096)]  # enough to tell pictures apart
    bits = flat.to(torch.float32).contiguous().view(torch.int32).to(torch.int64)
    generator = torch.Generator().manual_seed(seed)
    # a random odd multiplier a value, then the last steps of SplitMix64; int64 wraps around
    factors = torch.randint(-(2**62), 2**62, (bits.shape[1],), generator=generator) * 2 + 1
    mixed = (bits * factors.to(bits.device)).sum(1)
    for shift, factor in (30, -4658895280553007687), (27, -7723592293110705685):
        mixed = (mixed ^ (mixed >> shift)) * factor
    uniform = ((mixed ^ (mixed >> 31)) & (2**24 - 1)).to(torch.float32) / 2**24
    shares = torch.tensor([math.exp(-1) / math.factorial(count) for count in range(10)], device=inputs.device)
    return torch.bucketize(uniform, shares.cumsum(0), right=True).to(torch.float32)


class Ensemble(Method):
    """Epistemic risk: how far the model and others like it are apart, as a deviation or mutual information (nats).

    The wrapped model is one of the members and its prediction stays as it is. The others are copies with starting
    weights of their own; the extra loss trains them: each as it would be trained alone, because they share no weights.
    Models that are trained already: `Ensemble.of`.

    Args:
        members: Models in all.
        bootstrap: Train each other member on a resample with replacement of the training data. Samples count as the
            same if their inputs are: with random changes to pictures, every change is a sample.
        seed: Of starting weights and resamples.
        make: Makes an untrained model; None copies the wrapped one and calls `reset_parameters` of its layers, except
            where they are frozen.

    Raises:
        InputError: if an argument is out of range; when wrapping, if a layer cannot be started anew.

    Source: Lakshminarayanan, Pritzel and Blundell, 2017, Simple and Scalable Predictive Uncertainty Estimation using
    Deep Ensembles; the bootstrap is Oza and Russell, 2001, Online Bagging and Boosting. Differs from them in: no
    adversarial training, no variance head (`MVE` is one) and the prediction is the wrapped model's alone; a sample's
    Poisson weight comes from its content, so that it is the same at every epoch.
    """

    label = "ensemble"
    kinds = ("epistemic",)
    learns = True

    steps: Tensor

    def __init__(
        self,
        members: int = 5,
        bootstrap: bool = False,
        seed: int = 0,
        *,
        make: Callable[[], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if members < 2:
            raise InputError(f"members must be at least 2, to differ; got {members}. Use 5.")
        self.members, self.bootstrap, self.seed, self.make = members, bootstrap, seed, make
        self.seeds = [child_seed(seed, "ensemble", number) for number in range(1, members)]
        self.others = nn.ModuleList()
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.trained = False  # as of the last `finish`: an export cannot read a buffer

    @staticmethod
    def of(models: Sequence[nn.Module], *, output: Output = None, task: Task | None = None) -> Wrapped:
        """Trained models as one: it predicts what they predict together, and its epistemic risk is their spread.

        Values are averaged; of classes, the probabilities are, and the result is their logits. Members may be wrapped
        models: their other risks are averaged, and so are their raw scores.

        Args:
            models: Two or more models of the same inputs; they are kept, not copied.
            output: Where the prediction is in what a member returns, for those that are not wrapped.
            task: What the prediction is; None takes what wrapped members say.

        Raises:
            InputError: if there are fewer than two different models.
        """
        if len({id(model) for model in models}) < max(2, len(models)):
            raise InputError(
                f"Expected two or more different models; got {len(models)}, not all different. Train each on its own."
            )
        wrapped = [model for model in models if isinstance(model, Wrapped)]
        task = task or next((member.task for member in wrapped if member.task), None)
        kinds = {
            kind for member in wrapped for method in member.methods.children() for kind in _kinds(method)
        }
        return Wrapped(Mean(models, output, task), [_Spread(kinds)], task=task)

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"members={self.members}, bootstrap={self.bootstrap}, seed={self.seed}"

    def build(self, seen: Seen) -> None:
        seen.needed_task()
        for seed in self.seeds:
            if self.make is None:
                other = fresh_copy(seen.model, seed)
            else:
                with _seeded(seed):
                    other = self.make()
                if any(other is one for one in (seen.model, *self.others)):
                    raise InputError(
                        "make must give a new model at each call; it gave the same. Build it inside."
                    )
            other = other.to(seen.prediction.device, seen.prediction.dtype)
            with torch.no_grad(), evaluating(other):
                predicted = seen.again(other)
            if predicted.shape != seen.prediction.shape:
                raise InputError(
                    f"Expected members that predict {tuple(seen.prediction.shape)}, as the model does; got "
                    f"{tuple(predicted.shape)}. Let make() build a model like the wrapped one."
                )
            self.others.append(other)

    def loss(self, seen: Seen, targets: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """The members' own losses, means over the batch, summed over members."""
        if targets is None:
            raise InputError(
                "Expected targets, to train the members; got none. Give batches (inputs, targets), or targets=...."
            )
        if self.training:
            self.steps += 1
        total = torch.zeros((), device=seen.prediction.device)
        for seed, other in zip(self.seeds, self.others, strict=True):
            losses = supervised_loss(seen.again(other), targets, seen.needed_task())
            if self.bootstrap:
                losses = losses * bootstrap_weights(seen.inputs, seed).to(losses.dtype)
            total = total + losses.mean()
        return total

    def finish(self) -> None:
        self.trained = bool(self.steps)

    def risk(self, seen: Seen) -> Risk:
        if not (self.trained if torch.compiler.is_exporting() else bool(self.steps)):
            raise NotFittedError(
                "Expected trained members; they are at their starting weights. Train with the extra loss "
                "(return_loss=True), or call fit with training batches (inputs, targets), first."
            )
        with torch.no_grad(), evaluating(self.others):
            votes = [seen.prediction.detach(), *(seen.again(other) for other in self.others)]
        return disagreement(torch.stack(votes), seen.needed_task())


class Mean(nn.Module):
    """What several models predict together.

    Args:
        models: Of the same inputs; wrapped ones may be among them.
        output: Where the prediction is in what those return that are not wrapped.
        task: What the prediction is; None takes (batch, 2 or more) as logits of classes.
    """

    def __init__(self, models: Sequence[nn.Module], output: Output = None, task: Task | None = None) -> None:
        super().__init__()
        if task is not None and task not in get_args(Task):
            raise InputError(f"task must be one of {', '.join(get_args(Task))}; got {task!r}. Choose one.")
        self.members = nn.ModuleList(models)
        self.output, self.task = output, task
        self.watched: list[tuple[Tensor, Risk | None]] | None = None
        self.training = self.members.training = any(model.training for model in models)

    def forward(self, *inputs: Any, **kwargs: Any) -> Tensor:
        """Mean value, or logits of the mean probabilities."""
        # one may work on its inputs in place
        seen = [self._asked(member, *copied((inputs, kwargs))) for member in self.members]
        if self.watched is not None:
            self.watched.extend((vote.detach(), risk) for vote, risk in seen)
        votes = torch.stack([vote for vote, _ in seen])
        task = self.task or ("multiclass" if votes.ndim == 3 and votes.shape[2] > 1 else None)
        if task is None:
            raise InputError(
                f"Predictions of shape {tuple(votes.shape[1:])} may be logits or values. Say task='binary', "
                "'multiclass' or 'regression'."
            )
        return joint_prediction(votes, task)

    def _asked(
        self, member: nn.Module, inputs: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Tensor, Risk | None]:
        if not isinstance(member, Wrapped):
            return prediction_of(member(*inputs, **kwargs), self.output), None
        if self.watched is None:
            return prediction_of(member(*inputs, **kwargs), member.output), None
        returned, risk = member(*inputs, return_risk=True, **kwargs)
        return prediction_of(returned, member.output), risk


class _Spread(Method):
    """Of the members of a `Mean`: their spread, and the mean of what else they say."""

    label = "ensemble"
    kinds = ("epistemic",)

    def __init__(self, kinds: set[str]) -> None:
        super().__init__()
        self.kinds = tuple(kind for kind in KINDS if kind in kinds | {"epistemic"})  # type: ignore[misc, assignment]
        self.found: list[tuple[Tensor, Risk | None]] = []

    def watching(self, model: nn.Module) -> AbstractContextManager[None]:
        return self._watching(model) if isinstance(model, Mean) else nullcontext()

    def risk(self, seen: Seen) -> Risk:
        found, self.found = self.found, []
        told = disagreement(torch.stack([vote for vote, _ in found]), seen.needed_task())
        risks = [risk for _, risk in found if risk is not None]
        raw = {
            name: [risk.raw[name] for risk in risks if name in risk.raw]
            for risk in risks
            for name in risk.raw
        }
        others = {
            kind: [getattr(risk, kind) for risk in risks if getattr(risk, kind) is not None]
            for kind in ("representation", "aleatoric")
        }
        return Risk(
            epistemic=told.epistemic,
            **{kind: torch.stack(parts).mean(0) for kind, parts in others.items() if parts},
            raw=told.raw | {name: torch.stack(parts).mean(0) for name, parts in raw.items()},
        )

    @contextmanager
    def _watching(self, model: Mean) -> Iterator[None]:
        model.watched = []
        try:
            yield
            self.found = model.watched
        finally:
            model.watched = None


def _kinds(method: nn.Module) -> tuple[str, ...]:
    return method.kinds if isinstance(method, Method) else ()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Inside, chance on the CPU comes from this seed; torch's own goes on afterwards as if nothing had been."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
