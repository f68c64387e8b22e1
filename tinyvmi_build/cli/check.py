"""`tinyvmi-build check`: check a saved memory image."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyvmi_build.cli.options import PATH, Verb, project_options
from tinyvmi_build.progress import Progress
from tinyvmi_build.safe_text import safe

if TYPE_CHECKING:
    from tinyvmi_build.config.load import Loaded
    from tinyvmi_build.profile.profile import ProfileFile
    from tinyvmi_build.report.json_lines import JsonLines


@dataclass(frozen=True)
class Options:
    """What `check` was asked for."""

    dump: Path
    profile: Path | None
    image_format: str | None
    as_json: bool
    project: Path | None
    sets: tuple[str, ...]


@click.command("check", cls=Verb)
@click.option(
    "--dump",
    metavar="FILE",
    required=True,
    type=PATH,
    help="Memory image: raw, ELF (QEMU dump-guest-memory, xl dump-core), LiME, kdump-compressed.",
)
@click.option(
    "--profile",
    metavar="FILE",
    type=PATH,
    help="Known kernels (default: those of the configuration).",
)
@click.option(
    "--format",
    "image_format",
    type=click.Choice(["raw", "elf", "lime", "kdump"]),
    help="Of the image; default: by its content.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of text.")
@project_options
@click.pass_obj
def command(progress: Progress, /, **given: Any) -> int:
    """Check the kernel in a saved memory image, with the core that monitors running guests.

    Needs a profile, or a tinyvmi.toml that names kernels; with both, the file
    says what is checked and the profile against which kernels. The running kernel is
    recognised by its build-id. The checker is compiled at the first use of a profile (gcc), and cached.

    \b
    Examples:
      tinyvmi-build check --dump memory.raw --profile guest.profile
      xl dump-core guest guest.core && tinyvmi-build check --dump guest.core --profile guest.profile
      tinyvmi-build check --dump memory.lime -c web1/ --json | jq .
    """
    from tinyvmi_build.dump.banners import banners
    from tinyvmi_build.dump.checker import checker
    from tinyvmi_build.dump.recognise import opened_image
    from tinyvmi_build.dump.run import check_image
    from tinyvmi_build.explain.explainer import Explainer
    from tinyvmi_build.image.build import profiles_of
    from tinyvmi_build.profile.profile import ProfileFile
    from tinyvmi_build.records.collector import Collector
    from tinyvmi_build.records.events import Event, Received
    from tinyvmi_build.report.json_lines import JsonLines
    from tinyvmi_build.report.stamp import Stamp
    from tinyvmi_build.report.terminal import Terminal

    options = Options(**given)
    sets = options.sets
    with opened_image(options.dump, options.image_format) as image:
        if image.registers:
            sets = ("privilege.mode=flask", "privilege.vcpu_context=true", *sets)
        loaded = _loaded(options.project, sets, options.profile)
        profiles = (
            ProfileFile.load(options.profile) if options.profile else profiles_of(loaded.config, progress)
        )
        explainer = Explainer(profiles)

        class DumpTerminal(Terminal):
            """Without the hello record: there is no domain, and only one scan."""

            def events(self, events: Iterable[Event]) -> None:
                super().events(
                    e for e in events if not (isinstance(e, Received) and e.record.body["type"] == "hello")
                )

        lines = JsonLines(sys.stdout, explainer, stamp=Stamp(options.dump.name)) if options.as_json else None
        reporter = lines or DumpTerminal(sys.stdout, explainer)
        mib, pieces = image.frames * 4096 / 2**20, len(image.ranges)
        _report(
            lines,
            "dump",
            f"{options.dump}: {image.format}, {mib:,g} MiB in {pieces:,} range{'' if pieces == 1 else 's'}",
            file=str(options.dump),
            format=image.format,
            frames=image.frames,
            ranges=len(image.ranges),
        )
        collector: Collector = check_image(
            image, checker(loaded, profiles, progress), loaded.config.checks_made, reporter
        )
        reporter.close(collector)
        if collector.kernel is None and collector.lost_reason is None and not collector.errors:
            _report_unknown(lines, banners(image.path), profiles)
        return int(collector.exit_code())


def _loaded(project: Path | None, sets: tuple[str, ...], profile: Path | None) -> Loaded:
    """The configuration; without one, the defaults for `profile`."""
    from tinyvmi_build.config.load import FILE_NAME, load

    if project is not None or profile is None:
        return load(project, sets)
    with tempfile.TemporaryDirectory(prefix="tinyvmi-check.") as folder:
        file = Path(folder) / FILE_NAME
        file.write_text(f"[kernel]\nprofile = {json.dumps(str(profile.resolve()))}\n", encoding="utf-8")
        return load(file, sets)


def _report_unknown(json_lines: JsonLines | None, found: list[str], profiles: ProfileFile) -> None:
    """Why no kernel was found, from the banners in the image."""
    known = {kernel.banner: kernel.release for kernel in profiles.kernels}
    lines = []
    for banner in found:
        if banner in known:
            lines.append(
                f"the banner of {known[banner]}, which the profile knows, is there, but not all of its image:"
                " the dump is incomplete, or its build-id or page tables were changed"
            )
        else:
            lines.append(f"a kernel that is in no profile: {banner}")
    if not found:
        lines.append("no Linux banner is in it: is this the memory of a Linux guest?")
    elif not any(banner in known for banner in found):
        lines.append(f"the profile knows {', '.join(known.values())}: add the package's kernel to it")
    _report(json_lines, "no-kernel", "\n".join(map(safe, lines)), banners=found, known=list(known.values()))


def _report(json_lines: JsonLines | None, event: str, text: str, **fields: object) -> None:
    if json_lines is not None:
        json_lines.write(event, **fields)
    else:
        click.echo(text)
        sys.stdout.flush()
