"""`verify_run`: derive a run's verdict and certificates again from the model, the data and the profiles."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from workbench.cost.axes import COST_AXES
from workbench.errors import InputError, WorkbenchError
from workbench.evaluate import Evaluator, Journal
from workbench.precision import PrecisionPlan
from workbench.progress import Reporter, Silent
from workbench.search import make_items
from workbench.search.certificate_checks import check_sampling, same_rows, same_values
from workbench.search.certificates import Check
from workbench.study.prepare import Prepared, prepare
from workbench.study.proof import PROOF_FILE, VERSION, space_data
from workbench.study.setting import Setting, make_setting
from workbench.study.surrogate import program_data, solve_again
from workbench.study.target import sensitivities_of
from workbench.truth.check import check_table
from workbench.truth.table import TruthTable

SEED = 11
"""Of the plans of a table that are evaluated again."""
NAMES = {
    "model": "the model", "calibration": "the calibration samples", "selection": "the samples that choose",
    "confirmation": "the samples that confirm",
}  # fmt: skip


def verify_run(
    run: str | Path,
    *,
    share: float = 1.0,
    plans: int = 64,
    threads: int | None = None,
    reporter: Reporter | None = None,
) -> list[tuple[str, Check]]:
    """Return (target, check) of everything that a run states: figures of its verdict, and its certificates.

    Nothing is taken from the journal: plans are evaluated again.

    Args:
        run: the folder of a run, or its certificate. share: of the draws of a sampling certificate that are evaluated again.
        plans: of a table, that are drawn anew and evaluated again, beside its frontier.
    Raises: InputError when the run has no certificate, or what it used is missing or changed.
    """
    path = Path(run)
    folder = path if path.is_dir() else path.parent
    data = _read(folder / PROOF_FILE if path.is_dir() else path)
    reporter = reporter or Silent()
    try:
        ready = prepare(folder / "study.yaml", reporter)
    except WorkbenchError as problem:
        raise InputError(f"{folder}: what this run used cannot be loaded, so it cannot be verified:\n{problem}") from None
    context = ready.context(Journal(), folder.parent, threads, reporter)
    _same_inputs(folder, data, context.digests, ready)
    found: list[tuple[str, Check]] = []
    for said, profile in zip(data["targets"], ready.profiles, strict=True):
        setting, _, _ = make_setting(context, profile)
        checks = _status(said, setting) if setting is None else _target(setting, said, folder, share, plans)
        found += [(profile.name, check) for check in checks]
        if data["joint"] is not None and setting is not None and (common := data["joint"]["targets"].get(profile.name)):
            found += [(profile.name, check) for check in _plan_figures(setting, common, "plan for all targets")]
    return found + [("", check) for check in _results(data, folder / "results.json")]


def verify_table(checks: list[tuple[str, Check]]) -> Table:
    """Return the checks for the terminal."""
    table = Table(title=f"{sum(c.ok for _, c in checks)} of {len(checks)} as the run says", title_justify="left")
    for name in ("target", "what", "the run says", "derived again", ""):
        table.add_column(name)
    for target, check in checks:
        table.add_row(target, check.what, check.said, check.found, "ok" if check.ok else "DIFFERS")
    return table


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"{path}: no such file. Give the folder of a run: `workbench run` writes {PROOF_FILE} into it.")
    try:
        data = json.loads(path.read_text("utf-8"))
        version = data["version"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: this is no certificate of a run, or it is damaged.") from None
    if version != VERSION:
        raise InputError(
            f"{path}: a certificate of version {version}; this program reads version {VERSION}. Run the study again."
        )
    lacking = [key for key in ("digests", "targets", "joint") if key not in data]
    if lacking:
        raise InputError(f"{path}: this certificate is damaged: it lacks {', '.join(lacking)}.")
    found: dict[str, Any] = data
    return found


def _same_inputs(folder: Path, data: Mapping[str, Any], digests: Mapping[str, str], ready: Prepared) -> None:
    """Raise InputError unless the model, the samples and the profiles are those of the run."""
    changed = [f"{NAMES[k]} ({v[:12]} then, {digests[k][:12]} now)" for k, v in data["digests"].items() if v != digests[k]]
    if len(data["targets"]) != len(ready.profiles):
        raise InputError(
            f"{folder}: the certificate is of {len(data['targets'])} targets, study.yaml of {len(ready.profiles)}."
        )
    for said, profile in zip(data["targets"], ready.profiles, strict=True):
        if said["profile"] != profile.digest:
            changed.append(f"profile '{profile.name}' ({said['profile'][:12]} then, {profile.digest[:12]} now)")
    if changed:
        raise InputError(
            f"{folder}: changed since the run: {'; '.join(changed)}.\n"
            "The certificate is about what was there then: bring that back, or run the study again."
        )


def _status(said: Mapping[str, Any], setting: Setting | None) -> list[Check]:
    runs = "no baseline runs" if setting is None else "runs"
    return [Check("status", said["status"], runs, (said["status"] == "not_supported") == (setting is None))]


def _target(setting: Setting, said: Mapping[str, Any], folder: Path, share: float, plans: int) -> list[Check]:
    found = _status(said, setting)
    own = space_data(setting.space)
    found.append(Check("groups and formats", _sizes(said["space"]), _sizes(own), said["space"] == own))
    if said["space"] != own:
        return found
    for key, name in (("baseline", "baseline"), ("chosen", "chosen plan")):
        if said[key] is not None:
            found += _plan_figures(setting, said[key], name)
    certificate = said["certificate"]
    if certificate is None:
        return found
    checks: dict[str, Callable[[], list[Check]]] = {
        "exhaustive": lambda: _exhaustive(setting, certificate, folder.parent, plans),
        "program": lambda: _program(setting, certificate),
        "sampling": lambda: _sampling(setting, certificate, share),
    }
    if certificate.get("kind") not in checks:
        return [*found, Check("certificate", str(certificate.get("kind")), f"known: {', '.join(checks)}", False)]
    try:
        return found + checks[certificate["kind"]]()
    except (KeyError, ValueError, TypeError, IndexError) as problem:
        return [*found, Check("certificate", "readable", f"damaged ({type(problem).__name__}: {problem})", False)]


def _plan_figures(setting: Setting, said: Mapping[str, Any], name: str) -> list[Check]:
    """Return whether a plan has the figures and the costs that the run states."""
    plan = PrecisionPlan.of(said["plan"]["default"], said["plan"]["layers"])
    found = []
    parts: tuple[tuple[str, str, Evaluator | None], ...] = (
        ("selection", "samples that choose", setting.select), ("confirmation", "samples that confirm", setting.confirm),
    )  # fmt: skip
    for key, where, evaluator in parts:
        stated = said[key]
        if stated is None:
            continue
        if evaluator is None:
            found.append(Check(f"{name}, {where}", "some", "none", False))
            continue
        record = evaluator.evaluate([plan])[plan]
        same = (
            same_values(np.array([record.figure]), np.array([_number(stated["figure"])]))
            and record.samples == stated["samples"]
        )
        words = f"{setting.metric.name} of {record.samples:,}"
        found.append(Check(f"{name}, {where}: {words}", f"{stated['figure']}", f"{record.figure}", same))
    cost = setting.cost(plan)
    for axis, value in COST_AXES.items():
        stated = _number(said["costs"][axis])
        found.append(
            Check(
                f"{name}, {axis}",
                f"{stated:.6g}",
                f"{value(cost):.6g}",
                same_values(np.array([value(cost)]), np.array([stated])),
            )
        )
    return found


def _exhaustive(setting: Setting, said: Mapping[str, Any], root: Path, plans: int) -> list[Check]:
    """Check the table's file, its origin, its frontier, and rows of it."""
    path = root / said["table"]["file"]
    found_digest = sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
    found = [
        Check("table of all plans", said["table"]["sha256"][:12], found_digest[:12], said["table"]["sha256"] == found_digest)
    ]
    if found_digest == "missing":
        return found
    try:
        table = TruthTable.load(path)
    except InputError as problem:
        return [*found, Check("table of all plans", "readable", str(problem).splitlines()[0], False)]
    found.append(
        Check(
            "configurations", f"{said['plans']:,}", f"{setting.space.size:,}", said["plans"] == setting.space.size == len(table)
        )
    )
    if len(table) != setting.space.size or table.space != setting.space:
        return [*found, Check("table of all plans", "of these groups and formats", "of others", False)]
    rows = table.front(said["axes"])
    values = np.stack([table.axis(a)[rows] for a in said["axes"]], axis=1)
    same = same_rows(table.space.codes(rows), np.array(said["frontier"], np.uint8).reshape(-1, len(setting.space.groups)))
    same = same and same_values(values, np.array(said["values"], np.float64).reshape(-1, len(said["axes"])))
    found.append(Check("frontier of the table", f"{len(said['frontier'])} plans", f"{len(rows)} plans", same))
    drawn = np.random.default_rng(SEED).choice(len(table), min(plans, len(table)), replace=False)
    numbers = np.unique(np.concatenate((rows, drawn)))
    with setting.context.reporter.phase(f"{setting.name}: {len(numbers)} plans again") as tick:
        try:
            compared = check_table(table, setting.select, numbers, setting.price, tick)
        except InputError as problem:
            return [*found, Check("table of all plans", "of this model and these samples", str(problem).splitlines()[0], False)]
    return found + [Check(f"table: {c.what}", f"{c.compared:,} values", f"{c.differ:,} differ", c.ok) for c in compared]


