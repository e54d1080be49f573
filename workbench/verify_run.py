"""`verify_run`: derive a run's verdict and certificates again from the model, the data and the profiles."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from workbench.errors import InputError, WorkbenchError
from workbench.evaluate import Journal
from workbench.precision import PrecisionPlan
from workbench.progress import Reporter, Silent
from workbench.report.tables import all_tables
from workbench.report.tables_choice import choice_tables
from workbench.report.text import file_names
from workbench.report.to_json import plain, results_json, target_json
from workbench.results import Joint, TargetResult
from workbench.search.certificate_checks import check_sampling
from workbench.search.certificates import Certificate, Check, sampling_text
from workbench.strict_yaml import load_yaml, parse_yaml
from workbench.study.prepare import Prepared, prepare
from workbench.study.proof import PROOF_FILE, VERSION, joint_data, target_data
from workbench.study.run import assembled
from workbench.study.setting import Setting
from workbench.study.sweeps import MOST_CANDIDATES, Swept, from_table, proposed, sweep_kind
from workbench.study.target import decided, prepared, sensitivities_of
from workbench.sweep import Sensitivity
from workbench.truth.check import check_table
from workbench.truth.table import TruthTable
from workbench.verify_compare import certificate_checks, leaf, plan_checks, rows_that_differ, same, target_checks, words

SEED = 11
"""Of the plans of a table that are evaluated again."""
NAMES = {
    "model": "the model", "calibration": "the calibration samples", "selection": "the samples that choose",
    "confirmation": "the samples that confirm",
}  # fmt: skip
NOT_DERIVED = frozenset({"targets", "certificate", "layer_errors", "search", "notes"})
"""Keys of results.json and tables that are checked elsewhere (targets, certificate) or describe how the run went and what layers do
by themselves, which nothing rests on."""
DAMAGE = (KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError, RecursionError, WorkbenchError)
"""What reading a damaged certificate may raise."""


@dataclass(frozen=True, eq=False)
class _Said:
    """What a run says of one target. result: of `results.json`, empty where that is damaged. root: the folder of tables."""

    target: Mapping[str, Any]
    result: Mapping[str, Any]
    root: Path
    share: float
    plans: int

    @property
    def certificate(self) -> Mapping[str, Any]:
        """The certificate, empty where there is none."""
        found = self.target["certificate"]
        return found if isinstance(found, dict) else {}


@dataclass(eq=False)
class _Again:
    """What a sweep gives when it is derived again."""

    swept: Swept | None
    checks: list[Check] = field(default_factory=list)


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
    results, top, found = _results(folder / "results.json", len(ready.profiles))
    places = file_names(profile.name for profile in ready.profiles)
    derived: list[tuple[TargetResult, Setting | None]] = []
    for said, result, profile, place in zip(data["targets"], results, ready.profiles, places, strict=True):
        setting, empty = prepared(context, profile)
        stated = _Said(said, result, folder.parent, share, plans)
        own, checks = (empty, []) if setting is None else _derive(setting, empty, stated)
        if own is not None:
            derived.append((own, setting))
            checks += target_checks(said, plain(target_data(own, None if setting is None else setting.space)))
            if result:
                checks += _result_checks(result, plain(target_json(own)), said["certificate"])
            checks += _plan_file(own, folder / f"plan-{place}.yaml")
        found += [(profile.name, check) for check in checks]
    if len(derived) == len(ready.profiles):
        whole = assembled(ready, context, derived)
        found += _joint(data["joint"], whole.joint)
        if top:
            found += [("", check) for check in _key_checks(top, results_json(whole), "")]
        if "csv" in ready.spec.report:
            found += _tables(folder, all_tables(whole) | choice_tables(whole))
    return found


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
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{path}: this is no certificate of a run, or it is damaged.") from None
    if version != VERSION:
        raise InputError(
            f"{path}: version {version}; this program reads certificates ({PROOF_FILE}) of version {VERSION}. "
            "Give the folder of the run, or run the study again."
        )
    lacking = [key for key in ("digests", "targets", "joint") if key not in data]
    if lacking:
        raise InputError(f"{path}: this certificate is damaged: it lacks {', '.join(lacking)}.")
    digests, targets = data["digests"], data["targets"]
    keys = {"target", "profile", "status", "verdict", "metric", "space", "baseline", "chosen", "certificate"}
    whole = isinstance(digests, dict) and set(digests) == set(NAMES) and isinstance(targets, list)
    if not (whole and all(isinstance(v, str) for v in digests.values())):
        raise InputError(
            f"{path}: this certificate is damaged: digests of {', '.join(NAMES)} and a list of targets are expected."
        )
    if not all(isinstance(t, dict) and keys <= set(t) and isinstance(t["profile"], str) for t in targets):
        raise InputError(f"{path}: this certificate is damaged: a target lacks some of {', '.join(sorted(keys))}.")
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


def _results(path: Path, count: int) -> tuple[list[Mapping[str, Any]], Mapping[str, Any], list[tuple[str, Check]]]:
    """Return what results.json says of every target and in all (both empty where it is damaged), and a check that it can be read."""
    try:
        whole = json.loads(path.read_text("utf-8"))
        found = whole["targets"]
        if isinstance(found, list) and len(found) == count and all(isinstance(t, dict) and t for t in found):
            return found, whole, [("", Check("results.json", "readable", "readable", True))]
    except (OSError, *DAMAGE):
        pass
    return [{}] * count, {}, [("", Check("results.json", "readable", "missing or damaged", False))]


def _derive(setting: Setting, empty: TargetResult, said: _Said) -> tuple[TargetResult | None, list[Check]]:
    """Return what is chosen when a target is decided again; None where its candidates are not known."""
    with setting.context.reporter.phase(f"{setting.name}: single changes again") as tick:
        base, singles = sensitivities_of(setting, tick)
    again = _sweep(setting, singles, said)
    if again.swept is None:
        return None, again.checks
    result = decided(setting, empty, base, singles, again.swept)
    if (
        result.certificate is not None and result.certificate.kind != "sampling"
    ):  # the last sentence is about the plan that was chosen
        stated, text = said.certificate.get("text"), result.certificate.text
        again.checks.append(Check("words of the certificate", words(stated), words(text), stated == text))
    return result, again.checks


def _sweep(setting: Setting, singles: Sequence[Sensitivity], said: _Said) -> _Again:
    """Return the candidates as the sweep of the study gives them, and what becomes of its certificate."""
    kind, wanted = sweep_kind(setting), setting.spec.sweep.certificate
    if not singles:
        return _Again(Swept([setting.baseline]), certificate_checks(said.target["certificate"], None))
    if kind == "exhaustive":
        return _exhaustive(setting, said)
    if kind == "one_at_a_time" and not wanted:
        swept = proposed(setting, singles)
        own = None if swept.certificate is None else {**swept.certificate.data, "text": swept.certificate.text}
        return _Again(swept, certificate_checks(said.target["certificate"], plain(own)))
    again = _recorded(setting, said)
    if kind == "verified" and wanted == 0.0:
        again.checks += certificate_checks(said.target["certificate"], None)
        return again
    try:
        again.checks += _sampling(setting, said, again.swept)
    except DAMAGE as problem:
        again.checks.append(_damaged(problem))
    return again


def _damaged(problem: BaseException) -> Check:
    return Check("certificate", "readable", f"damaged ({type(problem).__name__}: {str(problem)[:80]})", False)


def _recorded(setting: Setting, said: _Said) -> _Again:
    """Return the candidates that results.json has."""
    try:
        rows = [row["plan"] for row in said.result["candidates"]]
        plans = list(dict.fromkeys([setting.baseline, *(PrecisionPlan.of(p["default"], p["layers"]) for p in rows)]))
        for plan in plans:
            setting.space.code(plan)
    except DAMAGE:
        return _Again(None, [Check("candidates", "in results.json", "missing or damaged", False)])
    certificate = said.certificate
    text = Certificate("sampling", str(certificate["text"]), certificate) if certificate.get("text") else None
    return _Again(Swept(plans, text))


def _exhaustive(setting: Setting, said: _Said) -> _Again:
    """Check the table's file, its origin, its frontier, and rows of it."""
    name = "table of all plans"
    try:
        file, stated = said.certificate["table"]["file"], said.certificate["table"]["sha256"]
        path = said.root / file
        own = sha256(path.read_bytes()).hexdigest()
        table = TruthTable.load(path)
    except (OSError, *DAMAGE) as problem:
        again = _recorded(setting, said)
        again.checks.append(Check(name, "readable", (str(problem) or "missing").splitlines()[0][:100], False))
        return again
    found = [Check(name, words(stated)[:12], own[:12], stated == own)]
    if table.space != setting.space or table.costs is None:
        again = _recorded(setting, said)
        again.checks += [*found, Check(name, "of these groups and formats, with costs", "of others", False)]
        return again
    swept = from_table(setting, table, {"file": file, "sha256": own})
    assert swept.certificate is not None
    found += certificate_checks(said.target["certificate"], plain({**swept.certificate.data, "text": swept.certificate.text}))
    drawn = np.random.default_rng(SEED).choice(len(table), min(said.plans, len(table)), replace=False)
    numbers = np.unique(np.concatenate((table.front(setting.axes), drawn)))
    with setting.context.reporter.phase(f"{setting.name}: {len(numbers)} plans again") as tick:
        try:
            compared = check_table(table, setting.select, numbers, setting.price, tick)
        except InputError as problem:
            found.append(Check(name, "of this model and these samples", str(problem).splitlines()[0], False))
            return _Again(swept, found)
    return _Again(
        swept, found + [Check(f"table: {c.what}", f"{c.compared:,} values", f"{c.differ:,} differ", c.ok) for c in compared]
    )


