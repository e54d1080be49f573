"""The command line: arguments in, tables out, no logic. Imports are inside the commands, so that `--help` is quick."""

from __future__ import annotations

import sys
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
    "130 interrupted (finished results are kept).",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
validate_app = typer.Typer(
    help="Re-check our claims on anyone's files; prints a table, exit 1 when something differs.", no_args_is_help=True
)
app.add_typer(validate_app, name="validate")

Model = Annotated[Path, typer.Argument(help="A .tflite or .onnx file.", show_default=False)]
ProfileName = Annotated[
    str, typer.Option("--profile", "-p", help="Name of a profile (see `workbench profiles`) or path of a YAML.")
]
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
    """Run a study: sensitivities, verified frontier, choice, report in OUT/<study>/<time>/."""
    from workbench.progress import make_reporter
    from workbench.study import run_study

    done = run_study(study, out, threads=threads, reporter=make_reporter(quiet))
    for target in done.result.targets:
        print(target.verdict)
        if target.message:
            print("  " + target.message.replace("\n", "\n  "))
    print(f"\nReport: {done.folder / 'report.html'}")
    if not done.result.fits:
        raise typer.Exit(EXIT_DOES_NOT_FIT)


@app.command()
def inspect(
    model: Model,
    profile: Annotated[
        list[str] | None, typer.Option("--profile", "-p", help="Target(s): what is supported, fits, costs.")
    ] = None,
    plan: Annotated[str | None, typer.Option(help="A format (w8a8) or a plan YAML, for a float model.")] = None,
) -> None:
    """Show a model: operators, shapes, formats; with --profile also support, memory and cost per layer. Exit 3 if it does not fit."""
    from workbench.inspection import inspect_model

    tables, fits = inspect_model(model, profile or [], plan)
    for table in tables:
        _show(table)
    if not fits:
        raise typer.Exit(EXIT_DOES_NOT_FIT)


@app.command()
def emulate(
    model: Model,
    profile: ProfileName,
    data: Annotated[Path, typer.Option(help="An .npz or .npy with the inputs.")],
    inputs: Annotated[str | None, typer.Option(help="Array of the NPZ (default: the one that fits the model).")] = None,
    plan: Annotated[str | None, typer.Option(help="A plan YAML (as a study writes it), or a format such as w8a8.")] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="NPZ for the scales of a float model, when the plan has none.")
    ] = None,
    tensors: Annotated[bool, typer.Option("--tensors", help="All tensors, not only the outputs.")] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="NPZ to write.")] = Path("emulated.npz"),
) -> None:
    """Run a model bit for bit as the target computes it and write its outputs (raw integers or floats) to an NPZ."""
    from workbench.api import emulate as run_emulate
    from workbench.api import load_model
    from workbench.files import find_inputs, write_npz

    graph = load_model(model)
    feed = find_inputs(graph, data, inputs)
    samples = None if calibration is None else find_inputs(graph, calibration, inputs)
    found = run_emulate(graph, feed, profile, plan, tensors, calibration=samples)
    write_npz(out, found)
    for name, array in found.items():
        print(f"{name}  {array.dtype}  {list(array.shape)}")
    print(f"Written: {out}")


@app.command()
def profiles(name: Annotated[str | None, typer.Argument(help="One profile: its sources, operators and rules.")] = None) -> None:
    """List the shipped hardware profiles, or show one: memories, formats, arithmetic, how its bits are known."""
    from workbench.inspection import profile_details, profile_table

    for table in [profile_table()] if name is None else profile_details(name):
        _show(table)


@app.command()
def formats() -> None:
    """List the named precision formats."""
    from workbench.inspection import format_table

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
    """Kernels against golden vectors of real runtimes and GPUs: cases, elements, mismatches per producer."""
    from workbench.inspection import golden_table
    from workbench.validate.golden import check_folder

    rows = check_folder(data)
    _show(golden_table(rows))
    if not any(row.elements for row in rows):
        raise InputError(f"{data}: nothing here could be compared; see the notes above.")
    _exit_unless(all(row.ok for row in rows))


@validate_app.command()
def models(data: Data) -> None:
    """Whole networks against stored outputs of real runtimes."""
    from workbench.inspection import models_table
    from workbench.validate.models import validate_models

    rows = validate_models(data)
    _show(models_table(rows))
    _exit_unless(all(row.ok for row in rows))


@validate_app.command()
def silicon(data: Data) -> None:
    """Outputs printed by real boards (hw_* arrays) against every requantization rule: rows equal."""
    from workbench.inspection import silicon_table
    from workbench.validate.silicon import validate_silicon

    rows = validate_silicon(data)
    if not rows:
        raise InputError(f"{data}: no NPZ with hw_* arrays and a model that fits them.")
    _show(silicon_table(rows))
    _exit_unless(all(row.ok for row in rows))


def _exit_unless(ok: bool) -> None:
    if not ok:
        raise typer.Exit(EXIT_CHECK_FAILED)


def _show(table: Any) -> None:
    from rich.console import Console

    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False).print(table)


def main() -> None:
    """Run the command line; every user error is one message on standard error and the documented exit code."""
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


def _interrupted() -> NoReturn:
    print("\ninterrupted; finished results are kept, the same command goes on from there.", file=sys.stderr)
    sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
