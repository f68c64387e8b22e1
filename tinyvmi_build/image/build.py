"""A build: profiles, rendered files, compilation, build folder (docs/reference/files.md)."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build import json_output
from tinyvmi_build.config.load import Loaded
from tinyvmi_build.config.model import Config
from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.image.inspect import inspect
from tinyvmi_build.image.meson import Compiled, compile_target
from tinyvmi_build.image.tool import run_tool
from tinyvmi_build.image.toolchain import describe_toolchain, require_toolchain, require_xen_libraries
from tinyvmi_build.image.tree import build_on_tree
from tinyvmi_build.minios.source import source
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.progress import Progress
from tinyvmi_build.render.descriptor import image_id
from tinyvmi_build.render.plan import artifact, plan, rendered
from tinyvmi_build.render.tree import Change, write, write_tree

ELF_TARGET = "kernel/tinyvmi.elf"
LIMIT_TARGET = "kernel/limit.elf"
CHECKER_TARGET = "tinyvmi-check"
DOM0_TARGET = "tinyvmi-dom0"


@dataclass(frozen=True)
class BuildResult:
    """A finished build.  `objects`: how many C files were compiled; `changes`: what happened to each file."""

    folder: Path
    elf: Path
    image: Path  # stripped, gzipped
    xl_config: Path
    profile: Path
    manifest: Path
    image_id: str
    changes: list[Change]
    objects: int


def build_folder(loaded: Loaded) -> Path:
    """`build/NAME` beside the project's file."""
    return loaded.root / "build" / loaded.config.monitor.name


def profiles_of(config: Config, progress: Progress) -> ProfileFile:
    """The profiles that the configuration names: loaded, or built from the packages."""
    if config.kernel.profile is not None:
        return ProfileFile.load(config.kernel.profile)
    from tinyvmi_build.profile.build import build, wanted_modules

    return build(config.kernel.packages, progress, wanted_modules(config))


def render_monitor(loaded: Loaded, profiles: ProfileFile, folder: Path | None = None) -> list[Change]:
    """Write the rendered files into the build folder; what changed."""
    items = plan(loaded.config, profiles, describe_toolchain())
    return write_tree(folder or build_folder(loaded), rendered(items))


def build_monitor(
    loaded: Loaded,
    progress: Progress | None = None,
    folder: Path | None = None,
    profiles: ProfileFile | None = None,
) -> BuildResult:
    """Build the monitor of a configuration; `folder` and `profiles` replace the usual ones."""
    progress = progress or Progress()
    config = loaded.config
    folder = (folder or build_folder(loaded)).resolve()
    require_toolchain()
    profiles = profiles or profiles_of(config, progress)
    with progress.step("render"):
        changes = render_monitor(loaded, profiles, folder)
        progress.note(summary(changes))
    with progress.step("compile for Xen"):
        compiled = _compiled(config, folder, profiles)
        progress.note(f"{compiled.objects} C files compiled" if compiled.objects else "nothing to compile")
    name = artifact(config)
    paths = {suffix: folder / f"{name}.{suffix}" for suffix in ("elf", "gz", "cfg", "profile", "json")}
    outputs = {paths["elf"]: compiled.path.read_bytes(), paths["gz"]: _packed(compiled.path)}
    note = inspect(compiled.path).tinyvmi
    if note is None:
        raise MissingEnvironmentError(
            f"{compiled.path} has no TinyVMI note", hint="the linker script must keep .note.TinyVMI"
        )
    outputs[paths["profile"]] = _saved(profiles, folder)
    outputs[paths["json"]] = manifest(config, profiles, note)
    changes += [Change(path.name, write(path, data)) for path, data in outputs.items()]
    return BuildResult(
        folder=folder,
        elf=paths["elf"],
        image=paths["gz"],
        xl_config=paths["cfg"],
        profile=paths["profile"],
        manifest=paths["json"],
        image_id=image_id(note),
        changes=changes,
        objects=compiled.objects,
    )


