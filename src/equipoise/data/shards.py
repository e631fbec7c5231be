"""Shards as webdataset has them: tar archives whose members of one key are a sample (`key.jpg`, `key.cls`, `key.json`).

The key is the name up to the first point of its last part. Nothing is unpacked to disk, and links are never followed.

Source: webdataset, The WebDataset format, https://github.com/webdataset/webdataset
"""

from __future__ import annotations

import functools
import glob
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from equipoise.data.below import check_below
from equipoise.data.json_lines import json_row
from equipoise.data.places import Pieces
from equipoise.data.side import side_folder
from equipoise.data.source import Source, is_picture, printable, without
from equipoise.data.table import Rejected
from equipoise.data.tar_members import Member, members
from equipoise.errors import DataError, InputError
from equipoise.pictures.decode import MAX_BYTES, Content

__all__ = ["is_pattern", "is_shard_folder", "shards"]

LABEL = "label"
TEXTS = {"cls": LABEL, "txt": "txt", "text": "txt", "caption": "txt"}
MOST_TEXT = 1 << 20  # bytes of a label, a text or an object
MOST_SHARDS = 100_000
BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")


class _Picture(NamedTuple):
    shard: Path
    start: int
    size: int


def is_pattern(path: Path) -> bool:
    """Whether a path that is not there stands for several shards: with `*`, `?`, `[…]` or `{…}`."""
    return not path.exists() and path.suffix.lower() == ".tar" and any(mark in str(path) for mark in "*?[{")


def is_shard_folder(path: Path) -> bool:
    """Whether a folder holds shards, and neither pictures nor folders: an archive may lie beside what it holds."""
    entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    others = any(entry.is_dir() or is_picture(entry.name) for entry in entries)
    return not others and any(entry.suffix.lower() == ".tar" for entry in entries)


def shards(path: Path, *, allow_outside: bool = False) -> Source:
    """All samples of a shard, of those in a folder, or of those that a pattern names, in the order of their names.

    `key.cls` is the label, `key.txt` the column `txt`, and the entries of `key.json` are columns, all as text; of an
    object's `label` the same holds as of `key.cls`. Of several shards each row also says which, in `file`, and where
    all their names begin with the sides of a split (`train-000001`), which side, in `split`.

    Args:
        path: A .tar, a folder of them, or a pattern: `*`, `?`, `[…]`, `{000..009}` and `{a,b}`.
        allow_outside: Shards of a folder may be links out of it.

    Raises:
        InputError: if a pattern is too wide.
        DataError: if a shard is missing, no tar archive or damaged, or a sample says two things.
    """
    files = _files(path, allow_outside)
    rows: list[dict[str, str | None]] = []
    pictures: list[_Picture] = []
    rejected: list[Rejected] = []
    left_out: Counter[str] = Counter()
    sides = [side_folder(file.stem) for file in files]
    for file, side in zip(files, sides, strict=True):
        more = {"file": file.stem} if len(files) > 1 else {}
        more |= {"split": side} if side and len(files) > 1 and None not in sides else {}
        for key, picture, columns in _samples(file, left_out):
            name = f"{file.name}/{key}"
            if picture is None:
                rejected.append(Rejected(printable(name), "the sample has no picture"))
            else:
                pictures.append(_Picture(file, picture.start, picture.size))
                rows.append({**more, **columns, "": name})
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name]
    table = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    return Source(
        "shards",
        [row[""] or "" for row in rows],
        functools.partial(_contents, pictures),
        without(pa.table(table)),
        files,
        label=LABEL if LABEL in names else None,
        rejected=tuple(rejected),
        notes=_notes(left_out),
        places=functools.partial(_places, files, pictures),
        encoded=True,
    )


def _notes(left_out: Counter[str]) -> tuple[str, ...]:
    listed = ", ".join(f"{count:,} {printable(kind)}" for kind, count in sorted(left_out.items())[:10])
    return (f"Members of shards that were left out: {listed}",) if left_out else ()


def _files(path: Path, allow_outside: bool) -> list[Path]:
    if path.is_dir():
        files = sorted(entry for entry in path.iterdir() if entry.suffix.lower() == ".tar")
        if not allow_outside:
            check_below(files, path)
    elif path.exists():
        files = [path]
    else:
        files = [
            Path(found)
            for name in _expanded(str(path))
            for found in (sorted(glob.glob(name)) if glob.has_magic(name) else [name])
        ]
    missing = next((file for file in files if not file.exists()), None)
    if not files or missing is not None:
        raise DataError(
            f"Expected shards (.tar) at {path}; got no file {missing or 'there'}. Check the path."
        )
    return files


