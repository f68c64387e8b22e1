"""`tinyvmi-build profile`: make and show profiles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyvmi_build import json_output
from tinyvmi_build.cli.options import PATH, VerbGroup, strict_option
from tinyvmi_build.progress import Progress

if TYPE_CHECKING:
    from tinyvmi_build.profile.profile import KernelProfile, ProfileFile


@click.group("profile", cls=VerbGroup)
def command() -> None:
    """Turn kernel packages into profiles, and show what they hold.

    A profile holds the facts and golden values of one or more kernels, computed
    from their packages: symbols, types, relocations, digests.
    """


@dataclass(frozen=True)
class BuildOptions:
    """What `profile build` was asked for."""

    kernels: tuple[Path, ...]
    output: Path
    include: tuple[str, ...]
    modules: tuple[Path, ...]
    no_modules: bool
    strict: bool
    as_json: bool


@command.command("build")
@click.argument("kernels", metavar="KERNEL…", nargs=-1, required=True, type=PATH)
@click.option("-o", "--output", metavar="FILE", required=True, type=PATH, help="Profile to write.")
@click.option(
    "--include",
    metavar="PATTERN",
    multiple=True,
    help="Modules to make tables of (default: @common, what guests usually load; '*' for all).",
)
@click.option(
    "--modules",
    metavar="PATH",
    multiple=True,
    type=PATH,
    help="More modules: a .ko, a package, or a folder of such; all of them are taken.",
)
@click.option("--no-modules", is_flag=True, help="The kernel alone.")
@strict_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document about the profile.")
@click.pass_obj
def build(progress: Progress, /, **given: Any) -> None:
    """Build one profile from each KERNEL: a .deb, a vmlinuz, a vmlinux, or a folder with one of them.

    Modules are taken from the package or folder of the kernel, and from packages that have modules alone.

    \b
    Examples:
      apt-get download linux-image-6.1.0-56-cloud-amd64
      tinyvmi-build profile build linux-image-6.1.0-56-cloud-amd64_*.deb -o guest.profile
      tinyvmi-build profile build /boot/vmlinuz-* -o all.profile
      tinyvmi-build profile build linux-binary-7*.deb linux-modules-7*.deb -o guest.profile
      tinyvmi-build profile build linux-image-6*.deb --modules dkms/ -o guest.profile
    """
    from tinyvmi_build.files import require_writable
    from tinyvmi_build.kernel.modules import Wanted
    from tinyvmi_build.profile.build import build as build_profiles
    from tinyvmi_build.profile.coverage import report_coverage

    options = BuildOptions(**given)
    require_writable(options.output)
    include = _patterns(options.include) or ("@common",)
    wanted = None if options.no_modules else Wanted(include, options.modules)
    profiles = build_profiles(options.kernels, progress, wanted)
    covered = report_coverage(profiles.kernels, progress, None, options.strict)
    profiles.save(options.output)
    if options.as_json:
        document = {"file": str(options.output), "kernels": covered}
        click.echo(json_output.document("profile-build", document))
        return
    for kernel in profiles.kernels:
        click.echo(f"{kernel.build_id}  {kernel.release}")


def _patterns(include: tuple[str, ...]) -> tuple[str, ...]:
    """The values of --include, read as checks.modules.include is."""
    from tinyvmi_build.checks import registry
    from tinyvmi_build.errors import UsageError

    reader = registry.module_reader()
    if not include or reader is None:
        return ()
    try:
        return reader.patterns(list(include))
    except ValueError as error:
        raise UsageError(f"--include: must be {error}", hint="e.g. --include ext4 --include 'nf_*'") from None


@command.command("show")
@click.argument("file", metavar="FILE", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--symbol", metavar="NAME|ADDRESS", help="Show one symbol, or what is at an address.")
def show(file: Path, as_json: bool, symbol: str | None) -> None:
    """Show what the profile FILE holds.

    \b
    Examples:
      tinyvmi-build profile show guest.profile
      tinyvmi-build profile show guest.profile --symbol sys_call_table
      tinyvmi-build profile show guest.profile --symbol 0xffffffff81000040
      tinyvmi-build profile show guest.profile --json | jq '.kernels[].release'
    """
    from tinyvmi_build.profile.profile import ProfileFile

    profiles = ProfileFile.load(file)
    if symbol:
        _show_symbol(profiles, symbol, as_json)
    elif as_json:
        kernels = [_document(k) for k in profiles.kernels]
        click.echo(json_output.document("profile", {"kernels": kernels}))
    else:
        click.echo("\n".join(line for k in profiles.kernels for line in _table(k)))


@command.command("import")
@click.argument("kernel", metavar="KERNEL", type=PATH)
@click.option("-o", "--output", metavar="FILE", required=True, type=PATH, help="Profile to write.")
@click.option("--symbols", metavar="FILE", type=PATH, help="System.map, or a symbol table (ISF).")
@click.option(
    "--types",
    metavar="FILE",
    type=PATH,
    help="vmlinux with DWARF or BTF, or a symbol table (ISF).",
)
def import_(kernel: Path, output: Path, symbols: Path | None, types: Path | None) -> None:
    """Build a profile of a KERNEL that has no kallsyms or no BTF, with these from other files.

    The values to compare with still come from KERNEL itself; the other files say
    only where things are. They must be of the very same build.

    \b
    Examples:
      tinyvmi-build profile import vmlinuz --types vmlinux.debug -o guest.profile
      tinyvmi-build profile import vmlinuz --symbols System.map --types guest.json.xz -o guest.profile
    """
    from tinyvmi_build.errors import UsageError
    from tinyvmi_build.files import require_writable
    from tinyvmi_build.profile.isf_import import import_kernel
    from tinyvmi_build.profile.profile import ProfileFile

    if symbols is None and types is None:
        raise UsageError("nothing to import: give --symbols or --types", hint="else `profile build` does it")
    require_writable(output)
    profile = import_kernel(kernel, symbols, types)
    ProfileFile([profile]).save(output)
    click.echo(f"{profile.build_id}  {profile.release}")


@command.command("export")
@click.argument("file", metavar="FILE", type=PATH)
@click.option(
    "--isf",
    metavar="OUT",
    required=True,
    type=PATH,
    help="Volatility 3 symbol table to write; compressed if it ends in .xz.",
)
@click.option("--kernel", metavar="RELEASE|BUILD-ID", help="Which kernel, if the profile holds several.")
def export(file: Path, isf: Path, kernel: str | None) -> None:
    """Write a kernel of the profile FILE as a symbol table for Volatility 3.

    Volatility finds it by the kernel's banner in any folder given with -s.

    \b
    Examples:
      tinyvmi-build profile export guest.profile --isf symbols/guest.json.xz
      vol -s symbols/ -f memory.raw linux.pslist
    """
    from tinyvmi_build.files import require_writable
    from tinyvmi_build.profile.isf import save_isf
    from tinyvmi_build.profile.profile import ProfileFile

    require_writable(isf)
    chosen = _chosen(ProfileFile.load(file), kernel)
    size = save_isf(chosen, isf)
    click.echo(f"{isf}  {size / 2**20:.1f} MiB, {chosen.release}")


def _chosen(profiles: ProfileFile, kernel: str | None) -> KernelProfile:
    """The kernel that is meant, by release or build-id."""
    from tinyvmi_build.errors import UsageError

    if kernel is None and len(profiles.kernels) > 1:
        known = ", ".join(k.release for k in profiles.kernels)
        raise UsageError(f"{profiles.where}: holds several kernels: {known}", hint="--kernel says which")
    if kernel is None:
        return profiles.kernels[0]
    if any(k.build_id == kernel for k in profiles.kernels):
        return profiles.by_build_id(kernel)
    return profiles.by_release(kernel)


def _document(kernel: KernelProfile) -> dict[str, object]:
    return {
        "build_id": kernel.build_id,
        "release": kernel.release,
        "banner": kernel.banner,
        "source": kernel.source,
        "compression": kernel.compression,
        "text_va": f"{kernel.text_va:#018x}",
        "physical_start": f"{kernel.physical_start:#x}",
        "image_size": kernel.image_size,
        "build_id_va": f"{kernel.build_id_va:#018x}",
        "counts": kernel.counts,
        "sections": [
            {"name": s.name, "addr": f"{s.addr:#018x}", "size": s.size, "sha256": s.sha256}
            for s in kernel.sections
        ],
        "golden": {check: kernel.stored_golden(check) for check in kernel.checks},
        "blobs": {name: kernel.packed[f"blob/{name}"].size for name in kernel.blobs},
    }


def _table(kernel: KernelProfile) -> list[str]:
    from tinyvmi_build.checks import registry

    counts = kernel.counts
    relocs = counts["relocs64"] + counts["relocs32"] + counts["inverse32"]
    lines = [
        f"release      {kernel.release}",
        f"banner       {kernel.banner}",
        f"build-id     {kernel.build_id}",
        f"package      {kernel.source} ({kernel.compression})",
        f"image        {kernel.text_va:#018x}, {kernel.image_size:,} bytes, at {kernel.physical_start:#x}",
        f"symbols      {counts['symbols']:,}",
        f"relocations  {relocs:,} ({counts['relocs64']:,} 64-bit, {counts['relocs32']:,} 32-bit, "
        f"{counts['inverse32']:,} inverse 32-bit)",
        f"BTF types    {counts['btf_types']:,}",
        *(line for check in registry.checks() for line in check.listing(kernel)),
        "",
        f"{'section':<24} {'address':<18} {'bytes':>12}  SHA-256",
    ]
    for s in kernel.sections:
        lines.append(f"{s.name:<24} {s.addr:#018x} {s.size:>12,}  {s.sha256 or '(zero)'}")
    lines += ["", f"{'golden':<24} {'bytes':>12}  values"]
    for name in kernel.checks:
        value = kernel.stored_golden(name)
        lines.append(f"{name:<24} {kernel.golden_size(name):>12,}  {_summary(value)}")
    return [*lines, ""]


def _summary(stored: dict[str, object]) -> str:
    """What a check's golden values consist of, in one line."""
    values = stored.get("values")
    if not isinstance(values, dict):
        return f"unsupported: {stored.get('unsupported', '')}"
    return ", ".join(f"{key} [{len(v)}]" if isinstance(v, list | dict) else key for key, v in values.items())


