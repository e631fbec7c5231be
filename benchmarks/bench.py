"""The bench as one command: every case, one after another, then the page.

    python benchmarks/bench.py --data DATA              # everything, five seeds: hours on 2 cores
    python benchmarks/bench.py --data DATA --quick      # tiny sizes: does every case still run?

Each case is a file beside this one and a process of its own, and keeps its results as JSON lines. What has a line is
not run again, so an interrupted bench goes on where it stopped; a run or a case that fails does not stop the others,
is told at the end, and is tried again at the next start. Cases that need pictures are left out, and named, without
`--data` (or the variable EQUIPOISE_DATA): a folder with `fairface64` and `tinyimagenet64`, each with `train.parquet`
and `test.parquet`.

The page is `docs/benchmarks.md`; a quick bench writes its lines and page below `runs/bench-quick` and never there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lines import Lines

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
QUICK = Path("runs/bench-quick")


@dataclass(frozen=True)
class Case:
    """What a case's process is given.

    Args:
        name: Its file and its lines, without ending.
        data: Whether it needs the folder of pictures.
        labs: Whether it runs the labs' programs, in an environment of their own.
        tests: Whether it measures on test files that may be replaced.
    """

    name: str
    data: bool = True
    labs: bool = False
    tests: bool = True


CASES = (
    Case("b1", labs=True),
    Case("b2"),
    Case("b3"),
    Case("b4", data=False),
    Case("enrichment", data=False),
    Case("speed", data=False, labs=True, tests=False),
)


def has_pictures(folder: Path | None) -> bool:
    """Whether a folder holds the files that the protocol names."""
    names = [f"{d}/{f}.parquet" for d in ("fairface64", "tinyimagenet64") for f in ("train", "test")]
    return folder is not None and all((folder / name).exists() for name in names)


def command(case: Case, options: argparse.Namespace) -> list[str]:
    """What runs a case."""
    found = [
        sys.executable,
        str(HERE / f"{case.name}.py"),
        "--lines",
        str(options.lines / f"{case.name}.jsonl"),
    ]
    found += ["--seeds", str(options.seeds)]
    if options.data is not None:
        found += ["--data", str(options.data)]
    if options.quick:
        found += ["--quick"]
    if case.labs and options.labs_python is not None:
        found += ["--labs-python", str(options.labs_python)]
    for flag in ("test_positives", "test_negatives"):
        if case.tests and getattr(options, flag) is not None:
            found += ["--" + flag.replace("_", "-"), str(getattr(options, flag))]
    return found


def outcome(case: Case, options: argparse.Namespace) -> tuple[str, bool]:
    """Run a case; what to tell about it, and whether that is a failure."""
    if not (HERE / f"{case.name}.py").exists():
        return "left out: there is no such file", False
    if case.data and options.data is None:
        return "left out: it needs pictures (--data DATA)", False
    began = time.perf_counter()
    status = subprocess.run(command(case, options), check=False).returncode
    seconds = f"{time.perf_counter() - began:.0f} s"
    kept = Lines(options.lines / f"{case.name}.jsonl", case.name, "").read(failed=True)
    failed = [line for line in kept if "error" in line]
    told = f"{len(kept) - len(failed)} lines, {seconds}"
    if failed:
        named = ", ".join(f"{line['method']} seed {line['seed']}" for line in failed)
        return f"{told}; {len(failed)} failed: {named}", True
    return (f"failed with exit status {status}; {told}", True) if status else (told, False)


def parsed(argv: list[str] | None = None) -> argparse.Namespace:
    """Options, with defaults that hang on one another filled in."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [case.name for case in CASES]
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one seed, results below runs/")
    parser.add_argument("--data", type=Path, default=os.environ.get("EQUIPOISE_DATA") or None)
    parser.add_argument("--cases", nargs="+", choices=names, default=names)
    parser.add_argument("--seeds", type=int, help="training seeds 0…n−1; 5, quick 1")
    parser.add_argument("--lines", type=Path, help="folder of the results; benchmarks/results")
    parser.add_argument("--page", type=Path, help="page to write; docs/benchmarks.md")
    parser.add_argument(
        "--labs-python", type=Path, default=ROOT / ".venv-labs/bin/python", help="Python that has TensorFlow"
    )
    parser.add_argument("--test-positives", type=Path, help="other test pictures, in place of the protocol's")
    parser.add_argument("--test-negatives", type=Path)
    options = parser.parse_args(argv)
    options.seeds = options.seeds or (1 if options.quick else 5)
    options.lines = options.lines or (QUICK / "lines" if options.quick else HERE / "results")
    options.page = options.page or (
        QUICK / "benchmarks.md" if options.quick else ROOT / "docs" / "benchmarks.md"
    )
    if options.labs_python is not None and not options.labs_python.exists():
        print(f"No Python at {options.labs_python}: the labs' TensorFlow programs are left out.", flush=True)
        options.labs_python = None
    if options.data is not None and not has_pictures(options.data):
        print(
            f"No pictures of the protocol in {options.data}: cases that need them are left out.", flush=True
        )
        options.data = None
    return options


def main(argv: list[str] | None = None) -> int:
    """Run the cases and render; 1 if something failed."""
    options = parsed(argv)
    began = time.perf_counter()
    told, broken = {}, False
    for case in CASES:
        if case.name in options.cases:
            print(f"== {case.name}", flush=True)
            told[case.name], failed = outcome(case, options)
            broken |= failed
    import render  # loads the cases, and with them what they need

    render.write(options.lines, options.page, render.README if options.page == render.PAGE else None)
    print(f"\n{time.perf_counter() - began:.0f} s in all")
    for name, text in told.items():
        print(f"  {name}: {text}")
    print(f"  page: {options.page}")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
