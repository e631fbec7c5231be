"""B8: how often each interval that the product prints holds the truth, by simulation.

    python benchmarks/interval_coverage.py                 # what is missing, then the page; half an hour on a core
    python benchmarks/interval_coverage.py --only "AUROC"  # the settings with this text
    python benchmarks/interval_coverage.py --quick         # few draws, prints only

What a setting gave is kept as a line in results/coverage.jsonl; delete the file to draw anew, for example after an
interval has changed.

Each case of `coverage_cases` draws images from a population whose numbers are known, asks the product's own doors for
them, and counts on which side of the truth the interval lay. Nominal is 95 %: 2.5 % missed on each side. Where two
equal models, or equal groups, are compared, an interval without 0 is a false alarm.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from coverage_cases import CASES, Case, agreement_with_mcnemar
from equipoise.errors import UndefinedRateWarning
from equipoise.files import write_text
from equipoise.seeds import child_seed

PAGE = Path(__file__).parents[1] / "docs" / "coverage.md"
LINES = Path(__file__).parent / "results" / "coverage.jsonl"


@dataclass
class Tally:
    """Draws of one number in one setting, and what was missed."""

    draws: int = 0
    below: float = 0.0
    above: float = 0.0
    undefined: float = 0.0
    width: float = 0.0
    equal: bool = False

    @property
    def missed(self) -> float:
        """Percent of the intervals that do not hold the truth."""
        return 100 * (self.below + self.above) / max(1.0, self.draws - self.undefined)


def simulated(case: Case, draws: int, seed: int) -> dict[str, Tally]:
    """Number → its tally over this many draws."""
    generator = np.random.default_rng(child_seed(seed, case.setting))
    found: dict[str, Tally] = defaultdict(Tally)
    for _ in range(draws):
        for name, (truth, rate) in case.draw(generator).items():
            tally = found[name]
            tally.draws += 1
            if not rate.defined:
                tally.undefined += 1
                continue
            tally.below += float(truth < rate.low - 1e-9)
            tally.above += float(truth > rate.high + 1e-9)
            tally.width += rate.high - rate.low
            tally.equal = bool(truth == 0) and name.startswith("difference")
    return found


def table(rows: Iterable[tuple[str, str, Tally]]) -> str:
    """One row a number and setting."""
    lines = [
        "| number | setting | draws | missed, % | truth below / above it, % | mean width |",
        "|---|---|---|---|---|---|",
    ]
    for name, setting, t in rows:
        told = max(1.0, t.draws - t.undefined)
        sides = f"{100 * t.below / told:.1f} / {100 * t.above / told:.1f}"
        lines.append(f"| {name} | {setting} | {t.draws} | {t.missed:.1f} | {sides} | {t.width / told:.3g} |")
    return "\n".join(lines)


def summary(rows: list[tuple[str, str, Tally]]) -> str:
    """One row a number: the worst of its settings."""
    lines = [
        "| number | settings | lowest coverage, % | where | median coverage, % | most false alarms between equals, % |",
        "|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(name for name, _, _ in rows):
        mine = [(setting, t) for of, setting, t in rows if of == name]
        where, worst = max(mine, key=lambda pair: pair[1].missed)
        equal = [t.missed for _, t in mine if t.equal]
        alarms = f"{max(equal):.1f}" if equal else "–"
        median = 100 - float(np.median([t.missed for _, t in mine]))
        lines.append(
            f"| {name} | {len(mine)} | {100 - worst.missed:.1f} | {where} | {median:.1f} | {alarms} |"
        )
    return "\n".join(lines)


def page(rows: list[tuple[str, str, Tally]], agreement: str) -> str:
    """docs/coverage.md."""
    return f"""# How often the intervals hold the truth

Written by `python benchmarks/interval_coverage.py`. Every interval that equipoise prints is asked for by the product's
own functions on images drawn from a population whose numbers are known. Nominal is 95 %: 2.5 % missed on each side.
Exact methods cover more than that where counts are few; none is to cover less than 93 %. With 1,000 draws the share
itself scatters by ±0.7 points (one standard deviation), so the lowest of many settings is lower than the method.

{agreement}

How each interval is made stands in `equipoise.intervals`, and beside the function that gives the number.

## The worst setting of each number

{summary(rows)}

## All settings

<details><summary>{len(rows)} rows</summary>

{table(rows)}

</details>
"""


def kept(path: Path, cases: Iterable[Case]) -> dict[str, dict[str, Tally]]:
    """Setting → number → tally, of the lines of these cases."""
    known = {case.setting for case in cases}
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {
        line["setting"]: {name: Tally(**tally) for name, tally in line["numbers"].items()}
        for line in lines
        if line["setting"] in known
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a twentieth of the draws, nothing is kept")
    parser.add_argument("--only", default="", help="settings that hold this text")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lines", type=Path, default=LINES)
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UndefinedRateWarning)
    wanted = [case for case in CASES if arguments.only in case.setting]
    there = {} if arguments.quick else kept(arguments.lines, CASES)
    missing = [case for case in wanted if case.setting not in there]
    start, total, done = time.perf_counter(), sum(case.cost for case in missing), 0.0
    for case in missing:
        draws = max(20, case.draws // 20) if arguments.quick else case.draws
        there[case.setting] = simulated(case, draws, arguments.seed)
        if not arguments.quick:
            line = {
                "setting": case.setting,
                "numbers": {n: asdict(t) for n, t in there[case.setting].items()},
            }
            with open(arguments.lines, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        done += case.cost
        spent = time.perf_counter() - start
        left = spent * (total - done) / done
        print(
            f"{done / total:4.0%}  {spent:5.0f} s, about {left:5.0f} s left  {case.setting}", file=sys.stderr
        )
    rows = [
        (name, case.setting, tally)
        for case in wanted
        if case.setting in there
        for name, tally in there[case.setting].items()
    ]
    rows.sort(key=lambda row: row[0])
    print(summary(rows))
    if not arguments.quick and not arguments.only:
        write_text(arguments.page, page(rows, agreement_with_mcnemar()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
