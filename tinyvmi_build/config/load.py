"""Layers of configuration, weakest first: default, user file, project file, environment, flag."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyvmi_build import files
from tinyvmi_build.config.locate import line_of
from tinyvmi_build.config.model import KEYS, Config
from tinyvmi_build.config.renamed import RENAMED
from tinyvmi_build.errors import UsageError, UsageErrors

FILE_NAME = "tinyvmi.toml"
ENV_PREFIX = "TINYVMI_"  # TINYVMI_MONITOR__PERIOD=2s: two underscores between table and key
_ERRORS_MAX = 20  # shown at once
_DEPTH_MAX = 8  # of tables; keys lie three deep
_KEY_LENGTH_MAX = 100  # of an unknown key that is compared with the known ones


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


def user_file(env: Mapping[str, str]) -> Path | None:
    """The user's own defaults for all projects; None for a user without a home folder."""
    base = env.get("XDG_CONFIG_HOME")
    try:
        return (Path(base) if base else Path.home() / ".config") / "tinyvmi" / "config.toml"
    except RuntimeError:
        return None


def load(
    project: Path | None = None,
    sets: Iterable[str] = (),
    env: Mapping[str, str] | None = None,
) -> Loaded:
    """The effective configuration.

    `project`: the file, or the folder with tinyvmi.toml in it (default: here).  `sets`: KEY=VALUE flags.
    `env` replaces the environment (an empty one also leaves the user file out).  Raises UsageError, or
    UsageErrors for several mistakes.
    """
    here = Path.cwd()
    path = project or here
    if os.path.isdir(path):  # False, not an error, for a path that cannot be
        path = path / FILE_NAME
    if not os.path.lexists(path):
        raise UsageError(
            f"{_short(path)}: no such file", hint="tinyvmi-build init --kernel PACKAGE writes a tinyvmi.toml"
        )
    environment = os.environ if env is None else env
    layers = _Layers()
    own = user_file(environment) if environment else None
    if own is not None and own.is_file():
        layers.add_file(own)
    layers.add_file(path)
    layers.add_environment(environment, here)
    layers.add_flags(sets, here)
    config, origins = layers.build()
    layers.require_none()
    layers.check_whole(config, origins, path)
    layers.require_none()
    return Loaded(config, origins, path.resolve().parent, path)


