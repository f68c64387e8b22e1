"""Layers of configuration, weakest first: default, user file, project file, environment, flag."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyvmi_build.config.locate import line_of
from tinyvmi_build.config.model import KEYS, Config
from tinyvmi_build.errors import UsageError

FILE_NAME = "tinyvmi.toml"
ENV_PREFIX = "TINYVMI_"  # TINYVMI_MONITOR__PERIOD=2s: two underscores between table and key


@dataclass(frozen=True)
class Setting:
    """One value as a layer gave it."""

    value: Any
    origin: str  # "default", "FILE:LINE", "TINYVMI_…", "--set"
    base: Path  # relative paths start here


@dataclass(frozen=True)
class Loaded:
    """A configuration, where it came from, and the folder that `build/` stands in."""

    config: Config
    origins: dict[str, str]  # dotted key → origin
    root: Path
    file: Path | None


def user_file(env: Mapping[str, str]) -> Path:
    """The user's own defaults for all projects."""
    return Path(env.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "tinyvmi" / "config.toml"


def load(
    project: Path | None = None,
    sets: Iterable[str] = (),
    env: Mapping[str, str] | None = None,
) -> Loaded:
    """The effective configuration.

    `project`: the file, or the folder with tinyvmi.toml in it (default: here).  `sets`: KEY=VALUE flags.
    `env` replaces the environment (an empty one also leaves the user file out).  Raises UsageError.
    """
    here = Path.cwd()
    path = project or here
    if path.is_dir():
        path = path / FILE_NAME
    if not path.is_file():
        raise UsageError(
            f"{_short(path)}: no such file", hint="tinyvmi-build init --kernel PACKAGE writes a tinyvmi.toml"
        )
    settings: dict[tuple[str, ...], Setting] = {}
    environment = os.environ if env is None else env
    own = user_file(environment) if environment else None
    if own is not None and own.is_file():
        settings.update(_file_layer(own))
    settings.update(_file_layer(path))
    settings.update(_env_layer(environment, here))
    settings.update(_flag_layer(sets, here))
    config, origins = _build(settings)
    _check_whole(config, path)
    return Loaded(config, origins, path.resolve().parent, path)


def _file_layer(path: Path) -> Iterator[tuple[tuple[str, ...], Setting]]:
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{_short(path)}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{_short(path)}: is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{_short(path)}: is not TOML: {error}") from error
    for key, value in _flatten(data):
        where = f"{_short(path)}:{line_of(text, key) or 1}"
        yield _known(key, where), Setting(value, where, path.resolve().parent)


def _env_layer(env: Mapping[str, str], base: Path) -> Iterator[tuple[tuple[str, ...], Setting]]:
    for name in sorted(env):
        if name.startswith(ENV_PREFIX) and "__" in name:
            path = tuple(name.removeprefix(ENV_PREFIX).lower().split("__"))
            yield _known(path, name), Setting(_loose(env[name]), name, base)


def _flag_layer(sets: Iterable[str], base: Path) -> Iterator[tuple[tuple[str, ...], Setting]]:
    for item in sets:
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--set {item}: not KEY=VALUE", hint="e.g. --set monitor.period=2s")
        path = tuple(part.strip() for part in key.split("."))
        yield _known(path, f"--set {key}"), Setting(_loose(value.strip()), "--set", base)


def _loose(text: str) -> Any:
    """A value outside a file: TOML if it is that, else the bare text (so that 2s needs no quotes)."""
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def _flatten(data: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in data.items():
        here = (*path, name)
        if not isinstance(value, dict) or here in KEYS and here[:-1] != ("checks",):
            yield here, value
            continue
        if here in KEYS:  # a check's own table switches it on
            yield here, True
        elif not value and not any(key[: len(here)] == here for key in KEYS):
            yield here, value
        yield from _flatten(value, here)


def _known(path: tuple[str, ...], where: str) -> tuple[str, ...]:
    """The key that is meant (dashes and underscores alike), or the error that names the nearest."""
    wanted = _plain(path)
    for key in KEYS:
        if _plain(key) == wanted:
            return key
    tables = {key[:-1] for key in KEYS}
    if path in tables:
        raise UsageError(f"{where}: '{'.'.join(path)}' is a table, not a value")
    names = {_plain(key): ".".join(key) for key in KEYS}
    near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.5)
    hint = f"did you mean '{names[near[0]]}'?" if near else "tinyvmi-build config show lists all keys"
    raise UsageError(f"{where}: unknown key '{'.'.join(path)}'", hint=hint)


def _plain(path: tuple[str, ...]) -> str:
    return ".".join(path).replace("-", "_")


def _build(settings: Mapping[tuple[str, ...], Setting]) -> tuple[Config, dict[str, str]]:
    values: dict[tuple[str, ...], Any] = {}
    origins = {}
    for path, key in KEYS.items():
        setting = settings.get(path)
        origins[key.dotted] = setting.origin if setting else "default"
        if setting is None:
            continue
        try:
            value = key.kind.parse(setting.value, setting.base)
        except ValueError as error:
            raise UsageError(
                f"{setting.origin}: '{key.dotted}' must be {error}, not {_shown(setting.value)}"
            ) from error
        values[path] = value
    return Config().with_values(values), origins


def _check_whole(config: Config, path: Path) -> None:
    """What only shows when everything is put together."""
    if not config.checks_made:
        raise UsageError(
            f"{_short(path)}: every check is off",
            hint="a monitor that checks nothing proves nothing",
        )
    if config.kernel.packages and config.kernel.profile:
        raise UsageError(
            f"{_short(path)}: both 'kernel.packages' and 'kernel.profile' are set", hint="keep one"
        )
    if not config.kernel.packages and not config.kernel.profile:
        raise UsageError(
            f"{_short(path)}: no kernel is named",
            hint='packages = ["linux-image-….deb"] under [kernel] names the kernels that the guest may run',
        )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _short(path: Path) -> str:
    """`path` from here, if it is below; else as it is."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