def _sampling(setting: Setting, stated: _Said, swept: Swept | None) -> list[Check]:
    said = stated.certificate
    if said.get("kind") != "sampling":
        return [Check("certificate", words(said.get("kind")), "sampling", False)]
    found = [Check("axes", ", ".join(said["axes"]), ", ".join(setting.axes), tuple(said["axes"]) == setting.axes)]
    if not found[0].ok:
        return found
    samples, metric, sweep = len(setting.context.select), setting.metric.short, setting.spec.sweep
    found.append(leaf("share that is to be proven, and seed", [said["share"], said["seed"]], [sweep.share, sweep.seed]))
    with setting.context.reporter.phase(f"{setting.name}: draws again") as tick:
        found += check_sampling(said, setting.space, setting.measure, stated.share, tick)
    found.append(Check("samples of the certificate", words(said["samples"]), str(samples), said["samples"] == samples))
    text = sampling_text({**said, "samples": samples, "metric": metric})
    found.append(Check("words of the certificate", words(said["text"]), words(text), said["text"] == text))
    front = setting.space.plans(np.array(said["frontier"], np.uint8).reshape(-1, len(setting.space.groups)))
    if swept is not None and len(front) <= MOST_CANDIDATES:
        lost = len(set(front) - set(swept.plans))
        found.append(Check("frontier among the candidates", f"{len(front)} plans", f"{lost} are missing", not lost))
    return found