class _Layers:
    """The settings of all layers, and everything that is wrong with them."""

    def __init__(self) -> None:
        self._settings: dict[tuple[str, ...], Setting] = {}
        self._errors: list[UsageError] = []

    def require_none(self) -> None:
        """Raise the errors so far, if there are any."""
        if self._errors:
            raise self._errors[0] if len(self._errors) == 1 else UsageErrors(self._errors)

    def _error(self, message: str, hint: str) -> None:
        self._errors.append(UsageError(message, hint=hint))
        if len(self._errors) >= _ERRORS_MAX:
            self.require_none()

    def add_file(self, path: Path) -> None:
        text, data = _parsed(path)
        seen: dict[tuple[str, ...], tuple[str, ...]] = {}
        for given, value in _flatten(data):
            key = _find(given)
            where = f"{_short(path)}:{line_of(text, given) or 1}"
            if key is None:
                self._unknown(given, where)
            elif seen.setdefault(key, given) != given:
                self._error(f"{where}: '{_dotted(given)}' sets '{_dotted(seen[key])}' again", "keep one")
            else:
                self._settings[key] = Setting(value, where, path.resolve().parent)

    def add_environment(self, env: Mapping[str, str], base: Path) -> None:
        seen: set[tuple[str, ...]] = set()
        for name in sorted(env):
            if name.startswith(ENV_PREFIX) and "__" in name:
                given = tuple(name.removeprefix(ENV_PREFIX).lower().split("__"))
                if self._is_first(given, name, seen):
                    self._add_loose(given, env[name], name, name, base)

    def add_flags(self, sets: Iterable[str], base: Path) -> None:
        seen: set[tuple[str, ...]] = set()
        for item in sets:
            text, equals, value = item.partition("=")
            if not equals:
                self._error(f"--set {_cut(item)}: not KEY=VALUE", "e.g. --set monitor.period=2s")
                continue
            given = tuple(part.strip() for part in text.split("."))
            where = f"--set {_cut(text)}"
            if self._is_first(given, where, seen):
                self._add_loose(given, value.strip(), where, "--set", base)

    def _is_first(self, given: tuple[str, ...], where: str, seen: set[tuple[str, ...]]) -> bool:
        """Whether nothing of this layer has set that key before; an error if something has."""
        key = _find(given) or given
        if key not in seen:
            seen.add(key)
            return True
        self._error(f"{where}: '{_cut(_dotted(given))}' is set twice", "keep one")
        return False

    def _add_loose(self, given: tuple[str, ...], text: str, where: str, origin: str, base: Path) -> None:
        key = _find(given)
        if key is None:
            self._unknown(given, where)
            return
        try:
            self._settings[key] = Setting(_loose(text), origin, base)
        except RecursionError:
            self._error(f"{where}: the value is nested too deeply", "no key takes a list of lists")

    def _unknown(self, given: tuple[str, ...], where: str) -> None:
        """An error that names the key that is meant."""
        shown = _cut(_dotted(given))
        new = RENAMED.get(_plain(given))
        if new is not None:
            self._error(f"{where}: '{shown}' is now called '{new}'", f"write {new.rpartition('.')[2]}")
        elif given in {key[:-1] for key in KEYS}:
            self._error(f"{where}: '{shown}' is a table, not a value", f"write [{shown}] and keys below it")
        else:
            names = {_plain(key): _dotted(key) for key in KEYS}
            near = difflib.get_close_matches(_plain(given)[:_KEY_LENGTH_MAX], names, n=1, cutoff=0.5)
            hint = f"did you mean '{names[near[0]]}'?" if near else "tinyvmi-build config show lists all keys"
            self._error(f"{where}: unknown key '{shown}'", hint)

    def build(self) -> tuple[Config, dict[str, str]]:
        values: dict[tuple[str, ...], Any] = {}
        origins = {}
        for path, key in KEYS.items():
            setting = self._settings.get(path)
            origins[key.dotted] = setting.origin if setting else "default"
            if setting is None:
                continue
            try:
                values[path] = key.kind.parse(setting.value, setting.base)
            except ValueError as error:
                self._error(
                    f"{setting.origin}: '{key.dotted}' must be {error}, not {_shown(setting.value)}", key.doc
                )
        return Config().with_values(values), origins

    def check_whole(self, config: Config, origins: Mapping[str, str], path: Path) -> None:
        """What only shows when everything is put together."""
        if not config.checks_made:
            self._error(f"{_short(path)}: every check is off", "a monitor that checks nothing proves nothing")
        if config.kernel.packages and config.kernel.profile:
            self._error(f"{_short(path)}: both 'kernel.packages' and 'kernel.profile' are set", "keep one")
        if not config.kernel.packages and not config.kernel.profile:
            self._error(
                f"{_short(path)}: no kernel is named",
                'packages = ["linux-image-….deb"] under [kernel] names the kernels that the guest may run',
            )
        given = config.privilege
        if given.mode != "flask":
            for name in ("domain_info", "vcpu_context", "pause"):
                if getattr(given, name):
                    self._error(
                        f"{origins[f'privilege.{name}']}: 'privilege.{name}' needs FLASK mode",
                        'set privilege.mode = "flask", or leave it out: in target mode Xen refuses this',
                    )


def _parsed(path: Path) -> tuple[str, dict[str, Any]]:
    """The text of a TOML file, and what it says."""
    try:
        text = files.read_text(path, files.CONFIG)
        return text, tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"{_short(path)}: is nested too deeply", hint="tables are two levels deep") from None
    except ValueError as error:  # TOMLDecodeError, and what int() refuses
        raise UsageError(
            f"{_short(path)}: is not TOML: {_cut(str(error), 200)}",
            hint="lines of KEY = VALUE below [TABLE]; `tinyvmi-build init` writes an example",
        ) from error


def _loose(text: str) -> Any:
    """A value outside a file: TOML if it is that, else the bare text (so that 2s needs no quotes)."""
    try:
        parsed = tomllib.loads(f"v = {text}")
    except ValueError:
        return text
    return parsed["v"] if list(parsed) == ["v"] else text


def _flatten(data: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in data.items():
        here = (*path, name)
        deep = len(here) > _DEPTH_MAX
        if not isinstance(value, dict) or deep or here in KEYS and here[:-1] != ("checks",):
            yield here, value
            continue
        if here in KEYS:  # a check's own table switches it on
            yield here, True
        elif not value and not any(key[: len(here)] == here for key in KEYS):
            yield here, value
        yield from _flatten(value, here)


def _find(given: tuple[str, ...]) -> tuple[str, ...] | None:
    """The key that is meant: dashes and underscores are alike."""
    wanted = _plain(given)
    return next((key for key in KEYS if _plain(key) == wanted), None)


def _plain(path: tuple[str, ...]) -> str:
    return _dotted(path).replace("-", "_")


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(path)


def _cut(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _shown(value: Any) -> str:
    try:
        return _cut(repr(value))
    except ValueError:  # a whole number of more digits than Python writes
        return "a number of thousands of digits"


def _short(path: Path) -> str:
    """`path` from here, if it is below; else as it is."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
