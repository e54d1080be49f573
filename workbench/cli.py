"""The command line: arguments in, tables out, no logic. Imports are inside the commands, so that `--help` is quick."""

from __future__ import annotations

import atexit
import gc
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from workbench.errors import EXIT_BAD_INPUT, EXIT_CHECK_FAILED, EXIT_DOES_NOT_FIT, EXIT_OK, InputError, WorkbenchError

EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="workbench",
    help="Choose a precision for every layer of a network before it is deployed: run it bit for bit as the target would, "
    "measure what each layer loses, estimate flash, RAM, latency and energy, and pick a verified mixed-precision plan.\n\n"
    "Exit codes: 0 done; 1 a check failed; 2 bad input (one message says what and where); 3 no configuration fits; "
    "130 interrupted (only `run` keeps what is finished).",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
validate_app = typer.Typer(
    help="Re-check our claims on anyone's files. Prints a table; exit 1 when something differs.", no_args_is_help=True
)
app.add_typer(validate_app, name="validate")

Model = Annotated[Path, typer.Argument(help="A .tflite or .onnx file.", show_default=False)]
ProfileName = Annotated[
    str, typer.Option("--profile", "-p", help="Name of a profile (see `workbench profiles`) or path of a YAML.")
]
Dimensions = Annotated[
    list[str] | None,
    typer.Option("--dim", help="NAME=SIZE or INPUT:NUMBER=SIZE: an open dimension of an ONNX file. May be repeated."),
]
SignatureName = Annotated[
    str | None, typer.Option("--signature", help="Which network of a TFLite file (default: serving_default, else the first).")
]
DATA_HELP = "an .npz, .npy or .csv, a folder of arrays or pictures, or a YAML that says more (docs/data.md)"
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Worker threads (default: all cores). The results do not depend on it.")
]


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="A study YAML, or the name of a shipped one (quickstart).", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of reports.")] = Path("reports"),
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Run a study and write its report. Sensitivities, frontier, certificate and choice stand in OUT/<study>/<time>/.

    Interrupted (Ctrl-C), it keeps what is finished: the same command goes on from there, whatever the kind of its sweep.
    """
    try:
        from workbench.progress import make_reporter
        from workbench.study import run_study

        done = run_study(study, out, threads=threads, reporter=make_reporter(quiet))
    except KeyboardInterrupt:
        _interrupted("finished results are kept, the same command goes on from there")
    for target in done.result.targets:
        print(target.verdict)
        if target.message:
            print("  " + target.message.replace("\n", "\n  "))
        if target.certificate is not None:
            print("  Certificate: " + target.certificate.text)
    if done.result.joint is not None:
        print(done.result.joint.text)
    for comparison in done.result.comparisons:
        print(comparison.verdict)
    print(f"\nReport: {done.folder / 'report.html'}")
    print(f"Check it again: workbench verify {done.folder}")
    if not done.result.fits:
        raise typer.Exit(EXIT_DOES_NOT_FIT)


@app.command()
def verify(
    run: Annotated[Path, typer.Argument(help="Folder of a run (or its certificate.json).", show_default=False)],
    share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Of the draws of a sampling certificate: evaluate so many again.")
    ] = 1.0,
    plans: Annotated[
        int, typer.Option(min=0, help="Of a table of all plans: evaluate so many drawn anew, and its frontier.")
    ] = 64,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Derive a run's verdict and certificate again. From model, data and profiles alone; exit 1 when something differs."""
    from workbench.progress import make_reporter
    from workbench.verify_run import verify_run, verify_table

    checks = verify_run(run, share=share, plans=plans, threads=threads, reporter=make_reporter(quiet))
    _show(verify_table(checks))
    if not all(check.ok for _, check in checks):
        raise typer.Exit(EXIT_CHECK_FAILED)


