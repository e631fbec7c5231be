"""Raw scores → percentiles of held-out data: one unit for every risk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise.errors import InputError, NotFittedError

__all__ = ["Percentiles"]


class Percentiles(nn.Module):
    """Empirical distribution functions of some scores, by name, from held-out data.

    Buffers hold quantiles, so `state_dict` saves them and `.to` moves them. Between quantiles it interpolates;
    equal scores get the middle of their range.

    Args:
        quantiles: How many are kept of each score.

    Example:
        >>> percentiles = Percentiles().fit({"risk": torch.arange(100.0)})
        >>> percentiles("risk", torch.tensor([-5.0, 49.5, 500.0])).tolist()
        [0.0, 0.5, 1.0]
    """

    def __init__(self, quantiles: int = 1001) -> None:
        super().__init__()
        if quantiles < 2:
            raise InputError(f"quantiles must be at least 2; got {quantiles}. Use 1001.")
        self.quantiles = quantiles
        self.names: list[str] = []

    def fit(self, scores: Mapping[str, Float[Tensor, " n"]]) -> Percentiles:
        """Take these scores as the reference, in place of earlier ones of the same name.

        Raises:
            InputError: if there are none, or one is not finite.
        """
        for name, values in scores.items():
            if values.ndim != 1 or not len(values) or not bool(torch.isfinite(values).all()):
                raise InputError(
                    f"Expected finite scores of {name!r}, shape (n,), n ≥ 1; got shape {tuple(values.shape)}"
                    f"{'' if values.numel() == 0 else ' with NaN or infinity in it'}. Look at the held-out data."
                )
            ordered = values.detach().double().sort().values
            place = torch.linspace(
                0, len(ordered) - 1, self.quantiles, dtype=torch.float64, device=values.device
            )
            low = place.floor().long()
            high = place.ceil().long()
            self._keep(name, torch.lerp(ordered[low], ordered[high], place - low))
        return self

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def forward(self, name: str, values: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """Share of the held-out scores below each value, in [0, 1].

        Raises:
            NotFittedError: if there is no reference of that name.
        """
        if name not in self:
            raise NotFittedError(
                f"Expected held-out scores of {name!r}; got none. Call calibrate with held-out batches first."
            )
        table = getattr(self, _buffer(name)).to(values.device)
        exact = values.double().contiguous()
        if torch.compiler.is_exporting():  # ONNX has no search
            below, upto = (table < exact[:, None]).sum(1), (table <= exact[:, None]).sum(1)
        else:
            below, upto = torch.searchsorted(table, exact), torch.searchsorted(table, exact, right=True)
        last = len(table) - 1
        left = (below - 1).clamp(0, last - 1)
        width = table[left + 1] - table[left]
        between = left + ((exact - table[left]) / width.clamp_min(torch.finfo(torch.float64).tiny)).clamp(
            0, 1
        )
        tied = (below + upto - 1) / 2
        place = torch.where(upto > below, tied, between)
        place = torch.where(exact < table[0], 0.0, torch.where(exact > table[-1], float(last), place))
        return (place / last).clamp(0, 1).to(torch.float32)

    def _keep(self, name: str, table: Tensor) -> None:
        if name not in self.names:
            self.names.append(name)
        self.register_buffer(_buffer(name), table)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for key in state_dict:
            if key.startswith(prefix + "of "):
                self._keep(
                    key.removeprefix(prefix + "of ").replace("/", "."), torch.zeros_like(state_dict[key])
                )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _apply(self, fn: Any, recurse: bool = True) -> Percentiles:
        """Moves, but keeps float64."""
        before = {name: getattr(self, _buffer(name)) for name in self.names}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, table in before.items():
            setattr(self, _buffer(name), table.to(getattr(self, _buffer(name)).device))
        return self


def _buffer(name: str) -> str:
    return "of " + name.replace(".", "/")
