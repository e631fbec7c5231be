"""Lines of runs as rows of a table: means and t-intervals over seeds, differences from plain on the same seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lines import cost, over_seeds

Line = dict[str, Any]
Runs = dict[str, dict[int, Line]]
"""Method → seed → line."""


def runs_of(lines: Iterable[Line], order: Iterable[str]) -> Runs:
    """Lines by method, in an order, and seed."""
    found: Runs = {}
    for line in lines:
        found.setdefault(line["method"], {})[line["seed"]] = line
    names = [name for name in order if name in found]
    return {name: found[name] for name in names + [name for name in found if name not in names]}


def number(line: Line, name: str, at: str = "at_half") -> float:
    """A rate of a run, in percent; NaN if undefined."""
    value = line["numbers"][at][name]["value"]
    return float("nan") if value is None else 100 * value


def over(runs: dict[int, Line], name: str, at: str = "at_half") -> dict[str, Any]:
    """A rate over seeds."""
    return over_seeds([number(line, name, at) for line in runs.values()])


def against(runs: dict[int, Line], base: dict[int, Line], name: str) -> dict[str, Any] | None:
    """Differences from another method on the seeds that both have; None if there are none."""
    both = [number(runs[seed], name) - number(base[seed], name) for seed in runs if seed in base]
    return over_seeds(both) if both else None


def shown(numbers: dict[str, Any] | None, digits: int = 1, sign: str = "") -> str:
    """Mean and interval as text; undefined is a dash."""
    if numbers is None or not np.isfinite(numbers["mean"]):
        return "–"
    text = f"{numbers['mean']:{sign}.{digits}f}"
    if numbers["low"] is None:
        return text
    return f"{text} [{numbers['low']:{sign}.{digits}f}, {numbers['high']:{sign}.{digits}f}]"


def over_pictures(runs: dict[int, Line], name: str) -> str:
    """The bootstrap interval over pictures: means of its ends over the seeds."""
    ends = [[line["numbers"]["at_half"][name][end] for end in ("low", "high")] for line in runs.values()]
    if any(None in pair for pair in ends):
        return "–"
    low, high = 100 * np.mean(ends, axis=0)
    return f"{low:.1f}–{high:.1f}"


COLUMNS = {
    "worst_cell_accuracy": "worst cell",
    "average_accuracy": "accuracy",
    "gap": "gap",
    "deo": "DEO",
    "ap": "AP",
}


def table_of(
    runs: Runs,
    named: Callable[[str], str],
    names: Iterable[str],
    *,
    cells: Iterable[str] = (),
    seconds: bool = True,
) -> list[str]:
    """Rows of a page: one method a row, percentages; `cells` add the accuracy of cells by name."""
    names, cells, base = list(names), list(cells), runs.get("plain", {})
    head = ["method", *(COLUMNS[name] for name in names)]
    head[2:2] = ["against plain", "over pictures", "worst cell, held-out threshold"]
    head += [*cells, "steps", *(["seconds"] if seconds else []), "seeds"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for method, mine in runs.items():
        row = [named(method), shown(over(mine, names[0]))]
        row += [shown(None if method == "plain" else against(mine, base, names[0]), sign="+")]
        row += [over_pictures(mine, names[0]), shown(over(mine, names[0], "at_held_out"))]
        row += [shown(over(mine, name)) for name in names[1:]]
        row += [f"{mean_of_cell(mine, cell):.1f}" for cell in cells]
        row += [steps_told(next(iter(mine.values())))]
        if seconds:
            row += [cost(over_seeds([line["numbers"]["seconds"] for line in mine.values()]))]
        lines.append("| " + " | ".join([*row, str(len(mine))]) + " |")
    return lines


def steps_told(line: Line) -> str:
    """Optimiser steps of a run, and after a + those of a generator trained beforehand for all runs."""
    generator = line["numbers"]["told"].get("generator_steps")
    return f"{line['numbers']['steps']:,}" + ("" if generator is None else f" + {generator:,}")


def cells_of(runs: Runs) -> list[str]:
    """Names of the cells."""
    first = next(iter(next(iter(runs.values())).values()))
    return list(first["numbers"]["at_half"]["cells"])


def mean_of_cell(runs: dict[int, Line], cell: str) -> float:
    """Mean accuracy of a cell over seeds, in percent."""
    values = [line["numbers"]["at_half"]["cells"][cell]["value"] for line in runs.values()]
    return 100 * float(np.mean([np.nan if value is None else value for value in values]))


def found(runs: Runs, sees: Callable[[str], bool], controls: Iterable[str]) -> list[str]:
    """What the numbers say, of methods that see groups and of those that do not; and how large chance is."""
    base, sentences = runs.get("plain", {}), []
    tried = {m: r for m, r in runs.items() if m not in {"plain", *controls}}
    for title, seeing in (("without groups", False), ("with groups", True)):
        gains = {
            m: gain
            for m, r in tried.items()
            if sees(m) == seeing and (gain := against(r, base, "worst_cell_accuracy")) is not None
        }
        if not gains:
            continue
        best = max(gains, key=lambda m: gains[m]["mean"])
        sure = [m for m, gain in gains.items() if gain["low"] is not None and gain["low"] > 0]
        sentences.append(
            f"* Most gained in the worst cell {title}: {best}, {shown(gains[best], sign='+')} points against plain, "
            f"accuracy {shown(over(tried[best], 'average_accuracy'))} %. Interval above 0: "
            + (", ".join(sure) if sure else "none")
            + f" of {len(gains)} methods."
        )
    if (uniform := runs.get("uniform sampling (control)")) and (
        moved := against(uniform, base, "worst_cell_accuracy")
    ):
        sentences.append(
            "* How large chance is: rows drawn with replacement in place of in turn moved the worst cell by "
            + ", ".join(f"{value:+.1f}" for value in moved["values"])
            + " points."
        )
    return sentences


def figure(runs: Runs, named: Callable[[str], str], path: Path) -> Path:
    """Mean accuracy of every cell, a row a method, as SVG; the worst cell of each is named."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    cells = cells_of(runs)
    labels = list(dict.fromkeys(cell.split(" × ")[0] for cell in cells))
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": path.name}):
        drawing, axes = plt.subplots(figsize=(8, 0.26 * len(runs) + 1.3), layout="constrained")
        values = np.array([[mean_of_cell(mine, cell) for cell in cells] for mine in runs.values()])
        rows = np.arange(len(runs))[::-1]
        for label, marker, colour in zip(labels, "os", ("tab:blue", "tab:orange"), strict=True):
            mine = [i for i, cell in enumerate(cells) if cell.startswith(f"{label} × ")]
            axes.plot(values[:, mine], rows, marker, ms=4, alpha=0.6, color=colour)
            axes.plot([], [], marker, ms=4, color=colour, label=label)
        for row, line in zip(rows, values, strict=True):
            worst = int(np.nanargmin(line))
            axes.annotate(
                cells[worst].split(" × ")[1], (line[worst], row), xytext=(-5, 0),
                textcoords="offset points", ha="right", va="center", fontsize=7,
            )  # fmt: skip
        axes.set_yticks(rows, [named(method) for method in runs], fontsize=8)
        axes.set_xlabel("accuracy of a cell, %")
        axes.grid(axis="y", alpha=0.2)
        axes.margins(x=0.14)
        axes.set_ylim(-0.6, len(runs) - 0.4)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8, frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        drawing.savefig(path, metadata={"Date": None})
        plt.close(drawing)
    return path