def _compiled(config: Config, folder: Path, profiles: ProfileFile) -> Compiled:
    tree = source(config.minios.tree)
    if tree is None:
        return _compile(ELF_TARGET, folder, profiles)
    return build_on_tree(tree, folder, build_ids(profiles))


def _compile(target: str, folder: Path, profiles: ProfileFile, cross: bool = True) -> Compiled:
    return compile_target(
        target,
        folder=folder / ("meson" if cross else "meson-host"),
        generated=folder / "generated",
        cross=cross,
        kernels=build_ids(profiles),
    )


def build_host_checker(
    loaded: Loaded,
    progress: Progress | None = None,
    folder: Path | None = None,
    profiles: ProfileFile | None = None,
    target: str = CHECKER_TARGET,
) -> Path:
    """Build `tinyvmi-check`, the same checks over a raw memory file, for this machine; its path.

    With DOM0_TARGET `tinyvmi-dom0`, the same checks as a process of dom0, statically linked.
    """
    progress = progress or Progress()
    folder = (folder or build_folder(loaded)).resolve()
    require_toolchain()
    if target == DOM0_TARGET:
        require_xen_libraries()
    profiles = profiles or profiles_of(loaded.config, progress)
    render_monitor(loaded, profiles, folder)
    with progress.step("compile for dom0" if target == DOM0_TARGET else "compile for this machine"):
        return _compile(target, folder, profiles, cross=False).path


def build_limit(loaded: Loaded, profiles: ProfileFile, progress: Progress, folder: Path) -> Path:
    """Build the image that shows what a domain can reach at best (minios_app/bench/), an ELF in `folder`."""
    require_toolchain()
    render_monitor(loaded, profiles, folder)
    with progress.step("compile the image to compare with"):
        return _compile(LIMIT_TARGET, folder, profiles).path


def build_ids(profiles: ProfileFile) -> list[str]:
    """The build-ids of the kernels."""
    return [kernel.build_id for kernel in profiles.kernels]


def manifest(config: Config, profiles: ProfileFile, note: dict[str, object]) -> bytes:
    """What `launch` reads: how to start the image, and what is in its `note`."""
    name = artifact(config)
    value: dict[str, object] = {
        "name": config.monitor.name,
        "domain": name,
        "target": config.target.domain,
        "image_id": image_id(note),
        "base": note["base"],
        "base_rev": note["base_rev"],
        "image": f"{name}.gz",
        "config": f"{name}.cfg",
        "profile": f"{name}.profile",
        "privilege": config.privilege.mode,
        "period_ms": config.monitor.period,
        "jitter_pct": config.monitor.jitter,
        "heartbeat_ms": config.monitor.heartbeat,
        "poll_ms": config.monitor.poll,
        "time_budget_us": config.monitor.time_budget,
        "comparison": config.golden.comparison,
        "checks": list(config.checks_made),
        "kernels": [{"build_id": k.build_id, "release": k.release} for k in profiles.kernels],
    }
    return (json_output.document("manifest", value) + "\n").encode()


def summary(changes: list[Change]) -> str:
    """One line: how many files were created, updated, removed, left."""
    counts = {
        what: sum(c.what == what for c in changes) for what in ("created", "updated", "removed", "unchanged")
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def _packed(elf: Path) -> bytes:
    """The stripped image, gzipped without time or name, as `gzip -n` does."""
    stripped = elf.with_suffix(".stripped")
    run_tool(["strip", "--strip-all", "-o", str(stripped), str(elf)], "the image cannot be stripped")
    data = bytearray(gzip.compress(stripped.read_bytes(), 9, mtime=0))
    data[9] = 3  # the operating system (RFC 1952): versions of Python differ in what they write
    return bytes(data)


def _saved(profiles: ProfileFile, folder: Path) -> bytes:
    path = folder / "meson" / "profile"
    profiles.save(path)
    return path.read_bytes()
