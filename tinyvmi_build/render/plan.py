"""What is rendered for a configuration: the one list of templates, outputs and contexts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyvmi_build.checks import registry
from tinyvmi_build.config.kinds import BUILT_IN
from tinyvmi_build.config.model import Config
from tinyvmi_build.paths import data_dir
from tinyvmi_build.render.descriptor import NOTE_OWNER, NOTE_TYPE, canonical, descriptor, image_id
from tinyvmi_build.render.digest import digest_sources
from tinyvmi_build.render.env import environment, render
from tinyvmi_build.render.tables import kernel_context, tables

if TYPE_CHECKING:
    from tinyvmi_build.profile.profile import KernelProfile


#: In place of a template: a list for meson, one of the context's `lines` a line.
PLAIN = ""


@dataclass(frozen=True)
class Item:
    """One file: a template (below templates/), where it goes (below the build folder), and its values."""

    template: str
    output: str
    context: Mapping[str, object]


def plan(config: Config, profiles: Any, toolchain: Mapping[str, str]) -> list[Item]:
    """The files of a build of `config` by `toolchain` for the kernels in `profiles` (a ProfileFile)."""
    return [
        *domain_items(config),
        *identity_items(config, [k.build_id for k in profiles.kernels], toolchain),
        *check_items(config),
        *kernel_items(config, profiles.kernels),
        *minios_items(config),
    ]


def domain_items(config: Config) -> list[Item]:
    """The domain of the monitor, for xl and for FLASK."""
    return [
        Item(
            "xl/monitor.cfg.j2",
            f"{artifact(config)}.cfg",
            {"config": config, "image": f"{artifact(config)}.gz", "seclabel": seclabel(config)},
        ),
        Item("flask/monitor.te.j2", f"{artifact(config)}.te", flask_context(config)),
    ]


def identity_items(config: Config, build_ids: Sequence[str], toolchain: Mapping[str, str]) -> list[Item]:
    """The configuration in the image, and the image's description of itself."""
    description = descriptor(config, build_ids, toolchain)
    return [
        Item(
            "c/config.c.j2",
            "generated/config.c",
            {"config": config, "image_id": image_id(description)}
            | {k: description[k] for k in ("base", "base_rev")},
        ),
        Item(
            "c/note.c.j2",
            "generated/note.c",
            {"owner": NOTE_OWNER, "type": NOTE_TYPE, "descriptor": canonical(description)},
        ),
    ]


def minios_items(config: Config) -> list[Item]:
    """What a tree of the Xen Project's is configured with."""
    if config.minios.tree == BUILT_IN:
        return []
    return [Item("minios/config.mk.j2", "generated/minios.mk", {})]


def flask_types(config: Config) -> dict[str, str]:
    """Names of the FLASK types of the monitor and of its target."""
    stem = artifact(config).replace("-", "_")
    return {"monitor": f"{stem}_t", "target": f"{stem}_target_t"}


def seclabel(config: Config, who: str = "monitor") -> str:
    """The FLASK label of the `monitor` or of its `target`; "" for the monitor of target mode."""
    if who == "monitor" and config.privilege.mode != "flask":
        return ""
    return f"system_u:system_r:{flask_types(config)[who]}"


def flask_context(config: Config) -> dict[str, object]:
    """Values of the policy module: what the monitor may do to its target, by class."""
    given = config.privilege
    domain = {
        "getdomaininfo": given.domain_info or given.vcpu_context,
        "getvcpucontext": given.vcpu_context,
        "pause": given.pause,
        "unpause": given.pause,
    }
    grants = {
        "mmu": ["map_read", *(["stat"] if given.domain_info else [])],
        "domain": [permission for permission, granted in domain.items() if granted],
        "hvm": ["gethvmc"] if given.vcpu_context else [],
    }
    return {**flask_types(config), "grants": grants, "module": artifact(config), "privilege": given}


def check_items(config: Config) -> list[Item]:
    """What depends on the choice of checks alone."""
    kinds = registry.finding_kinds()
    return [
        Item("c/checks.h.j2", "generated/tinyvmi_checks.h", {"known": registry.names(), "kinds": kinds}),
        Item("c/checks.c.j2", "generated/checks.c", {"checks": config.checks_made, "kinds": kinds}),
        *(
            Item(template, f"generated/{check.identifier}_config.c", {"settings": config.checks.of(settings)})
            for check in registry.checks()
            if (settings := check.settings) and (template := registry.template(check, "config.c.j2"))
        ),
        Item(
            PLAIN,
            "generated/digest_sources.txt",
            {"lines": _digest_sources(config)},
        ),
    ]


def _digest_sources(config: Config) -> list[str]:
    # Nothing shows that a tree's handlers leave vector registers alone (docs/design/digests.md).
    return digest_sources(config.golden.hash, vectors=config.minios.tree == BUILT_IN)


def kernel_items(config: Config, kernels: Sequence[KernelProfile]) -> list[Item]:
    """The golden values: one file for all kernels, and one a kernel and check that has a table."""
    context = {"kernels": [kernel_context(index, kernel) for index, kernel in enumerate(kernels)]}
    items = [
        Item("c/profiles.c.j2", "generated/profiles.c", context),
    ]
    for index, kernel in enumerate(kernels):
        for name, template, values in tables(config, kernel):
            items.append(Item(template, f"generated/{name}_{index}.c", {"index": index, **values}))
    return items


def check_sources() -> list[str]:
    """The C files of all checks, relative to minios_app/: checks/NAME.c, or those in checks/NAME."""
    core = data_dir("minios_app")
    found: list[Path] = []
    for check in registry.checks():
        single = core / "checks" / f"{check.identifier}.c"
        found += [single] if single.exists() else sorted((core / "checks" / check.identifier).glob("*.c"))
    return [path.relative_to(core).as_posix() for path in found]


def artifact(config: Config) -> str:
    """The name of the image and of the monitor's domain, `tinyvmi-NAME`."""
    return f"tinyvmi-{config.monitor.name}"


def _plain(item: Item) -> str:
    lines = item.context["lines"]
    assert isinstance(lines, list | tuple)
    return "".join(f"{line}\n" for line in lines)


def rendered(items: Sequence[Item]) -> dict[str, str]:
    """Path below the build folder → text; with generated/sources.txt, the C files for meson."""
    env = environment(data_dir("templates"))
    files = {
        item.output: _plain(item)
        if item.template == PLAIN
        else render(env, item.template, item.output, item.context)
        for item in items
    }
    assert len(files) == len(items), "two items have one output"
    sources = sorted(name.removeprefix("generated/") for name in files if name.endswith(".c"))
    files["generated/check_sources.txt"] = "".join(f"{name}\n" for name in check_sources())
    files["generated/sources.txt"] = "".join(f"{name}\n" for name in sources)
    return files