def _expanded(pattern: str) -> list[str]:
    """What braces stand for: ranges of numbers, and lists."""
    done: list[str] = []
    todo = [pattern]
    while todo:
        name = todo.pop(0)
        found = BRACES.search(name)
        if found is None:
            done.append(name)
            continue
        between = RANGE.fullmatch(found[1])
        if between is None:
            inner = found[1].split(",")
        else:
            first, last = int(between[1]), int(between[2])
            if last - first >= MOST_SHARDS:
                raise InputError(
                    f"Expected at most {MOST_SHARDS:,} shards; got {found[0]}. Check the pattern."
                )
            width = len(between[1]) if between[1].startswith("0") else 0
            inner = [f"{number:0{width}}" for number in range(first, last + 1)]
        todo[:0] = [f"{name[: found.start()]}{part}{name[found.end() :]}" for part in inner]
        if len(done) + len(todo) > MOST_SHARDS:
            raise InputError(f"Expected at most {MOST_SHARDS:,} shards; got {pattern}. Check the pattern.")
    return done


def _samples(
    file: Path, left_out: Counter[str]
) -> Iterator[tuple[str, Member | None, dict[str, str | None]]]:
    """Key, picture and columns of each run of members with one key."""
    key: str | None = None
    picture: Member | None = None
    columns: dict[str, str | None] = {}
    seen: set[str] = set()
    with open(file, "rb") as opened:
        for member in members(file, left_out):
            folder, name = os.path.split(member.name)
            stem, point, ending = name.partition(".")
            ending = ending.lower()
            if not point or not stem:  # no part of a sample
                left_out[f"{ending or 'without an ending'}"] += 1
                continue
            if os.path.join(folder, stem) != key:
                if key is not None and (seen or picture):
                    yield key, picture, columns
                key, picture, columns, seen = os.path.join(folder, stem), None, {}, set()
            if ending in seen:
                raise DataError(
                    f"Expected one {ending} of sample {key!r} in {file}; got two. Write the shard again."
                )
            kind = ending.rpartition(".")[2]
            if is_picture(f"x.{kind}"):
                if picture is not None:
                    raise DataError(
                        f"Expected one picture of sample {key!r} in {file}; got two, as {ending} and another. Write "
                        "the pictures as samples of their own."
                    )
                picture = member
            elif ending in TEXTS or ending == "json":
                _add(columns, _columns(opened, member, ending, file), str(key), file)
            else:
                left_out[f".{ending}"] += 1
                continue
            seen.add(ending)
    if key is not None and (seen or picture):
        yield key, picture, columns


def _columns(opened: BinaryIO, member: Member, ending: str, file: Path) -> dict[str, str | None]:
    if member.size > MOST_TEXT:
        raise DataError(
            f"Expected at most {MOST_TEXT:,} bytes in {member.name!r} of {file}; got {member.size:,}. Leave it out."
        )
    opened.seek(member.start)
    try:
        text = opened.read(member.size).decode()
        if "\0" in text:
            raise ValueError("a null character")
        return json_row(text) if ending == "json" else {TEXTS[ending]: text.strip() or None}
    except (ValueError, RecursionError) as error:
        what = "a JSON object" if ending == "json" else "text in UTF-8"
        raise DataError(f"Expected {what} in {member.name!r} of {file}; got: {error}. Correct it.") from error


def _add(columns: dict[str, str | None], more: dict[str, str | None], key: str, file: Path) -> None:
    for name, value in more.items():
        if name in columns and columns[name] != value:
            raise DataError(
                f"Expected one thing said of sample {key!r} in {file}; got {name} = {columns[name]} and {value}. "
                "Correct one of them."
            )
        if name:
            columns[name] = value


def _contents(pictures: Sequence[_Picture]) -> Iterator[Content]:
    for shard, some in itertools.groupby(pictures, lambda picture: picture.shard):
        with open(shard, "rb") as file:
            for picture in some:
                file.seek(picture.start)
                yield file.read(min(picture.size, MAX_BYTES + 1))  # more is refused by its length


def _places(files: Sequence[Path], pictures: Sequence[_Picture]) -> Pieces:
    number = {file: place for place, file in enumerate(files)}
    return Pieces(files, ((number[shard], start, size) for shard, start, size in pictures))
