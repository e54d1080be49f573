"""A whole study, end to end, on a tiny ONNX network: report, plan, journal, exit codes, bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

import workbench as wb
from workbench.cli import main
from workbench.errors import ProfileError, StudyError
from workbench.hardware import load_profile
from workbench.study import run_study

ROOT = Path(__file__).resolve().parents[2]


def write_model(path: Path) -> None:
    """Conv(3x3, 6) - Relu - depthwise - Relu - Conv(1x1) - Add - GlobalAveragePool - Flatten - Gemm on [N, 1, 8, 8]."""
    rng = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array((rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "dw2", pads=[1, 1, 1, 1], group=6),
        helper.make_node("Relu", ["c2"], ["r2"], "relu2"),
        helper.make_node("Conv", ["r2", "w3", "b3"], ["c3"], "pw3"),
        helper.make_node("Add", ["r1", "c3"], ["a4"], "add4"),
        helper.make_node("GlobalAveragePool", ["a4"], ["p5"], "pool5"),
        helper.make_node("Flatten", ["p5"], ["f5"], "flatten5"),
        helper.make_node("Gemm", ["f5", "w6", "b6"], ["y"], "fc6", transB=1),
    ]
    weights = [weight("w1", 6, 1, 3, 3), weight("b1", 6), weight("w2", 6, 1, 3, 3), weight("b2", 6), weight("w3", 6, 6, 1, 1),
               weight("b3", 6), weight("w6", 4, 6), weight("b6", 4)]  # fmt: skip
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
        weights,
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_model(tmp_path / "tiny.onnx")
    rng = np.random.default_rng(1)
    x = rng.standard_normal((200, 1, 8, 8)).astype(np.float32)
    y = wb.emulate(tmp_path / "tiny.onnx", x, "stm32l4r5-cortex-m4-tflm", "fp32")["y"].argmax(axis=1)
    y[::9] = (y[::9] + 1) % 4
    np.savez(tmp_path / "d.npz", cal_x=x[:40], cal_y=y[:40], test_x=x[40:], test_y=y[40:])
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(study()))
    return tmp_path


def study(**changes: object) -> dict[str, object]:
    base: dict[str, object] = {
        "study": "tiny", "model": "tiny.onnx",
        "data": {"calibration": "d.npz#cal", "evaluation": "d.npz#test"},
        "hardware": ["stm32l4r5-cortex-m4-tflm", "ethos-u55-128"],
        "formats": {"search": ["w8a8", "w4a8", "w2a8"], "baseline": "w8a8"},
        "choose": {"minimize": "flash", "subject_to": {"top1_drop": "5 %"}},
        "sweep": {"layer_error_samples": 0}, "report": ["csv"],
    }  # fmt: skip
    return {**base, **changes}


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs `workbench` in the folder: (exit code, output, errors)."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("atexit.register", lambda *_: None)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["workbench", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


def test_study_writes_a_whole_report_and_a_plan_that_emulates(folder: Path, command: Command) -> None:
    (folder / "s.yaml").write_text(yaml.safe_dump(study(report=["html", "csv", "png"], sweep={"layer_error_samples": 64})))
    code, said, problem = command("run", "s.yaml", "--quiet")
    assert code == 0, problem
    (run,) = [p for p in (folder / "reports" / "tiny").iterdir() if p.is_dir()]
    assert "top-1" in said
    assert (run / "report.html").stat().st_size > 10_000
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["packages"]["numpy"] == np.__version__
    plan = next(run.glob("**/plan-stm32l4r5*.yaml"))
    out = folder / "o.npz"
    where = ("tiny.onnx", "-p", "stm32l4r5-cortex-m4-tflm", "--data", "d.npz", "--inputs", "test_x")
    code, _, problem = command("emulate", *where, "--plan", str(plan), "-o", str(out))
    assert code == 0, problem
    predicted = np.load(out)["y"].argmax(axis=1)
    records = [json.loads(line) for line in (folder / "reports" / "tiny" / "journal.jsonl").read_text().splitlines()]
    chosen = yaml.safe_load(plan.read_text())
    match = [
        r
        for r in records
        if r["plan"] == {"default": chosen["default"], "layers": chosen["layers"]}
        and "confirm" in r["data"]
        and "stm32" in r["profile"]
    ]
    labels = np.load(folder / "d.npz")["test_y"]
    held = np.unique(np.floor((np.arange(80) + 0.5) * 2).astype(int))
    assert match[0]["metrics"]["top1"] == pytest.approx(float((predicted == labels)[held].mean()))


def test_second_run_takes_everything_from_the_journal(folder: Path) -> None:
    first = run_study(folder / "s.yaml", folder / "out")
    size = (folder / "out" / "tiny" / "journal.jsonl").stat().st_size
    second = run_study(folder / "s.yaml", folder / "out")
    assert (folder / "out" / "tiny" / "journal.jsonl").stat().st_size == size
    assert second.folder != first.folder
    assert [t.verdict for t in first.result.targets] == [t.verdict for t in second.result.targets]


def test_ctrl_c_says_that_results_are_kept_and_the_same_command_goes_on(folder: Path, command: Command) -> None:
    (folder / "s.yaml").write_text(yaml.safe_dump(study()))
    words = [sys.executable, "-m", "workbench.cli", "run", "s.yaml"]
    process = subprocess.Popen(
        words,
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stderr is not None
    said = process.stderr.readline()  # the model is loaded and the study has begun
    process.send_signal(signal.SIGINT)
    said += process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "finished results are kept" in said and "Traceback" not in said
    assert not list(folder.glob("reports/**/report.html"))
    assert command("run", "s.yaml", "--quiet")[0] == 0


def test_the_resolved_study_of_a_report_runs_from_anywhere(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    first = run_study(folder / "s.yaml", folder / "out")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    again = run_study(first.folder / "study.yaml", elsewhere)
    assert [t.verdict for t in again.result.targets] == [t.verdict for t in first.result.targets]
    (elsewhere / "i.yaml").write_text(f"include: {folder / 's.yaml'}\nstudy: other\n")
    assert run_study(elsewhere / "i.yaml", elsewhere).result.name == "other"


def test_a_limit_too_tight_to_prove_keeps_the_baseline_and_says_what_was_tested(folder: Path) -> None:
    spec = study(hardware=["stm32l4r5-cortex-m4-tflm"], choose={"minimize": "flash", "subject_to": {"top1_drop": "0.01 %"}})
    (folder / "s.yaml").write_text(yaml.safe_dump(spec))
    (target,) = run_study(folder / "s.yaml", folder / "out").result.targets
    assert target.chosen is not None and target.chosen.confirm_record is not None
    assert not target.chosen.plan.layers
    assert "confirm is 0" not in target.message


def test_equal_cost_never_buys_a_slower_plan(folder: Path) -> None:
    spec = study(hardware=["stm32l4r5-cortex-m4-tflm"], choose={"minimize": "ram", "subject_to": {}})
    spec["formats"] = {"search": ["w8a8", "w4a8"], "baseline": "w8a8"}
    (folder / "s.yaml").write_text(yaml.safe_dump(spec))
    (target,) = run_study(folder / "s.yaml", folder / "out").result.targets
    assert target.chosen is not None and target.baseline_cost is not None
    assert target.chosen.cost.ram_peak_bytes <= target.baseline_cost.ram_peak_bytes


def test_every_printed_frontier_point_was_evaluated(folder: Path) -> None:
    done = run_study(folder / "s.yaml", folder / "out")
    keys = {json.loads(line)["key"] for line in (folder / "out" / "tiny" / "journal.jsonl").read_text().splitlines()}
    for target in done.result.targets:
        assert target.frontier
        for candidate in target.frontier:
            assert candidate.record.key in keys
            assert candidate.confirm_record is not None and candidate.confirm_record.key in keys


def test_limits_that_nothing_meets_give_exit_3_with_gap_and_levers(folder: Path, command: Command) -> None:
    spec = study(hardware=["stm32l4r5-cortex-m4-tflm"], choose={"minimize": "flash", "subject_to": {"flash": "1 KiB"}})
    (folder / "s.yaml").write_text(yaml.safe_dump(spec))
    code, said, _ = command("run", "s.yaml", "--quiet")
    assert code == 3
    assert "too much" in said and "Levers:" in said


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": "none.onnx"}, "no such file"),
        ({"hardware": ["stm32l4r5"]}, "no profile 'stm32l4r5'"),
        ({"data": {"calibration": "d.npz#cal", "evaluation": "d.npz#tst"}}, "Did you mean 'test_x'"),
        ({"data": {"evaluation": "d.npz#test"}}, "data.calibration is missing"),
        ({"data": {"calibration": "d.npz#test", "evaluation": "d.npz#test"}}, "calibration samples as well"),
        ({"formats": {"search": ["w8a8"], "baseline": "w8b8"}}, "Unknown format 'w8b8'"),
    ],
)
def test_bad_studies_end_with_one_message_and_no_report(
    folder: Path, command: Command, changes: dict[str, object], says: str
) -> None:
    (folder / "s.yaml").write_text(yaml.safe_dump(study(**changes)))
    code, _, problem = command("run", "s.yaml", "--quiet")
    assert code == 2
    assert says in problem
    assert "Traceback" not in problem
    assert not (folder / "reports").exists()


def test_a_target_without_costs_is_refused_before_anything_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    plain = yaml.safe_load((ROOT / "hw_profiles/stm32l4r5-cortex-m4-tflm.yaml").read_text())
    del plain["costs"]
    (folder / "plain.yaml").write_text(yaml.safe_dump({**plain, "name": "plain"}))
    with pytest.raises(ProfileError, match="'plain' has no section 'costs': its bits can be emulated, but a study"):
        wb.run_study(study(hardware=["stm32l4r5-cortex-m4-tflm", "plain.yaml"]), "reports")
    assert not (folder / "reports").exists()


def test_the_share_of_the_host_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    formats = {"search": ["w8a8-per-tensor", "w4a8-per-tensor"], "baseline": "w8a8-per-tensor"}
    (target,) = wb.run_study(study(hardware="max78000", formats=formats), "reports").result.targets
    assert target.baseline_cost is not None and target.chosen is not None
    host = [row for row in target.baseline_cost.layers if row.emulation == "host"]
    inference = load_profile("max78000").costs.latency.inference.value / 50e6  # type: ignore[union-attr]
    share = sum(r.latency_s for r in host) / (inference + sum(r.latency_s for r in target.baseline_cost.layers))
    assert {row.op for row in host} >= {"depthwise_conv2d"} and target.baseline_cost.host_share == pytest.approx(share)
    assert f"{100 * target.chosen.cost.host_share:.0f} % of the latency is its host processor's" in target.verdict
    assert any(note.startswith(f"Host: {100 * share:.0f} % of the latency of w8a8-per-tensor") for note in target.notes)


def test_run_study_takes_a_mapping(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    done = wb.run_study(study(hardware="stm32l4r5-cortex-m4-tflm"), "elsewhere")
    assert done.folder.is_relative_to("elsewhere")
    with pytest.raises(StudyError, match="needs labels"):
        wb.run_study(study(data={"calibration": "d.npz#cal", "evaluation": {"file": "d.npz", "inputs": "test_x"}}))
