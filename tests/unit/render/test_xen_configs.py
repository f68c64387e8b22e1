"""The examples in xen-configs/ are what the tool writes; `pytest --bless` writes them."""

from pathlib import Path

from tinyvmi_build.config.model import Config
from tinyvmi_build.render.plan import domain_items, rendered

EXAMPLES = Path(__file__).parents[3] / "xen-configs"


def test_examples_are_what_render_writes(request):
    files = {n: t for n, t in rendered(domain_items(Config())).items() if n.endswith((".cfg", ".te"))}
    if request.config.getoption("--bless"):
        for name, text in files.items():
            (EXAMPLES / name).write_text(text)
    assert {p.name: p.read_text() for p in EXAMPLES.glob("tinyvmi-guest.*")} == files
