"""Files of an inspection: all are made before the first one is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from workbench.errors import InputError
from workbench.files import write_bytes, write_text
from workbench.inspection.inspect import Inspection
from workbench.inspection.overlays import model_explorer_data, netron_attachment
from workbench.inspection.picture import graph_svg
from workbench.inspection.tables import layers_csv

VIEWS: Mapping[str, Callable[[Inspection, str], str]] = {
    "svg": graph_svg,
    "csv": lambda inspection, column: layers_csv(inspection),
    "netron": lambda inspection, column: netron_attachment(inspection),
    "model-explorer": model_explorer_data,
}


def write_views(inspection: Inspection, paths: Mapping[str, Path], column: str) -> None:
    """Write views by kind (a key of VIEWS). column: colours the picture and is the node data."""
    texts = [(path, VIEWS[kind](inspection, column)) for kind, path in paths.items()]
    for path, text in texts:
        write_text(path, text)


def write_plots(inspection: Inspection, folder: Path) -> list[Path]:
    """Write the plots of every target whose cost is known, `<target>-<plot>.png`; return the paths."""
    # matplotlib is heavy, and nothing else here needs it
    from workbench.report.plots import arena_figure, breakdown_figure, drawing, png_bytes, roofline_figure
    from workbench.report.text import file_names

    targets = [target for target in inspection.targets if target.cost is not None]
    files: dict[Path, bytes] = {}
    for target, name in zip(targets, file_names(t.profile.name for t in targets), strict=True):
        assert target.cost is not None
        layers = [row.layer for row in target.cost.layers]
        with drawing():
            figures = {
                "breakdown": breakdown_figure(target.cost, target.profile.name, target.tried),
                "roofline": roofline_figure(target.cost, target.profile, target.tried),
                "arena": None if target.arena is None else arena_figure(target.arena, layers, target.profile.name),
            }
            files |= {
                folder / f"{name}-{kind}.png": png_bytes(figure) for kind, figure in figures.items() if figure is not None
            }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(f"{folder}: cannot be made: {problem.strerror}. Give another folder.") from None
    for path, content in files.items():
        write_bytes(path, content)
    return list(files)
