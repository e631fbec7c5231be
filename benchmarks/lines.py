"""Results as JSON lines: one line a run (case, method, seed), with its numbers, command, machine and versions.

A file of lines is the memory of a case: what has a line is not run again, and a run that failed leaves a line with
"error" in place of numbers, is told, and tried again at the next start. Tables and figures are made from the lines
alone.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

T_975 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""97.5th percentile of Student's t by number of values."""
NAMED = ("equipoise", "torch", "numpy", "scikit-learn", "pyarrow", "pillow")


def machine() -> dict[str, Any]:
    """Processor, cores that may be used, memory in GiB, operating system, GPU if there is one."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    found: dict[str, Any] = {
        "processor": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "system": platform.system(),
        "gpu": None,
    }
    if hasattr(os, "sysconf"):
        found["memory_gib"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    torch = sys.modules.get("torch")  # a case without torch need not load it
    if torch is not None and torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def versions(*names: str) -> dict[str, str]:
    """Python and packages with their versions; what is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in names or NAMED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Lines:
    """A case's file of lines.

    Args:
        path: The file; it need not exist.
        case: "b1", "b2", …
        command: What a person types to make these lines; paths of data stand as DATA.
    """

    path: Path
    case: str
    command: str

    def read(self, *, failed: bool = False) -> list[dict[str, Any]]:
        """The newest line of every (case, method, seed, setting), oldest first; a line cut off at the end is skipped.

        Args:
            failed: Give back those that failed too.
        """
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        for text in self.path.read_text().splitlines() if self.path.exists() else ():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            found.pop(key := _key(line), None)
            found[key] = line
        return [line for line in found.values() if failed or "error" not in line]

    def run(
        self,
        method: str,
        seed: int,
        measure: Callable[[], dict[str, Any]],
        *,
        setting: dict[str, Any] | None = None,
    ) -> dict[str, Any] | None:
        """The line of a run; measured now if it is not there yet. None if it fails, which is told and written down.

        Args:
            method: What is measured.
            seed: What chance comes from.
            measure: Gives the numbers, as JSON-able values.
            setting: What else tells one run from another, such as {"c": 0.01} or {"quick": True}.
        """
        line = {"case": self.case, "method": method, "seed": seed, "setting": setting or {}}
        for old in self.read():
            if _key(old) == _key(line):
                return old
        began = time.perf_counter()
        try:
            numbers = json.loads(json.dumps(_finite(measure())))
        except Exception as error:  # one run that fails must not lose the others
            line["error"] = f"{type(error).__name__}: {error}"
            print(f"{self.case} {method} seed {seed} {setting or ''} failed: {line['error']}", flush=True)
        else:
            line["numbers"] = numbers
        line |= {
            "wall_s": round(time.perf_counter() - began, 3),
            "date": time.strftime("%Y-%m-%d"),
            "command": self.command,
            "machine": machine(),
            "versions": versions(),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(line)
        with self.path.open("a") as file:
            file.write(text + "\n")
        return None if "error" in line else line


def _key(line: dict[str, Any]) -> tuple[Any, ...]:
    return line["case"], line["method"], line["seed"], json.dumps(line["setting"], sort_keys=True)


def _finite(value: Any) -> Any:
    """JSON has no NaN: undefined is null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def over_seeds(values: list[float]) -> dict[str, Any]:
    """Mean, median, 95 % t-interval over seeds (None of one value), smallest, largest and all values."""
    array = np.asarray(values, float)
    mean = float(array.mean())
    half = T_975[len(array)] * float(array.std(ddof=1)) / len(array) ** 0.5 if len(array) > 1 else None
    return {
        "mean": mean,
        "median": float(np.median(array)),
        "low": None if half is None else mean - half,
        "high": None if half is None else mean + half,
        "min": float(array.min()),
        "max": float(array.max()),
        "values": array.tolist(),
    }


def shown(numbers: dict[str, Any] | None, digits: int = 2) -> str:
    """Mean and interval as text."""
    if numbers is None:
        return "–"
    text = f"{numbers['mean']:.{digits}f}"
    if numbers["low"] is None:
        return text
    return f"{text} [{numbers['low']:.{digits}f}, {numbers['high']:.{digits}f}]"


def cost(numbers: dict[str, Any] | None) -> str:
    """Median and range of seconds as text: machines are shared, and one disturbed run spoils a mean."""
    if numbers is None:
        return "–"
    return f"{numbers['median']:.0f} ({numbers['min']:.0f}–{numbers['max']:.0f})"
