"""`python -m workbench.report.cost_page --data FOLDER` (part of `make calibrate`): docs/cost-accuracy.md and its pictures.

Everything on the page comes from the stored fits and the folder of measurements that they were made from: which rows a fit had not
seen, what it said of them, and how far that was off. Nothing is fitted here.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

from workbench.calibrate import store
from workbench.calibrate.rows import Tables
from workbench.report.cost_page_parts import claims, family_part, treatment, vela_part, weak_points, worst_rows
from workbench.report.plots.accuracy import accuracy_figure
from workbench.report.plots.style import drawing, png_bytes
from workbench.validate.cost import FamilyCheck, check_families
from workbench.validate.cost_vela import VelaLine, check_vela

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = "cost-accuracy.md"
HEAD = """# How far the cost model is off: predicted against measured

<!-- fits {digest} -->
Made by `make calibrate` from the stored fits (`workbench/calibrate/fitted/`) and the published measurements that they rest on.
**Every figure here is from a fit that had not seen the row**: fits are made again without some networks of a device (known device and
runtime, new network), without a network everywhere, and without whole devices (ten folds; devices one by one where there are at most
30), and only rows left out are compared. The fits had not seen the rows, the people who made the models had: structure, and the widths
of the priors, were chosen by these same cross-validations, so the figures are somewhat better than those of tables that nobody has
looked at; how much of them is the luck of the folds: [cost.md](cost.md#how-much-is-luck). Some boards stand in the tables under two
names (proxies of one chipset, chips of one family): leaving one of them out is easier than a board unlike all others.
How to read the lines: a *new network* is new on its device, other boards may have run it (*network measured nowhere*: no board has); a
*new device* is judged where its runtime family was measured on another part of its core class, the line below it says how far off it is
where that was not; a *layer* of a known device may have been measured with another version of its library. Measured values that
predictions use: the flash of the weights for the latency of the STM32N6 (what streams from outside; its RAM where that is outside) and
of support vector machines, latency for energy; nothing else.
Error = |predicted / measured - 1|; median and 90th percentile (p90) over rows. Inside = share of measured values in the stated 80 %
interval, which is made from the errors of *other* folds; 75 to 85 % are wanted. It
is judged from 30 rows on: all rows together strictly, those of one claim unless chance alone explains it (5 %, binomial).
How estimates are made: [cost.md](cost.md). The same comparison on any other folder: `workbench validate cost --data FOLDER`.
"""
AGAIN = """## Make it again

    make calibrate DATA=../shared/ground_truth                  # fits, cost sheets, this page; the same bytes from the same tables
    workbench validate cost --data ../shared/ground_truth       # the table of claims; --details, --csv FILE for every row

`validate cost` takes any folder with tables of these names and columns and never fits on it. A network that took part on the row's
device is predicted by the fits without it, whatever else the row says (another version of the runtime, another measurement); any other
row by the full fit, in the category that its device, runtime and network put it in. On such a folder the
limits for a new network are asked of networks measured nowhere as well, which is harder (see their lines above).
"""


def fits_digest(folder: Path = store.FOLDER) -> str:
    """Return a hash of all stored fits: what the page was made from."""
    found = hashlib.sha256()
    for path in sorted(folder.glob("*.json")):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def page(checks: Sequence[FamilyCheck], against_vela: Sequence[VelaLine], tables: Tables) -> str:
    """Return the text of the page."""
    parts = [
        HEAD.format(digest=fits_digest()),
        claims(checks),
        vela_part(against_vela),
        weak_points(checks),
        worst_rows(checks),
        treatment(checks, tables),
        *(family_part(check) for check in checks),
        AGAIN,
    ]
    return "\n".join(part for part in parts if part)


def pictures(checks: Sequence[FamilyCheck]) -> dict[str, bytes]:
    """Return PNG files by name, one per family with rows."""
    found = {}
    for check in checks:
        with drawing():
            figure = accuracy_figure(check, check.family.title)
            if figure is not None:
                found[f"cost-{check.family.name}.png"] = png_bytes(figure)
    return found


def write_page(data: Path, docs: Path = DOCS) -> Path:
    """Write the page and its pictures; pictures of families that are no more are removed. Returns the path of the page."""
    tables = Tables(data)
    checks = check_families(tables)
    text, images = page(checks, check_vela(data, None, None), tables), pictures(checks)
    for path in (docs / "images").glob("cost-*.png"):
        if path.name not in images:
            path.unlink()
    for name, content in images.items():
        (docs / "images" / name).write_bytes(content)
    (docs / PAGE).write_text(text, encoding="utf-8")
    return docs / PAGE


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m workbench.report.cost_page", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of tables of measurements")
    print(write_page(parser.parse_args().data))


if __name__ == "__main__":
    main()
