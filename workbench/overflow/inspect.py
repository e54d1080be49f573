"""`workbench inspect --overflow`: model, targets, plan and data in; tables and tiles out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from workbench.cost import check_operators, support
from workbench.errors import InputError
from workbench.execute import Program, Values, prepare
from workbench.files import find_inputs, write_npz
from workbench.graph.ir import Array, Graph
from workbench.hardware import HardwareProfile, load_profile
from workbench.loaders import load_model
from workbench.overflow.analyse import LayerReport, analyse
from workbench.overflow.observe import BATCH, observe
from workbench.overflow.tables import overflow_tables
from workbench.progress import Reporter
from workbench.quantize import Lowering, PlanFile, calibrate, plan_of


def inspect_overflow(
    model: Path,
    profiles: Sequence[str],
    plan: str | None,
    data: Path | None,
    inputs: str | None,
    tiles: Path | None,
    reporter: Reporter,
) -> tuple[list[Table | str], bool]:
    """Return the tables of every profile, and whether all of them support the model.

    data: inputs that are observed; of a float model whose plan brings no scales also what they are calibrated on. tiles: an NPZ that
    gets every tile that overflows.
    """
    if not profiles:
        raise InputError("--overflow needs a target: give --profile, which may be repeated.")
    graph = load_model(model)
    feed = None if data is None else find_inputs(graph, data, inputs)
    file = None if plan is None else plan_of(plan)
    tables: list[Table | str] = []
    kept: dict[str, Array] = {}
    ok = True
    for name in profiles:
        profile = load_profile(name)
        check_operators(profile, name)
        made = _program(graph, profile, file, feed)
        if isinstance(made, str):
            tables.append(made)
            ok = False
            continue
        reports = analyse(made)
        seen = None
        if feed is not None:
            with reporter.phase(f"{profile.name}: sums on data") as tick:
                seen = observe(made, reports, feed, tick, graph.fixed_batch or BATCH)
        tables += overflow_tables(f"{model.name} on {profile.name}", reports, seen)
        kept.update(_tiles(profile.name, reports))
    if tiles is not None:
        write_npz(tiles, kept)
    return tables, ok


def _program(graph: Graph, profile: HardwareProfile, file: PlanFile | None, feed: Values | None) -> Program | str:
    """Return the program, or why the target does not run it."""
    if file is None:
        if not graph.is_quantized:
            raise InputError(f"model '{graph.name}' is a float model: say with --plan in which format (such as w8a8) it runs.")
        ready, lowering = graph, None
    else:
        seen = None if feed is None or graph.is_quantized or file.scales else calibrate(graph, feed, True)
        lowering = Lowering(graph, profile, seen, file.options, file.scales)
        ready = lowering.quantized(file.plan)
    problems = support(ready, profile)
    if problems:
        return f"\n{profile.name}: {len(problems)} operators are not supported, such as:\n  {problems[0]}"
    return prepare(graph, profile) if lowering is None or file is None else lowering.program(file.plan)


def _tiles(profile: str, reports: Sequence[LayerReport]) -> Mapping[str, Array]:
    """Return the tiles by profile, layer, output channel and operand."""
    return {
        f"{profile}/{r.name}/channel{r.witness.channel}" + (f"/{i}" if i else ""): tile
        for r in reports
        if r.witness is not None
        for i, tile in enumerate(r.witness.tiles)
    }
