"""The labs' programs as peers: each runs in a process of its own, TensorFlow's in an environment of its own.

from labs import lab_run
lab_run("dbvae", "tensorflow", positives=…, negatives=…, test_positives=…, test_negatives=…, seed=0, work=…,
        python=Path(".venv-labs/bin/python"))
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

KINDS = {
    "cnn": ["--model", "cnn", "--epochs", "2"],
    "cnn-6": ["--model", "cnn", "--epochs", "6"],
    "dbvae": ["--model", "dbvae", "--epochs", "6"],
    "dbvae-uniform": ["--model", "dbvae", "--epochs", "6", "--uniform"],
}
TITLES = {
    "cnn": "standard CNN, 2 epochs",
    "cnn-6": "standard CNN, 6 epochs",
    "dbvae": "DB-VAE",
    "dbvae-uniform": "DB-VAE, uniform sampling",
}
PROGRAMS = {"tensorflow": "labs.tensorflow_lab", "torch": "labs.plain_torch"}
PYTHON = Path(__file__).parents[2] / ".venv-labs" / "bin" / "python"
"""The interpreter of the TensorFlow lab, where the Makefile puts it."""


class LabMissingError(RuntimeError):
    """There is no interpreter for a lab."""


def lab_run(
    kind: str,
    framework: str,
    positives: Path,
    negatives: Path,
    test_positives: Path,
    test_negatives: Path,
    seed: int,
    work: Path,
    python: Path = PYTHON,
    threads: int | None = None,
) -> dict[str, Any]:
    """Train a lab's model and score two test files; what is finished in `work` is not done again.

    Args:
        kind: One of `KINDS`.
        framework: "tensorflow" or "torch".
        python: The interpreter of the TensorFlow lab; the torch one takes that of this process.
        threads: As OMP_NUM_THREADS says, else all cores.

    Returns:
        positive_scores, negative_scores (logits, in the order of the files), seconds (of training, weights
        included, reading and scoring not), weighing_seconds, steps, peak_rss_bytes, threads, load_before, load_after.

    Raises:
        LabMissingError: if there is no such interpreter.
        RuntimeError: if the program fails; its last words are in the message.
    """
    run = work / f"{framework}-{kind}-seed{seed}-{digest(positives, negatives)}"
    scores = run / f"scores-{digest(test_positives, test_negatives)}.npz"
    if not (run / "train.json").exists():
        given = ["--positives", str(positives), "--negatives", str(negatives)]
        command = ["train", *KINDS[kind], "--seed", str(seed), *given, "--out", str(run)]
        run_program(framework, command, python, threads)
    if not scores.exists():
        given = ["--positives", str(test_positives), "--negatives", str(test_negatives)]
        run_program(framework, ["score", "--run", str(run), *given, "--out", str(scores)], python, threads)
    record = json.loads((run / "train.json").read_text())
    with np.load(scores, allow_pickle=False) as kept:
        return record | {name: kept[name] for name in kept.files}


def digest(*paths: Path) -> str:
    """Short name of the files' contents."""
    found = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()[:10]


def program_command(framework: str, python: Path = PYTHON, threads: int | None = None) -> list[str]:
    """How to start a lab's program.

    Raises:
        LabMissingError: if there is no such interpreter.
    """
    if framework == "tensorflow" and not python.exists():
        raise LabMissingError(
            f"The TensorFlow lab needs an environment of its own; got no interpreter at {python}. "
            "Make one: python -m venv .venv-labs && .venv-labs/bin/pip install -r benchmarks/labs/requirements.txt"
        )
    interpreter = str(python) if framework == "tensorflow" else sys.executable
    command = [interpreter, "-m", PROGRAMS[framework]]
    return command if threads is None else [*command, "--threads", str(threads)]


def program_environment(threads: int | None = None) -> dict[str, str]:
    """The environment of a lab's process: it finds this package, and nothing else of ours."""
    found = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    return found if threads is None else found | {"OMP_NUM_THREADS": str(threads)}


def run_program(framework: str, arguments: list[str], python: Path, threads: int | None) -> str:
    """Run a lab's program to its end; what it printed."""
    command = [*program_command(framework, python, threads), *arguments]
    done = subprocess.run(command, env=program_environment(threads), capture_output=True, text=True)
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise RuntimeError(f"{PROGRAMS[framework]} {arguments[0]} ended with {done.returncode}: {last}")
    return done.stdout