def _show_symbol(profiles: ProfileFile, wanted: str, as_json: bool) -> None:
    from tinyvmi_build.errors import UsageError

    found = []
    for kernel in profiles.kernels:
        if wanted[:2].lower() == "0x":
            try:
                address = int(wanted, 16)
            except ValueError:
                raise UsageError(f"'{wanted}' is no address", hint="write it as 0xffffffff81000000") from None
            near = kernel.symbols.nearest(address)
            found += [(kernel, near[0], near[1], address, "")] if near else []
        else:
            found += [(kernel, s.name, 0, s.address, s.type) for s in kernel.symbols.all(wanted)]
    if not found:
        known = ", ".join(k.release for k in profiles.kernels)
        raise UsageError(f"{profiles.where}: nothing is called or lies at '{wanted}' (in {known})")
    if as_json:
        rows = [
            {
                "release": k.release,
                "symbol": name,
                "offset": offset,
                "address": f"{address:#018x}",
                "type": kind or None,
            }
            for k, name, offset, address, kind in found
        ]
        click.echo(json_output.document("symbols", {"symbols": rows}))
        return
    for kernel, name, offset, address, kind in found:
        place = f"{name}+{offset:#x}" if offset else name
        click.echo(f"{address:#018x} {kind or '-'} {place}  ({kernel.release})")