def _program(setting: Setting, said: Mapping[str, Any]) -> list[Check]:
    """Measure the single changes again, state the program again, and solve it."""
    with setting.context.reporter.phase(f"{setting.name}: single changes again") as tick:
        _, singles = sensitivities_of(setting, tick)
    costs = {plan: setting.cost(plan) for plan in [setting.baseline, *(s.plan for s in singles)]}
    own = program_data(setting, make_items(setting.groups, singles, costs, setting.baseline, setting.metric))
    stated = said["program"]
    same = [len(row) for row in own["adds"]] == [len(row) for row in stated["adds"]] and same_values(
        np.concatenate(own["adds"]), np.concatenate([np.array(row, np.float64) for row in stated["adds"]])
    )
    count = sum(map(len, own["adds"]))
    found = [Check("single changes", f"{count} values", "the same" if same else "others", same)]
    asked = {k: v for k, v in own.items() if k != "adds"} == {k: v for k, v in stated.items() if k != "adds"}
    found.append(Check("what is minimized, and the limits", _asked(stated), _asked(own), asked))
    again = solve_again(setting, own)
    if again is None:
        return [*found, Check("objective", f"{said['objective']:.9g}", "no solution", False)]
    for key, value in (("objective", again.objective), ("bound", again.bound)):
        same = bool(np.isclose(value, said[key], rtol=1e-6, atol=0.0))
        found.append(Check(key, f"{said[key]:.9g}", f"{value:.9g}", same))
    return found