def _result_checks(said: Mapping[str, Any], own: Mapping[str, Any], certificate: Any) -> list[Check]:
    """Return whether results.json says of a target what was derived, and has the certificate of certificate.json."""
    found = _key_checks(said, own, f" of {own['target']}")
    stated = said.get("certificate")
    if isinstance(stated, dict) and isinstance(stated.get("data"), dict):
        stated = {"text": stated.get("text"), **stated["data"]}
    ok = same(stated, certificate)
    return [
        *found,
        Check(f"results.json: certificate of {own['target']}", "as the certificate", "the same" if ok else "another", ok),
    ]


def _key_checks(said: Mapping[str, Any], own: Mapping[str, Any], where: str) -> list[Check]:
    """Return which keys of results.json differ from what was derived, one too many or too few among them; one check when none does."""
    keys = [key for key in {**own, **said} if key not in NOT_DERIVED]
    wrong = [key for key in keys if not (key in own and key in said and same(said[key], own[key], 1e-9))]
    if not wrong:
        return [Check(f"results.json{where}", f"{len(keys)} keys", "the same", True)]
    found = []
    for key in wrong:
        plainly = all(isinstance(v.get(key), str | int | float | None) for v in (said, own))
        stated, derived = (words(said.get(key)), words(own.get(key))) if plainly else ("as derived", "another")
        found.append(Check(f"results.json: {key}{where}", stated, derived, False))
    return found


def _plan_file(own: TargetResult, path: Path) -> list[Check]:
    """Return whether the file of the plan is that of the chosen one."""
    if not own.plan_yaml:
        return []
    try:
        ok = load_yaml(path) == parse_yaml(own.plan_yaml, path.name)
        found = "the same" if ok else "another plan"
    except (OSError, *DAMAGE):
        ok, found = False, "missing or damaged"
    return [Check(path.name, "the chosen plan", found, ok)]


def _tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> list[tuple[str, Check]]:
    """Return whether the tables beside the report are those that are found again."""
    found = []
    for name in tables.keys() - NOT_DERIVED:
        path = folder / f"{name}.csv"
        try:
            differ = rows_that_differ(path.read_text("utf-8"), tables[name].to_csv(index=False))
            what = f"{differ:,} of {len(tables[name]):,} rows differ" if differ else "the same"
        except (OSError, ValueError, csv.Error):
            differ, what = 1, "missing or damaged"
        found.append(("", Check(path.name, "as derived", what, not differ)))
    return sorted(found, key=lambda row: row[1].what)


def _joint(said: Any, joint: Joint | None) -> list[tuple[str, Check]]:
    """Return whether the plan for all targets is the one that was found again."""
    own = plain(joint_data(joint))
    name = "plan for all targets"
    if not (isinstance(said, dict) and isinstance(own, dict) and isinstance(said.get("targets"), dict)):
        return [] if said is None and own is None else [("", Check(name, words(said), words(own), said == own))]
    found = [
        ("", Check(f"{name}, {k}", words(said.get(k)), words(own[k]), same(said.get(k), own[k]))) for k in ("text", "plan")
    ]
    for target, stated in own["targets"].items():
        found += [(target, check) for check in plan_checks(name, said["targets"].get(target), stated)]
    return found
