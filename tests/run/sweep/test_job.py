"""Which runs are run: each once. The first in this process, on pictures that take a second; all others are copies."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from equipoise.errors import DataError, InputError
from equipoise.report import read_sweep
from equipoise.run import Engine, Reading, sweep, tuned
from equipoise.run.folder import holder
from equipoise.run.sweep.point import run_point
from equipoise.train import recipe

VARY = {"resampling.smoothing": [0.1, 0.001], "seed": [0, 1]}
TINY = [
    "width=4",
    "latent=4",
    "plain.epochs=1",
    "debiased.epochs=1",
    "plain.batch_size=16",
    "debiased.batch_size=16",
]


@pytest.fixture(scope="module")
def template():
    """The record of the first run, once there is one: the others are copies of it."""
    return []


@pytest.fixture
def begin(asked, pictures, tmp_path, tmp_path_factory, monkeypatch, template):
    """Starts the sweep; what was run, and what was said."""
    ran, said = [], []
    broken = set()

    def run_all(work, *, at_once, ended):
        failed = {}
        for name, settings in work.items():
            settings = json.loads(json.dumps(settings))
            ran.append(name)
            if "interrupted" in broken and len(ran) > 1:
                raise KeyboardInterrupt
            if any(word in name for word in broken):
                failed[name] = "The loss is not finite."
            elif template:
                folder = Path(settings["out"])
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(template[0], folder)
            else:
                run_point(settings)
                kept = shutil.copy(Path(settings["out"]) / "record.json", tmp_path_factory.mktemp("template"))
                template.append(kept)
            ended(name, failed.get(name))
        return failed

    monkeypatch.setitem(sweep.__globals__, "run_all", run_all)

    def start(vary=VARY, **changes):
        ran.clear()
        said.clear()
        options = {
            **pictures,
            "reading": Reading(image_size=32),
            "groups": ("skin",),
            "replicates": 100,
            "controls": False,
            "recipe": tuned(recipe("assignment-7"), TINY),
            "engine": Engine(device="cpu", progress=False),
            "out": tmp_path / "out",
            "tell": said.append,
        }
        return sweep(vary, **asked(**{**options, **changes}))

    start.ran, start.said, start.broken = ran, said, broken
    return start


@pytest.mark.slow
def test_a_finished_run_is_never_run_again(begin, tmp_path):
    first = begin()
    assert len(begin.ran) == 4
    assert [run.seed for run in first.runs] == [0, 1, 0, 1]
    assert [point.values["resampling.smoothing"] for point in first.points] == ["0.1", "0.001"]
    assert first.points[0].models["debiased"].worst_miss["skin"].n == 2
    assert first.rarest == {"skin": "dark"}
    assert set(first.runs[0].models) == {"plain", "debiased", "threshold-only"}
    for run in first.runs:
        assert (tmp_path / "out" / run.folder / "record.json").exists()

    assert repr(begin().runs) == repr(first.runs)
    assert begin.ran == []
    assert "holds this sweep already" in begin.said[-1]

    with pytest.raises(InputError, match=r"got others .*vary") as error:
        begin({"resampling.smoothing": [0.1, 0.01], "seed": [0, 1]})
    assert "Choose another `out`" in str(error.value)


def test_what_failed_is_told_and_alone_tried_again(begin, tmp_path):
    begin.broken.add("002-")
    record = begin()
    assert [run.error for run in record.runs] == [None, "The loss is not finite.", None, None]
    assert "resampling.smoothing=0.1, seed=1: failed: The loss is not finite." in " ".join(begin.said)
    assert (record.points[0].seeds, record.points[0].failed) == ([0], 1)
    assert len((tmp_path / "out" / "sweep.csv").read_text().splitlines()) == 5
    begin.broken.clear()
    record = begin()
    assert [name[:4] for name in begin.ran] == ["002-"]
    assert all(run.error is None for run in read_sweep(tmp_path / "out").runs)


def test_an_interrupted_sweep_goes_on(begin, tmp_path):
    begin.broken.add("interrupted")
    with pytest.raises(KeyboardInterrupt) as stopped:
        begin()
    assert "1 of 4 runs are finished" in stopped.value.__notes__[0]
    assert not (tmp_path / "out" / "sweep.json").exists()
    begin.broken.clear()
    with pytest.raises(InputError, match="Give `resume`"):
        begin()
    begin(resume=True)
    assert [name[:4] for name in begin.ran] == ["002-", "003-", "004-"]


def test_other_data_are_refused(begin, pictures, tmp_path):
    begin({"latent": [4]})
    record = json.loads(next((tmp_path / "out" / "points").glob("*/record.json")).read_text())
    record["data"]["fingerprint"]["train"] = "another"
    next((tmp_path / "out" / "points").glob("*/record.json")).write_text(json.dumps(record))
    with pytest.raises(InputError, match="the same sources hold other images now"):
        begin({"latent": [4]})


def test_a_table_and_no_jobs_are_refused(begin, pictures, scene):
    with pytest.raises(InputError, match="Expected paths as sources of a sweep"):
        begin(data=scene(), **dict.fromkeys(pictures))
    with pytest.raises(InputError, match="`jobs` must be 1 or more"):
        begin(jobs=0)
    assert begin.ran == []


HOLDS = """
import fcntl, os, sys
lock = os.open(sys.argv[1] + "/.lock", os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
os.write(lock, str(os.getpid()).encode())
print("ready", flush=True)
sys.stdin.read()
os.unlink(sys.argv[1] + "/.lock")
"""


@pytest.fixture
def works_on():
    """Starts a process that works in a folder, as one does that its killed sweep left behind."""
    left = []

    def start(folder):
        folder.mkdir(exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDS, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "ready\n"
        left.append(process)
        return process

    yield start
    for process in left:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_run_that_was_left_behind_is_not_started_twice_and_its_record_is_taken(
    begin, tmp_path, works_on, template
):
    begin.broken.add("002-")
    begin()
    begin.broken.clear()
    place = tmp_path / "out" / "points" / begin.ran[1]
    working = works_on(place)
    record = begin()
    assert begin.ran == []
    assert f"({working.pid}) still works on it" in record.runs[1].error
    assert [run.error is None for run in record.runs] == [True, False, True, True]
    assert "The same command takes its result" in " ".join(begin.said)
    working.communicate("")  # it ends ...
    shutil.copy(template[0], place)  # ... and has finished
    record = begin()
    assert begin.ran == []
    assert all(run.error is None for run in record.runs)
    assert "holds this sweep already" not in " ".join(begin.said)
    begin()
    assert "holds this sweep already" in begin.said[-1]


def test_a_run_left_behind_that_died_is_run_again(begin, tmp_path, works_on):
    begin.broken.add("002-")
    begin()
    begin.broken.clear()
    place = tmp_path / "out" / "points" / begin.ran[1]
    works_on(place).kill()
    deadline = time.monotonic() + 10
    while holder(place) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    (place / ".lock").write_text("12")
    record = begin()
    assert [name[:4] for name in begin.ran] == ["002-"]
    assert all(run.error is None for run in record.runs)
    assert not list((tmp_path / "out").rglob(".lock"))


def test_a_sweep_is_not_replaced_under_a_run_that_still_works(begin, tmp_path, works_on):
    begin()
    works_on(next((tmp_path / "out" / "points").glob("003-*")))
    with pytest.raises(DataError, match="Expected nobody to work"):
        begin(overwrite=True)
    assert (tmp_path / "out" / "sweep.json").exists()


def test_a_lock_beside_a_finished_run_goes(begin, tmp_path):
    begin()
    (next((tmp_path / "out" / "points").glob("003-*")) / ".lock").write_text("99999999")
    begin()
    assert begin.ran == []
    assert not list((tmp_path / "out").rglob(".lock"))


@pytest.mark.slow
def test_a_child_outlives_its_killed_sweep(pictures, tmp_path):
    flags = [f"--{name.replace('_', '-')}={path}" for name, path in pictures.items()]
    command = [
        sys.executable,
        "-m",
        "equipoise",
        "sweep",
        *flags,
        "--vary=seed=0,1",
        "--image-size=32",
        "--device=cpu",
    ]
    command += [
        "--batch-size=16",
        "--epochs=40",
        "--tune=width=4",
        "--replicates=100",
        f"--out={tmp_path / 'out'}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while (
        not list(tmp_path.glob("out/points/001-*/checkpoints/*/*.safetensors"))
        and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    process.kill()
    process.wait()
    first = next(tmp_path.glob("out/points/001-*"))
    assert holder(first) is not None
    assert subprocess.run([*command, "--resume"], capture_output=True, check=False).returncode in (0, 1)
    while holder(first) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (first / "record.json").exists()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert all(run.error is None for run in read_sweep(tmp_path / "out").runs)
