"""What makes two runs the same. This place decides, and nothing else, what resumes, is shown again or is refused.

A run is what it was asked to do (its settings: sources, reading, recipe, engine, seed), the content of what it was
given (data by fingerprint; networks, models and other things that were brought, by digest), and the version that did
it. How fast or where it ran is no part of it.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from equipoise.data import ImageTable
from equipoise.errors import DataError, InputError
from equipoise.files import read_bytes, read_text, read_toml, regular

__all__ = [
    "Identity",
    "Setting",
    "check_data",
    "earlier_identity",
    "fingerprints",
    "model_digest",
    "settings_text",
]

Setting = str | int | float | bool | Sequence[str] | None

SETTINGS = "settings.toml"
TABLE = "identity"
VERSION = 1
FREE = ("device", "workers", "cache", "cache_limit", "tensorboard", "expect_accuracy")
"""Settings that may differ between a run and its continuation: they do not change what is computed."""
MODEL = ("model.safetensors", "config.json", "density.safetensors")
RECORDS = ("record.json", "audit.json", "find.json", "fix.json", "augment.json")


def _versions() -> dict[str, str]:
    """What the numbers of training depend on; a patch of torch does not change them."""
    return {"equipoise": version("equipoise"), "torch": ".".join(version("torch").split(".")[:2])}


@dataclass(frozen=True)
class Identity:
    """What a run is.

    Args:
        settings: The resolved settings of its command, as they can be given again; None means "not given".
        brought: Name → digest of what was brought: encoder, embedding, model, generator. None: an earlier version of
            equipoise wrote the run, and did not note it.
        data: Part → fingerprint of its content; None as long as it is not read, or was not noted.
        versions: Of the program that runs it.
    """

    settings: Mapping[str, Setting]
    brought: Mapping[str, str] | None = field(default_factory=dict)
    data: Mapping[str, str] | None = None
    versions: Mapping[str, str] = field(default_factory=_versions)

    def of(self, data: Mapping[str, str], brought: Mapping[str, str] | None = None) -> Identity:
        """The same with the content of its data, and more that was brought, once both are known."""
        return replace(self, data=dict(data), brought={**(self.brought or {}), **(brought or {})})

    def text(self) -> str:
        """As TOML: the settings, and below them a table that --config passes over."""
        lines = [f"\n[{TABLE}]", f"version = {VERSION}"]
        lines += [f"{name} = {_toml_value(value)}" for name, value in self.versions.items()]
        for table, values in (("brought", self.brought), ("data", self.data)):
            if values:
                lines += [
                    f"\n[{TABLE}.{table}]",
                    *(f"{json.dumps(k)} = {_toml_value(v)}" for k, v in values.items()),
                ]
        return settings_text(self.settings) + "\n".join(lines) + "\n"

    def differences(self, earlier: Identity, *, finished: bool) -> list[str]:
        """In what this run is another than an earlier one, data aside; empty for the same run.

        What a finished run was made with stands in its record. An unfinished one is continued only by the version that
        began it: the numbers of two versions must not be mixed.
        """
        now = tomllib.loads(settings_text(self.settings))
        found = _different({k: v for k, v in earlier.settings.items() if k not in FREE}, _without(now, FREE))
        brought = self.brought or {}
        if earlier.brought is None:
            found += [
                f"{name}: not noted by {_named(earlier)}, {digest[:8]} now"
                for name, digest in brought.items()
            ]
        else:
            known = {k: v[:8] for k, v in earlier.brought.items()}
            found += _different(known, {k: v[:8] for k, v in brought.items()}, both=self.data is None)
        if not finished and earlier.versions:
            found += _different(earlier.versions, self.versions)
        return found


def fingerprints(tables: Mapping[str, ImageTable]) -> dict[str, str]:
    """Part → fingerprint of its content; parts without images are left out."""
    return {name: table.fingerprint for name, table in tables.items() if len(table)}


def _without(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in names}


def _different(there: Mapping[str, Any], now: Mapping[str, Any], *, both: bool = False) -> list[str]:
    """Both: look only at keys that both have, as more may follow."""
    shown = [
        repr(values[key]) if key in values else "not given"
        for key in {**there, **now}
        for values in (there, now)
    ]
    return [
        f"{key}: {shown[2 * place]} there, {shown[2 * place + 1]} now"
        for place, key in enumerate({**there, **now})
        if there.get(key) != now.get(key) and not (both and (key not in there or key not in now))
    ]


def _named(earlier: Identity) -> str:
    made = earlier.versions.get("equipoise")
    return f"equipoise {made}, which wrote it" if made else "the earlier version of equipoise that wrote it"


def check_data(
    there: Mapping[str, str] | None, now: Mapping[str, str], folder: Path, *, finished: bool
) -> None:
    """Whether a run's data are what they were; where an earlier version did not note them, checkpoints did.

    Raises:
        InputError: if they are not.
    """
    if there is not None and dict(there) != dict(now):
        parts = [part for part in {**there, **now} if there.get(part) != now.get(part)]
        raise InputError(
            f"Expected the data of the {'finished' if finished else 'unfinished'} run in {folder}; the same sources "
            f"hold other images now ({', '.join(parts)}). Choose another `out`, or give `overwrite` to run it again."
        )


def earlier_identity(folder: Path) -> Identity | None:
    """The identity of the run in a folder; None if no run is there.

    Raises:
        DataError: if it cannot be read.
    """
    path = folder / SETTINGS
    if not os.path.lexists(path):
        return None
    advice = "It is damaged: give `overwrite` to start again, or choose another `out`."
    found = read_toml(path, "the settings of an earlier run", advice)
    noted = found.pop(TABLE, None)
    if noted is None:
        return Identity(found, None, *_recorded(folder))
    if not isinstance(noted, dict) or noted.get("version") != VERSION:
        got = noted.get("version") if isinstance(noted, dict) else noted
        raise DataError(
            f"Expected a run of identity version {VERSION} in {path}; got {got!r}. Continue it with the version of "
            "equipoise that wrote it, choose another `out`, or give `overwrite`."
        )
    made = {name: str(noted[name]) for name in _versions() if name in noted}
    return Identity(found, _texts(noted.get("brought")), _texts(noted.get("data")) or None, made)


def _texts(found: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _recorded(folder: Path) -> tuple[dict[str, str] | None, dict[str, str]]:
    """Data and version of a run that an earlier version wrote, as far as its record says."""
    for name in RECORDS:
        try:
            record = json.loads(read_text(folder / name))
            return _texts(record["data"]["fingerprint"]), {"equipoise": str(record["versions"]["equipoise"])}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
    return None, {}


def model_digest(folder: str | os.PathLike[str]) -> str:
    """Digest of a saved model: its weights, what they are of, and its density if it has one.

    Of what the files hold, not of their bytes: safetensors writes a header in any order.
    """
    from equipoise.nn import digest_of  # late: runs without a network load no torch

    return digest_of([_content(Path(folder) / name) for name in MODEL])


def _content(path: Path) -> Any:
    try:
        if path.suffix == ".json":
            return read_bytes(path)
        with safe_open(regular(path), framework="pt") as file:
            names = sorted(file.keys())
            return [sorted((file.metadata() or {}).items()), names, [file.get_tensor(name) for name in names]]
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError) as error:
        return str(error)  # whoever loads the model says what is wrong with it


def settings_text(settings: Mapping[str, Setting]) -> str:
    """Settings as TOML; what is None or an empty list is left out.

    Example:
        >>> print(settings_text({"recipe": "mit-2021", "groups": ("race",), "epochs": None}), end="")
        recipe = "mit-2021"
        groups = ["race"]
    """
    lines = [
        f"{key} = {_toml_value(value)}"
        for key, value in settings.items()
        if value is not None and value != ()
    ]
    return "\n".join(lines) + "\n"


def _toml_value(value: Setting) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Sequence):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    return json.dumps(value)
