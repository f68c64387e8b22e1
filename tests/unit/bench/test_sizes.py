"""What counts as code to be trusted is named by folders, which may move."""

from tinyvmi_build.bench import sizes
from tinyvmi_build.paths import data_dir

#: Not in an image: the tests' and measurements' own programs, other platforms, what meson needs for a tree.
ELSEWHERE = {"bench", "platform", "tree"}


def test_every_folder_of_the_monitor_is_counted() -> None:
    app = data_dir("minios_app")
    counted = (*sizes._KERNEL, *sizes._CORE)
    assert all(sizes._sources(app / name) for name in counted)
    folders = {path.name for path in app.iterdir() if path.is_dir()}
    assert folders == {name for name in counted if "/" not in name} | ELSEWHERE