def _sampling(setting: Setting, said: Mapping[str, Any], share: float) -> list[Check]:
    found = [Check("axes", ", ".join(said["axes"]), ", ".join(setting.axes), tuple(said["axes"]) == setting.axes)]
    if not found[0].ok:
        return found
    with setting.context.reporter.phase(f"{setting.name}: draws again") as tick:
        return found + check_sampling(said, setting.space, setting.measure, share, tick)


def _results(data: Mapping[str, Any], path: Path) -> list[Check]:
    """Return whether results.json names the plans and the verdicts of the certificate."""
    try:
        results = json.loads(path.read_text("utf-8"))
        pairs = [
            (s, r, None if r["chosen"] is None else r["chosen"]["plan"])
            for s, r in zip(data["targets"], results["targets"], strict=True)
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return [Check("results.json", "readable", "missing or damaged", False)]
    found = []
    for said, result, plan in pairs:
        stated = None if said["chosen"] is None else said["chosen"]["plan"]
        same = stated == plan and said["verdict"] == result["verdict"]
        found.append(
            Check(f"results.json: verdict of {said['target']}", "as the certificate", "the same" if same else "another", same)
        )
    return found


def _sizes(space: Mapping[str, Any]) -> str:
    with suppress(KeyError, TypeError):
        return f"{len(space['groups'])} groups, {sum(len(g['formats']) for g in space['groups'])} formats"
    return "damaged"


def _asked(program: Mapping[str, Any]) -> str:
    limits = ", ".join(f"{k} <= {v:.6g}" for k, v in program["at_most"].items())
    return f"{program['minimize']}{f', {limits}' if limits else ''}"


def _number(value: Any) -> float:
    """Return a figure of the certificate: 'nan' and 'inf' are texts there."""
    return float(value)