@app.command()
def inspect(
    model: Model,
    profile: Annotated[
        list[str] | None, typer.Option("--profile", "-p", help="A target: what it supports, fits, costs. May be repeated.")
    ] = None,
    plan: Annotated[str | None, typer.Option(help="A format (w8a8) or a plan YAML, for a float model.")] = None,
    overflow: Annotated[
        bool,
        typer.Option(
            "--overflow", help="Per layer: a proof that its accumulator cannot overflow, or an input tile that makes it."
        ),
    ] = False,
    data: Annotated[Path | None, typer.Option(help=f"With --overflow: {DATA_HELP}; what its inputs do.")] = None,
    inputs: Annotated[
        str | None, typer.Option(help="Array of an NPZ, columns of a CSV (default: what fits the model).")
    ] = None,
    tiles: Annotated[Path | None, typer.Option(help="With --overflow: NPZ to write the tiles to.")] = None,
    dim: Dimensions = None,
    signature: SignatureName = None,
    svg: Annotated[Path | None, typer.Option(help="Write a picture of the graph.")] = None,
    colour: Annotated[
        str | None,
        typer.Option(
            help="What colours it (default: operator): macs, parameters, format; of a profile runs, latency, energy, flash, ram."
        ),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the layers as CSV.")] = None,
    netron: Annotated[Path | None, typer.Option(help="Write a JSON to drop on the model opened in Netron.")] = None,
    model_explorer: Annotated[
        Path | None, typer.Option(help="Write the colour's column as node data for Model Explorer.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Folder to write per target: time per layer, roofline, buffers in RAM (PNG).")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Show a model: operators, shapes, formats. With --profile also support, memory and cost per layer; exit 3 if it does not fit."""
    written: list[Path] = []
    pictures = {"svg": svg, "csv": csv, "netron": netron, "model-explorer": model_explorer}
    if colour is not None and svg is None and model_explorer is None:
        raise InputError("--colour belongs to --svg or --model-explorer; give one of them too.")
    if overflow:
        if dim or signature:
            raise InputError("--dim and --signature do not go with --overflow.")
        if any(pictures.values()) or plots is not None:
            raise InputError("--svg, --csv, --netron, --model-explorer and --plots do not go with --overflow.")
        from workbench.overflow.inspect import inspect_overflow
        from workbench.progress import make_reporter

        tables, fits = inspect_overflow(model, profile or [], plan, data, inputs, tiles, make_reporter(quiet))
    elif data or inputs or tiles:
        raise InputError("--data, --inputs and --tiles belong to --overflow; give it too.")
    else:
        from workbench.inspection import inspect_model, inspection_tables, write_plots, write_views

        inspection = inspect_model(model, profile or [], plan, _dimensions(dim), signature)
        tables, fits = inspection_tables(inspection), inspection.ok
        written += write_plots(inspection, plots) if plots is not None else []
        write_views(inspection, {kind: path for kind, path in pictures.items() if path is not None}, colour or "operator")
    for table in tables:
        _show(table)
    for path in (*pictures.values(), *written):
        if path is not None:
            print(f"Written: {path}")
    if not fits:
        raise typer.Exit(EXIT_DOES_NOT_FIT)


@app.command()
def estimate(
    model: Model,
    profile: Annotated[list[str], typer.Option("--profile", "-p", help="A target. May be repeated.", show_default=False)],
    format: Annotated[
        list[str] | None,
        typer.Option(
            "--format", "-f", help="A format for all layers (w8a8, w4a8, fp16, ...). May be repeated. Default: the file's own."
        ),
    ] = None,
    dim: Dimensions = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table as CSV, with intervals and bases of all numbers.")] = None,
) -> None:
    """Estimate flash, RAM, latency and energy. Of a model on targets, in formats, with 80 % intervals; no data needed."""
    from workbench.cost_table import cost_lines, estimate_costs
    from workbench.files import write_text

    table = estimate_costs(model, profile, format or (), dims=_dimensions(dim))
    _show(cost_lines(table))
    if csv is not None:
        write_text(csv, table.to_csv(index=False))
        print(f"Written: {csv}")
    if not table["supported"].any():
        raise typer.Exit(EXIT_DOES_NOT_FIT)


@app.command()
def battery(
    model: Model,
    profile: ProfileName,
    capacity: Annotated[str, typer.Option(help="Charge of the battery: 220mAh.", show_default=False)],
    voltage: Annotated[str, typer.Option(help="Its mean voltage; the board's too without a regulator.")] = "3V",
    rate: Annotated[str | None, typer.Option(help="Inferences: 6/h, 10/min, 2/day; 0/h: asleep for good.")] = None,
    every: Annotated[str | None, typer.Option(help="Time from one to the next instead: 32ms (a stream).")] = None,
    clock: Annotated[list[str] | None, typer.Option(help="A clock: 60MHz. May be repeated (default: the profile's).")] = None,
    sleep: Annotated[
        str,
        typer.Option(
            help="Mode between inferences: one of the profile's, 'idle' or 'clock running' (default: the deepest; in a stream of less "
            "than 1 s from one inference to the next, 'clock running')."
        ),
    ] = "",
    wake: Annotated[str | None, typer.Option(help="Wake-up time, at active power: 5ms (default: the profile's).")] = None,
    wake_energy: Annotated[str | None, typer.Option(help="Energy of waking beyond that: 20uJ.")] = None,
    self_discharge: Annotated[str, typer.Option(help="Share of its charge that the battery loses in a year.")] = "1%",
    efficiency: Annotated[
        str, typer.Option(help="Of a regulator between battery and board (then at its profile's supply).")
    ] = "100%",
    plan: Annotated[str | None, typer.Option(help="A format (w8a8) or a plan YAML, for a float model.")] = None,
    dim: Dimensions = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table as CSV.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the table as JSON.")] = None,
) -> None:
    """Estimate how long a battery lasts. Mean power by part, at one or several clocks, and where the energy of an inference goes."""
    from workbench.battery_table import battery_lines, battery_table
    from workbench.files import write_text

    texts = {
        "capacity": capacity, "voltage": voltage, "rate": rate, "every": every, "wake": wake, "wake_energy": wake_energy,
        "self_discharge": self_discharge, "efficiency": efficiency,
    }  # fmt: skip
    table, parts = battery_table(model, profile, texts, clock or (), sleep, plan, _dimensions(dim))
    for lines in battery_lines(table, parts):
        _show(lines)
    for path, text in ((csv, table.to_csv(index=False)), (json, table.to_json(orient="records", indent=2))):
        if path is not None:
            write_text(path, text)
            print(f"Written: {path}")
    if not table["keeps_up"].any():
        raise typer.Exit(EXIT_DOES_NOT_FIT)


@app.command()
def calibrate(
    device: Annotated[
        str, typer.Option("--device", "-d", help="The profile to start from: a name or a YAML.", show_default=False)
    ],
    measurements: Annotated[
        Path,
        typer.Option(
            help="CSV with the columns model, format, layer, one of latency_ms, latency_us or cycles, and energy_uj "
            "(docs/own-measurements.md).",
            show_default=False,
        ),
    ],
    model_folder: Annotated[
        Path | None, typer.Option(help="Folder that the models' paths start from (default: the CSV's).")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The new profile (default: DEVICE-measured.yaml).")] = None,
) -> None:
    """Make a profile better by own timings of networks or layers. Writes a profile and says how much better it is."""
    from workbench.own_table import calibrate_own, update_lines

    update, path = calibrate_own(device, measurements, model_folder, out)
    for lines in update_lines(update):
        _show(lines)
    print(f"Written: {path}. Use it: --profile {path}")


@app.command()
def emulate(
    model: Model,
    profile: ProfileName,
    data: Annotated[Path, typer.Option(help=f"The inputs: {DATA_HELP}.")],
    inputs: Annotated[
        str | None, typer.Option(help="Array of an NPZ, columns of a CSV (default: what fits the model).")
    ] = None,
    plan: Annotated[str | None, typer.Option(help="A plan YAML (as a study writes it), or a format such as w8a8.")] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="NPZ for the scales of a float model, when the plan has none.")
    ] = None,
    tensors: Annotated[bool, typer.Option("--tensors", help="All tensors, not only the outputs.")] = False,
    dim: Dimensions = None,
    signature: SignatureName = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="NPZ to write.")] = Path("emulated.npz"),
) -> None:
    """Run a model bit for bit as the target computes it. Writes its outputs (raw integers or floats) to an NPZ."""
    _skip_blas_search()
    from workbench.api import emulate as run_emulate
    from workbench.files import find_calibration, find_inputs, write_npz
    from workbench.loaders import load_model

    graph = load_model(model, signature, _dimensions(dim))
    feed = find_inputs(graph, data, inputs)
    samples = None if calibration is None else find_calibration(graph, calibration, inputs)
    found = run_emulate(graph, feed, profile, plan, tensors, calibration=samples)
    write_npz(out, found)
    for name, array in found.items():
        print(f"{name}  {array.dtype}  {list(array.shape)}")
    print(f"Written: {out}")


@app.command()
def compare(
    a: Annotated[
        str,
        typer.Argument(help="A profile (name or YAML), or recorded tensors: FILE.npz or FILE.npz#ARRAY.", show_default=False),
    ],
    b: Annotated[str, typer.Argument(help="The same, for the other side.", show_default=False)],
    model: Annotated[Path, typer.Option("--model", "-m", help="A .tflite or .onnx file.")],
    data: Annotated[Path, typer.Option("--data", help=f"The inputs: {DATA_HELP}.")],
    inputs: Annotated[
        str | None, typer.Option(help="Array of an NPZ, columns of a CSV (default: what fits the model).")
    ] = None,
    labels: Annotated[str | None, typer.Option(help="Array of the NPZ with the classes, for accuracy.")] = None,
    plan: Annotated[str | None, typer.Option(help="A plan YAML, or a format such as w8a8, for both sides.")] = None,
    plan_b: Annotated[str | None, typer.Option(help="The plan of B where it is another one.")] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="NPZ for the scales of a float model, when the plan has none.")
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Only the first so many samples.")] = None,
    by: Annotated[
        str, typer.Option(help="What is switched from A to B: rules, operators (a rule in one) or layers.")
    ] = "rules",
    limit: Annotated[int, typer.Option(help="Most switches; 2 to their number hybrids are evaluated.")] = 12,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write: JSON, CSV, PNG.")] = None,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Say why two targets differ on a model. First difference, differences per layer, flips, and which rules they are due to."""
    from workbench.comparison import check_folder, compare_files, print_comparison, write_comparison
    from workbench.progress import make_reporter

    if out is not None:
        check_folder(out)
    found = compare_files(
        a, b, model, data, inputs, labels, plan=plan, plan_b=plan_b, calibration=calibration, samples=samples, by=by, limit=limit,
        threads=threads, reporter=make_reporter(quiet),
    )  # fmt: skip
    print_comparison(found, print, _show)
    if out is not None:
        write_comparison(found, out)
        print(f"Written: {out}")
    _exit_unless(found.attribution is None or found.attribution.exact)


@app.command()
def table(
    file: Annotated[
        Path, typer.Argument(help="A truth table (.parquet), as an exhaustive sweep writes it.", show_default=False)
    ],
    axes: Annotated[
        str | None,
        typer.Option(
            help="The exact frontier over these: metric, loss, flash, ram, latency, energy, or metrics by name (flash,loss)."
        ),
    ] = None,
    formats: Annotated[str | None, typer.Option(help="Only plans of these formats: w8a8,w4a8.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the frontier (with --axes) or all plans as CSV.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Derive random plans again and compare every bit; exit 1 if one differs.")
    ] = False,
    plans: Annotated[int, typer.Option(min=1, help="With --check: how many plans.")] = 32,
    seed: Annotated[int, typer.Option(min=0, help="With --check: of the draw.")] = 0,
    model: Annotated[Path | None, typer.Option("--model", "-m", help="With --check: the .tflite or .onnx file.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help=f"With --check: {DATA_HELP}.")] = None,
    inputs: Annotated[
        str | None, typer.Option(help="Array of an NPZ, columns of a CSV (default: what fits the model).")
    ] = None,
    labels: Annotated[str | None, typer.Option(help="Array of the NPZ with the classes.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="NPZ for the scales of a float model.")] = None,
    profile: Annotated[str | None, typer.Option("--profile", "-p", help="Where it is not the shipped one: a YAML.")] = None,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Show a truth table: what it is of, its exact frontiers. With --check it is derived again from the model and the data."""
    from workbench import table_view as view
    from workbench.files import write_text

    found = view.read_view(file, _names(formats))
    if check:
        if model is None or data is None:
            raise InputError("--check runs the model again; give --model and --data too.")
        from workbench.progress import make_reporter

        again = view.Again(model, data, inputs, labels, profile, calibration, plans, seed, threads)
        rows = view.check_file(found, again, make_reporter(quiet))
        _show(view.check_lines(rows))
        _exit_unless(all(row.ok for row in rows))
    elif model or data or inputs or labels or calibration or profile:
        raise InputError("--model, --data, --inputs, --labels, --calibration and --profile belong to --check; give it too.")
    elif axes is None:
        _show(view.facts_table(found, file))
        _show(view.groups_table(found))
    if axes is not None:
        _show(view.front_table(found, _names(axes)))
    if csv is not None:
        write_text(csv, (found.frame() if axes is None else view.front_frame(found, _names(axes))).to_csv(index=False))
        print(f"Written: {csv}")


@app.command()
def profiles(name: Annotated[str | None, typer.Argument(help="One profile: its sources, operators and rules.")] = None) -> None:
    """List the shipped hardware profiles, or show one. Memories, formats, arithmetic, how its bits are known."""
    from workbench.listings import profile_details, profile_table

    for table in [profile_table()] if name is None else profile_details(name):
        _show(table)


@app.command()
def formats() -> None:
    """List the named precision formats."""
    from workbench.listings import format_table

    _show(format_table())


@app.command()
def ops() -> None:
    """List the operators of the graph."""
    from workbench.inspection import op_table

    _show(op_table())


@app.command()
def schema(kind: Annotated[str, typer.Argument(help="study or profile")]) -> None:
    """Print the JSON Schema of a study or a profile, for editors."""
    import json

    if kind == "study":
        from workbench.study.spec import StudySpec as Spec
    elif kind == "profile":
        from workbench.hardware.profile import HardwareProfile as Spec  # type: ignore[assignment]
    else:
        raise InputError(f"unknown schema '{kind}'; expected study or profile.")
    print(json.dumps(Spec.model_json_schema(), indent=2))


Data = Annotated[Path, typer.Option("--data", help="Folder with the files.")]


@validate_app.command()
def golden(data: Data) -> None:
    """Compare kernels with vectors of real runtimes and GPUs. Cases, elements, mismatches per producer.

    Exit code 1 as well when a listed case, array or file is missing, refused by the profile, or unknown.
    """
    from workbench.validate.golden import check_folder
    from workbench.validate.tables import golden_table

    rows = check_folder(data)
    _show(golden_table(rows))
    _exit_unless(all(row.ok for row in rows))
    if not any(row.elements for row in rows):
        raise InputError(f"{data}: nothing here could be compared; see the notes above.")


@validate_app.command()
def models(data: Data, dim: Dimensions = None) -> None:
    """Compare whole networks with stored outputs of real runtimes."""
    from workbench.validate.models import validate_models
    from workbench.validate.tables import models_table

    rows = validate_models(data, _dimensions(dim))
    if not rows:
        raise InputError(f"{data}: no models and no NPZ with stored outputs here.")
    _show(models_table(rows))
    _exit_unless(all(row.ok for row in rows))


@validate_app.command()
def silicon(data: Data) -> None:
    """Compare every requantization rule with what real boards printed. Rows equal, of the hw_* arrays."""
    from workbench.validate.silicon import validate_silicon
    from workbench.validate.tables import silicon_table

    rows = validate_silicon(data)
    if not rows:
        raise InputError(f"{data}: no NPZ with hw_* arrays and a model that fits them.")
    _show(silicon_table(rows))
    _exit_unless(all(row.ok for row in rows))


@validate_app.command()
def cost(
    data: Data,
    details: Annotated[bool, typer.Option("--details", help="Figures per table and group as well.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write every row with its prediction.")] = None,
    vela: Annotated[
        Path | None, typer.Option(help="Vela's summary of Ethos-U networks (default: DATA/../golden/vela_summary.csv).")
    ] = None,
    models: Annotated[
        Path | None, typer.Option(help="Folder of the networks of that summary (default: DATA/../models).")
    ] = None,
) -> None:
    """Compare estimates with measurements. Latency, energy, memory: predicted against measured, claim by claim.

    The folder has tables as docs/cost-accuracy.md lists them. Nothing is fitted on it: a network that took part in the calibration on
    the row's device is predicted by fits without it. Exit code 1 also when no row could be checked.
    """
    from workbench.calibrate.rows import Tables
    from workbench.files import write_text
    from workbench.validate.cost import check_families, claim_lines, coverage_lines
    from workbench.validate.cost_tables import claims_table, details_table, left_out_table, rows_csv
    from workbench.validate.cost_vela import check_vela, vela_table

    checks = check_families(Tables(data))
    lines = [*(line for check in checks for line in claim_lines(check)), *coverage_lines(checks)]
    against_vela = check_vela(data, vela, models)
    for table in (
        claims_table(lines),
        vela_table(against_vela) if against_vela else None,
        details_table(checks) if details else None,
        left_out_table(checks),
    ):
        if table is not None:
            _show(table)
    if csv is not None:
        write_text(csv, rows_csv(checks))
        print(f"Written: {csv}")
    if not any(line.figures for line in lines):
        print("No row could be checked: see above what the tables lack.")
    short = any(line.short for line in lines) or any(line.short for line in against_vela)
    _exit_unless(not short and any(line.figures for line in lines))


def _skip_blas_search() -> None:
    """Spare the 0.2 s in which Numba imports scipy.linalg to see whether there is a BLAS.

    Only its own np.convolve, np.correlate and np.cov ask for the answer, and no kernel uses them. The command line alone does
    this: in a library, kernels of others share the process.
    """
    probe = "scipy.linalg.cython_blas"
    if probe in sys.modules or "numba.np.arraymath" in sys.modules:
        return
    sys.modules[probe] = None  # type: ignore[assignment]  # the import system takes this as: there is no such module
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        del sys.modules[probe]


def _show_warning(message: Warning | str, *_: object) -> None:
    print(f"warning: {message}", file=sys.stderr)


def _names(text: str | None) -> list[str]:
    return [] if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _dimensions(given: list[str] | None) -> dict[str, int]:
    """Return the dimensions of `--dim NAME=SIZE`."""
    found: dict[str, int] = {}
    for text in given or []:
        name, _, size = text.partition("=")
        if not name or not (size.isascii() and size.isdigit()) or len(size) > 10 or name in found:
            raise InputError(f"--dim {text}: expected NAME=SIZE with a whole number, every name once.")
        found[name] = int(size)
    return found


def _exit_unless(ok: bool) -> None:
    if not ok:
        raise typer.Exit(EXIT_CHECK_FAILED)


def _show(table: Any) -> None:
    from rich.console import Console

    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False, emoji=False).print(table)


def main() -> None:
    """Run the command line; every user error is one message on standard error and the documented exit code."""
    # Imports make 200,000 objects that stay: looking for garbage among them every 700, and once more at the end, costs 0.15 s.
    gc.set_threshold(10_000, 20, 10)
    atexit.register(gc.freeze)
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    try:
        result = app(standalone_mode=False)
        if result == EXIT_INTERRUPTED:  # typer turns Ctrl-C into this result
            _interrupted()
        sys.exit(result if isinstance(result, int) else EXIT_OK)
    except WorkbenchError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(problem.exit_code)
    except KeyboardInterrupt:
        _interrupted()
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_OK)
    except OSError as problem:
        print(f"error: {problem.filename or 'file'}: {problem.strerror}.", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except Exception as problem:
        if hasattr(problem, "format_message") and hasattr(problem, "exit_code"):  # click: wrong options
            print(f"error: {problem.format_message()}\nSee `workbench --help`.", file=sys.stderr)
            sys.exit(EXIT_BAD_INPUT)
        if type(problem).__name__ == "Abort":  # what click makes of Ctrl-C
            _interrupted()
        if type(problem).__name__ == "Exit":
            sys.exit(getattr(problem, "exit_code", EXIT_OK))
        raise


def _interrupted(kept: str = "nothing is kept, the same command starts anew") -> NoReturn:
    print(f"\ninterrupted; {kept}.", file=sys.stderr)
    sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
