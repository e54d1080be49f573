"""Files of an inspection: all are made before the first one is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from workbench.files import write_text
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
