"""Several risks at once: one call, one object."""

from __future__ import annotations

from torch import Tensor, nn

from equipoise.errors import InputError
from equipoise.risk.seen import Output, Task
from equipoise.risk.wrapped import Method, Rule, Wrapped

__all__ = ["Compose"]


class Compose:
    """Several methods around one model, on one forward pass.

    Args:
        methods: Risk methods.
        rule: If several tell the same kind of risk, the risk is the mean or the maximum of their percentiles, and
            `Wrapped.calibrate` has to come first.

    Raises:
        InputError: if there are no methods.

    Example:
        >>> from equipoise.risk import Dropout, Histogram
        >>> wrapped = Compose(Histogram(), Dropout())(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3)))
        >>> list(wrapped.methods)
        ['histogram', 'dropout']
    """

    def __init__(self, *methods: Method, rule: Rule = "mean") -> None:
        wrong = [
            f"the class {method.__name__}" if isinstance(method, type) else type(method).__name__
            for method in methods
            if not isinstance(method, Method)
        ]
        if wrong or not methods:
            raise InputError(
                f"Expected risk methods, such as Histogram(); got {', '.join(wrong) or 'none'}. Give at least one."
            )
        self.methods, self.rule = methods, rule

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
        return Wrapped(
            model, self.methods, layer=layer, output=output, task=task, example=example, rule=self.rule
        )
