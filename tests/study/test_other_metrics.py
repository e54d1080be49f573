"""Whole studies that are no classification with labels: the figure is that of the emulated outputs, and the verdict names it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import workbench as wb
from tests.study import nets
from workbench.errors import InputError, StudyError
from workbench.evaluate import Journal
from workbench.metrics import METRICS, paired_change
from workbench.results import TargetResult
from workbench.study import run_study

N = 160
RNG = np.random.default_rng(8)


def arrays(folder: Path, **own: np.ndarray) -> None:
    """Write d.npz: the arrays, and for the inputs (x, z) others that calibrate."""
    cal = {f"cal_{k}": RNG.standard_normal((30, *v.shape[1:])).astype(np.float32) for k, v in own.items() if k in ("x", "z")}
    np.savez(folder / "d.npz", **own, **cal)


def run(folder: Path, spec: dict[str, Any], out: str = "out") -> tuple[TargetResult, Path]:
    (folder / "s.yaml").write_text(yaml.safe_dump(spec))
    done = run_study(folder / "s.yaml", folder / out)
    (target,) = done.result.targets
    assert target.baseline is not None and target.chosen is not None, target.message
    return target, done.folder


def confirmed(folder: Path, target: TargetResult, model: str, inputs: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the chosen plan's outputs on the samples that confirm, emulated anew, and which samples these are."""
    (folder / "plan.yaml").write_text(target.plan_yaml)
    found = wb.emulate(folder / f"{model}.onnx", inputs, nets.TARGET, folder / "plan.yaml")
    held = np.floor((np.arange(N // 2) + 0.5) * 2).astype(int)
    return {k: v[held] for k, v in found.items()}, held


def float_outputs(folder: Path, model: str, x: np.ndarray) -> np.ndarray:
    return wb.emulate(folder / f"{model}.onnx", x, nets.TARGET, "fp32")["y"]


def test_a_regression_is_judged_by_its_mean_absolute_error(tmp_path: Path) -> None:
    nets.dense(tmp_path / "dense.onnx", (8, 24, 24, 2))
    x = RNG.standard_normal((N, 8)).astype(np.float32)
    y = float_outputs(tmp_path, "dense", x) + RNG.standard_normal((N, 2)) / 10
    arrays(tmp_path, x=x, y=y)
    spec = nets.study(tmp_path, "dense", {"labels": "y"}, {"metric_drop": 0.2}, metric="mae", report=["html", "csv"])
    target, folder = run(tmp_path, spec)
    outputs, held = confirmed(tmp_path, target, "dense", x)
    assert target.chosen is not None and target.chosen.confirm_record is not None
    want = np.abs(outputs["y"].astype(np.float64) - y[held]).mean()
    assert target.chosen.confirm_record.metrics["mae"] == pytest.approx(want, rel=1e-6)
    assert f"mean absolute error {want:.3g} (+" in target.verdict and "top-1" not in target.verdict
    assert target.chosen.proven and "the rise is at most 0.2 " in target.message and "paired t interval" in target.message
    assert target.reference_figure == pytest.approx(
        np.abs(float_outputs(tmp_path, "dense", x) - y)[~np.isin(np.arange(N), held)].mean()
    )
    page = (folder / "report.html").read_text()
    assert "mean absolute error at most 0.2 above the baseline" in page and "top-1" not in page
    rows = list(csv.DictReader((folder / "frontier.csv").read_text().splitlines()))
    chosen = next(r for r in rows if r["chosen"] == "True")
    assert float(chosen["confirm_mae"]) == target.chosen.confirm_record.metrics["mae"]
    assert {"drop_bound", "true_change", "predicted_change"} <= chosen.keys()
    data = json.loads((folder / "results.json").read_text())["targets"][0]
    assert data["metric"] == {
        "name": "mae", "title": "mean absolute error", "unit": "", "higher_is_better": False, "interval": "mean"
    }  # fmt: skip


def test_a_segmentation_is_judged_by_its_miou(tmp_path: Path) -> None:
    nets.maps(tmp_path / "maps.onnx")
    x = RNG.standard_normal((N, 1, 8, 8)).astype(np.float32)
    y = float_outputs(tmp_path, "maps", x).argmax(axis=1)
    y[:, :2] = 255
    arrays(tmp_path, x=x, y=y)
    metric = {"name": "miou", "ignore": 255}
    target, _ = run(tmp_path, nets.study(tmp_path, "maps", {"labels": "y"}, {"metric_drop": "30 %"}, metric=metric))
    outputs, held = confirmed(tmp_path, target, "maps", x)
    found, counts = outputs["y"].argmax(axis=1), y[held] != 255
    shares = [((found == c) & (y[held] == c)).sum() / (((found == c) & counts) | (y[held] == c)).sum() for c in range(3)]
    assert target.chosen is not None and target.chosen.confirm_record is not None
    assert target.chosen.confirm_record.metrics["miou"] == pytest.approx(np.mean(shares), rel=1e-12)
    assert f"mIoU {100 * np.mean(shares):.1f} % (" in target.verdict and "paired bootstrap" in target.message


def test_anomalies_are_judged_by_files_which_are_never_split(tmp_path: Path) -> None:
    nets.dense(tmp_path / "auto.onnx", (8, 24, 8))
    files = np.repeat(np.arange(40), 4)
    label = (files % 4 >= 2).astype(int)
    x = (RNG.standard_normal((N, 8)) * (1 + 0.4 * label[:, None])).astype(np.float32)
    arrays(tmp_path, x=x, y=label, f=files)
    spec = nets.study(tmp_path, "auto", {"labels": "y", "files": "f"}, {"metric_drop": "20 %"}, metric="auc")
    target, _ = run(tmp_path, spec)
    assert target.chosen is not None and target.chosen.confirm_record is not None
    (tmp_path / "plan.yaml").write_text(target.plan_yaml)
    y = wb.emulate(tmp_path / "auto.onnx", x, nets.TARGET, tmp_path / "plan.yaml")["y"].astype(np.float64)
    error = ((y - x) ** 2).mean(axis=1).reshape(40, 4).mean(axis=1)
    held = np.floor((np.arange(20) + 0.5) * 2).astype(int)
    bad, good = (error[held][(held % 4 >= 2) == which] for which in (True, False))
    want = (bad[:, None] > good).mean()
    record = target.chosen.confirm_record
    assert record.metrics["auc"] == pytest.approx(want, rel=1e-12)
    assert record.scores is not None and record.scores.shape == (20, 2) and record.samples == 80
    assert "AUC " in target.verdict and "top1" not in record.metrics


def test_without_labels_the_classes_of_the_float_network_decide(tmp_path: Path) -> None:
    nets.dense(tmp_path / "dense.onnx", (8, 24, 24, 5))
    x = RNG.standard_normal((N, 8)).astype(np.float32)
    arrays(tmp_path, x=x)
    spec = nets.study(
        tmp_path, "dense", {}, {"metric_drop": "20 %"}, sweep={"metrics": ["kl", "cosine", "sqnr_db"]}, report=["html", "csv"]
    )
    target, folder = run(tmp_path, spec)
    outputs, held = confirmed(tmp_path, target, "dense", x)
    want = float_outputs(tmp_path, "dense", x)[held].argmax(axis=1)
    assert target.chosen is not None and target.chosen.confirm_record is not None
    share = (outputs["y"].argmax(axis=1) == want).mean()
    assert target.chosen.confirm_record.metrics["agreement"] == share
    assert f"agreement with the float reference {100 * share:.1f} % (" in target.verdict
    header = (folder / "sensitivities.csv").read_text().splitlines()[0]
    assert "agreement,agreement_change_points" in header and "kl_nat,cosine,sqnr_db" in header
    assert "agreement with the float reference" in (folder / "report.html").read_text()


def test_tokens_are_judged_by_perplexity(tmp_path: Path) -> None:
    weights = [nets.weight("w1", 8, 24), nets.weight("w2", 24, 7)]
    helper = nets.helper
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["m1"], "mm1"), helper.make_node("Relu", ["m1"], ["r1"], "relu1"),
        helper.make_node("MatMul", ["r1", "w2"], ["y"], "mm2"),
    ]  # fmt: skip
    nets.save(tmp_path / "tokens.onnx", nodes, {"x": ["N", 5, 8]}, {"y": ["N", 5, 7]}, weights)
    x = RNG.standard_normal((N, 5, 8)).astype(np.float32)
    tokens = float_outputs(tmp_path, "tokens", x).argmax(axis=2)
    arrays(tmp_path, x=x, y=tokens)
    spec = nets.study(tmp_path, "tokens", {"labels": "y"}, {"metric_drop": 0.5}, metric="perplexity")
    target, _ = run(tmp_path, spec)
    outputs, held = confirmed(tmp_path, target, "tokens", x)
    y = outputs["y"].astype(np.float64)
    log_p = y - np.log(np.exp(y).sum(axis=2, keepdims=True))
    want = np.exp(-np.take_along_axis(log_p, tokens[held][..., None], axis=2).mean())
    assert target.chosen is not None and target.chosen.confirm_record is not None
    assert target.chosen.confirm_record.metrics["perplexity"] == pytest.approx(want, rel=1e-6)
    assert f"perplexity {want:.3g} (" in target.verdict


def test_several_inputs_and_outputs_take_the_error_of_all_or_name_one(tmp_path: Path) -> None:
    nets.two_heads(tmp_path / "heads.onnx")
    x, z = RNG.standard_normal((2, N, 8)).astype(np.float32)
    arrays(tmp_path, x=x, z=z, y=RNG.integers(0, 5, N))
    source = {"inputs": {"x": "x", "z": "z"}}
    target, _ = run(tmp_path, nets.study(tmp_path, "heads", source, {"metric_drop": 30}))
    assert target.metric.name == "sqnr_db" and "output SQNR" in target.verdict and " dB" in target.verdict
    outputs, held = confirmed(tmp_path, target, "heads", {"x": x, "z": z})
    exact = wb.emulate(tmp_path / "heads.onnx", {"x": x[held], "z": z[held]}, nets.TARGET, "fp32")
    signal, noise = (
        sum(float((v.astype(np.float64) ** 2).sum()) for v in values)
        for values in (exact.values(), [outputs[k].astype(np.float64) - exact[k] for k in exact])
    )
    assert target.chosen is not None and target.chosen.confirm_record is not None
    assert target.chosen.confirm_record.metrics["sqnr_db"] == pytest.approx(10 * np.log10(signal / noise), rel=1e-4)
    one = nets.study(
        tmp_path, "heads", {**source, "labels": "y"}, {"metric_drop": "30 %"}, metric={"name": "top1", "output": "classes"}
    )
    target, _ = run(tmp_path, {**one, "study": "one"})
    outputs, held = confirmed(tmp_path, target, "heads", {"x": x, "z": z})
    labels = np.load(tmp_path / "d.npz")["y"][held]
    assert target.chosen is not None and target.chosen.confirm_record is not None
    assert target.chosen.confirm_record.metrics["top1"] == (outputs["classes"].argmax(axis=1) == labels).mean()
    with pytest.raises(
        InputError, match=r"metric.output is 'clases'. Did you mean 'classes'\? The model's outputs: classes, box"
    ):
        run(tmp_path, {**one, "metric": {"name": "top1", "output": "clases"}})


CODE = """
import numpy as np

def per_sample(outputs, references, labels):
    return np.abs(outputs - labels).max(axis=1)

def one(outputs, references, labels):
    return float(np.quantile(np.abs(outputs - references), 0.9))

def breaks(outputs, references, labels):
    raise RuntimeError("no luck")

def wrong(outputs, references, labels):
    return outputs[:3]
"""


def test_a_function_of_the_study_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nets.dense(tmp_path / "dense.onnx", (8, 24, 24, 2))
    x = RNG.standard_normal((N, 8)).astype(np.float32)
    y = float_outputs(tmp_path, "dense", x)
    arrays(tmp_path, x=x, y=y)
    (tmp_path / "mine.py").write_text(CODE)

    def spec(name: str, **more: Any) -> dict[str, Any]:
        metric = {"python": f"mine.py:{name}", "higher_is_better": False, "unit": "V", **more}
        return nets.study(tmp_path, "dense", {"labels": "y"}, {"metric_drop": "0.5 V"}, metric=metric)

    target, folder = run(tmp_path, spec("per_sample"))
    outputs, held = confirmed(tmp_path, target, "dense", x)
    assert target.chosen is not None and target.chosen.confirm_record is not None
    want = np.abs(outputs["y"] - y[held].astype(np.float64)).max(axis=1)
    np.testing.assert_allclose(target.chosen.confirm_record.evidence[:, 0], want)
    assert f"per_sample {want.mean():.3g} V (+" in target.verdict and " V [" in target.verdict
    again = run_study(folder / "study.yaml", tmp_path / "again")
    assert [t.verdict for t in again.result.targets] == [target.verdict], "the report's folder has the function"
    target, _ = run(tmp_path, spec("one"), "out2")
    outputs, held = confirmed(tmp_path, target, "dense", x)
    assert target.chosen is not None and target.chosen.confirm_record is not None
    assert target.chosen.confirm_record.figure == pytest.approx(np.quantile(np.abs(outputs["y"] - y[held]), 0.9))
    assert target.chosen.confirm_record.evidence.shape == (21, 2), "all samples, and without each of 20 groups"
    journal = tmp_path / "out2/dense/journal.jsonl"
    size = journal.stat().st_size
    run(tmp_path, spec("one"), "out2")
    assert journal.stat().st_size == size
    (tmp_path / "mine.py").write_text(CODE.replace("0.9", "0.8"))
    run(tmp_path, spec("one"), "out2")
    assert journal.stat().st_size > size, "another function is another result"
    for name, says in (
        ("breaks", "metric 'mine.py:breaks' fails: RuntimeError: no luck"),
        ("wrong", r"returns float32 \(3, 2\); expected one finite number, or one per sample"),
        ("none", "has no function 'none'"),
    ):
        with pytest.raises(InputError, match=says):
            run(tmp_path, spec(name), name)


@pytest.mark.parametrize("place", ["../mine.py:f", "/tmp/mine.py:f", "sub/mine.py:f", "mine.py", "mine.txt:f"])
def test_code_is_taken_from_the_studys_folder_alone(tmp_path: Path, place: str) -> None:
    nets.dense(tmp_path / "dense.onnx", (8, 24, 2))
    arrays(tmp_path, x=RNG.standard_normal((N, 8)).astype(np.float32))
    with pytest.raises(StudyError, match=r"expected 'file\.py:function', a file in the study's own folder"):
        run(tmp_path, nets.study(tmp_path, "dense", {}, {}, metric={"python": place}))


def test_a_link_out_of_the_studys_folder_is_no_file_of_it(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    nets.dense(tmp_path / "own/dense.onnx", (8, 24, 2))
    arrays(tmp_path / "own", x=RNG.standard_normal((N, 8)).astype(np.float32))
    (tmp_path / "mine.py").write_text(CODE)
    (tmp_path / "own/mine.py").symlink_to(tmp_path / "mine.py")
    spec = nets.study(tmp_path / "own", "dense", {}, {}, metric={"python": "mine.py:one"})
    with pytest.raises(InputError, match="code is run from the study's own folder alone"):
        run(tmp_path / "own", spec)


@pytest.mark.parametrize(
    ("metric", "subject_to", "says"),
    [
        ("aucc", {}, "unknown metric 'aucc'. Did you mean 'auc'"),
        ("mae", {"top1_drop": "1 %"}, "top1_drop limits top-1, and the metric is mae: say metric_drop"),
        ("mae", {"metric_drop": "1 %"}, "metric_drop is '1 %'; expected a number of at least 0"),
        ("auc", {"metric_drop": 0.1}, "metric_drop is 0.1: expected a number and one of %, points"),
        ("kl", {"metric_drop": "0.1 dB"}, "expected a number of at least 0 in nat"),
        ("auc", {"metric_drop": "1 %", "top1_drop": "1 %"}, "has top1_drop and metric_drop"),
        ({"name": "mae", "higher_is_better": True}, {}, "higher_is_better and unit belong to a metric of your own"),
        ({"name": "mae", "python": "a.py:b"}, {}, "name and python exclude each other"),
        ("top5", {}, "metric 'top5' needs labels"),
        (None, {"top1_drop": "1 %"}, "top1_drop needs labels"),
    ],
)
def test_metrics_and_limits_that_do_not_fit_are_refused(
    tmp_path: Path, metric: Any, subject_to: dict[str, Any], says: str
) -> None:
    nets.dense(tmp_path / "dense.onnx", (8, 24, 2))
    arrays(tmp_path, x=RNG.standard_normal((N, 8)).astype(np.float32))
    spec = nets.study(tmp_path, "dense", {}, subject_to, **({} if metric is None else {"metric": metric}))
    with pytest.raises(InputError, match=says):
        run(tmp_path, spec)
    assert not (tmp_path / "out").exists()


def test_a_second_run_takes_scores_from_the_journal(tmp_path: Path) -> None:
    nets.dense(tmp_path / "dense.onnx", (8, 24, 2))
    x = RNG.standard_normal((N, 8)).astype(np.float32)
    arrays(tmp_path, x=x, y=float_outputs(tmp_path, "dense", x))
    spec = nets.study(tmp_path, "dense", {"labels": "y"}, {}, metric="mae")
    first, _ = run(tmp_path, spec)
    path = tmp_path / "out/dense/journal.jsonl"
    size = path.stat().st_size
    second, _ = run(tmp_path, spec)
    assert path.stat().st_size == size and second.verdict == first.verdict
    records = list(Journal(path).records.values())
    a, b = records[0], records[1]
    change = paired_change(METRICS["mae"], a.evidence, b.evidence)
    assert change.estimate == pytest.approx(b.figure - a.figure)
    run(
        tmp_path,
        {**spec, "metric": "sqnr_db", "data": {**spec["data"], "evaluation": {**spec["data"]["evaluation"], "labels": None}}},
    )
    assert path.stat().st_size > size, "another metric needs other scores"


def test_raw_integers_without_a_scale_contradict_a_float_input(tmp_path: Path) -> None:
    nets.maps(tmp_path / "maps.onnx")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=rng.integers(0, 256, (N, 8, 8), np.uint8), cal_x=rng.integers(0, 256, (9, 8, 8), np.uint8))
    with pytest.raises(
        StudyError, match=r"\$.data.evaluation: d.npz: the model's input 'x' wants float32 \[N, 1, 8, 8\].*\nRaw integers"
    ):
        run(tmp_path, nets.study(tmp_path, "maps", {}, {}))
    target, _ = run(tmp_path, nets.study(tmp_path, "maps", {"preprocess": {"range": [-1, 1]}}, {}))
    assert target.metric.name == "sqnr_db"
