"""What a study must not claim: proofs from a handful of samples, metrics that cannot fail, classes that were guessed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import optimize, stats

import workbench as wb
from tests.study import nets
from workbench.errors import InputError, StudyError
from workbench.results import StudyResult
from workbench.study import run_study

RNG = np.random.default_rng(9)
X = RNG.standard_normal((60, 8)).astype(np.float32)


def run(folder: Path, classes: int, evaluation: dict[str, Any], limits: dict[str, Any], **keys: Any) -> StudyResult:
    """Run a study of a network with 8 inputs on d.npz of a folder; the baseline is w8a8."""
    nets.dense(folder / "dense.onnx", (8, 24, classes))
    spec = nets.study(folder, "dense", evaluation, limits, **keys)
    (folder / "s.yaml").write_text(yaml.safe_dump(spec))
    return run_study(folder / "s.yaml", folder / "out").result


def arrays(folder: Path, **own: np.ndarray) -> None:
    np.savez(folder / "d.npz", cal_x=RNG.standard_normal((30, 8)).astype(np.float32), **own)


def test_eight_recordings_prove_no_limit(tmp_path: Path) -> None:
    label = np.arange(8) // 2 % 2
    arrays(tmp_path, x=X[:8] * (1 + 9 * label[:, None]).astype(np.float32), y=label)
    (target,) = run(tmp_path, 8, {"labels": "y"}, {"metric_drop": "0.001 %"}, metric="auc").targets
    assert "95 % sure" not in target.message
    assert target.chosen is not None and target.chosen.plan == target.baseline_plan


def test_one_sample_recommends_and_says_that_nothing_is_proven(tmp_path: Path) -> None:
    arrays(tmp_path, x=X[:1])
    (target,) = run(tmp_path, 5, {}, {"metric_drop": "3 %"}, metric="agreement").targets
    assert target.chosen is not None and target.chosen.plan != target.baseline_plan
    assert "(not confirmed: nothing is proven)" in target.verdict
    alone = "Nothing is proven: the limit is 3 points; by these samples alone a drop of {:.1f} points is possible."
    assert alone.format(85.2) in target.message and alone.format(100 * _most_of_one_sample()) in target.message


def _most_of_one_sample() -> float:
    """Return the end of the 95 % likelihood-ratio interval of one sample without a change, a quarter of a gain and of a loss added."""

    def likelihood(gain: float, loss: float) -> float:
        return 0.25 * math.log(gain) + 0.25 * math.log(loss) + math.log(1.0 - gain - loss)

    def best(drop: float) -> float:
        most = (1.0 - drop) / 2.0
        found = optimize.minimize_scalar(
            lambda gain: -likelihood(gain, gain + drop), bounds=(1e-9, most - 1e-9), method="bounded"
        )
        return -float(found.fun)

    ratio = stats.chi2.ppf(0.95, 1) / 2.0
    return float(optimize.brentq(lambda drop: likelihood(1 / 6, 1 / 6) - best(drop) - ratio, 0.01, 0.99))


def test_recordings_that_alternate_are_divided_by_their_labels(tmp_path: Path) -> None:
    arrays(tmp_path, x=X[:24] * (1 + np.arange(24)[:, None] % 2).astype(np.float32), y=np.arange(24) % 2)
    found = run(tmp_path, 8, {"labels": "y"}, {"metric_drop": "90 %"}, metric="auc")
    assert found.data_names["confirmation"] == "d.npz#x, 12 to confirm, divided class by class"
    assert found.model == "dense", "the file's name, whatever the file calls its network"


def test_a_part_without_anomalies_names_the_division_and_leaves_nothing_behind(tmp_path: Path) -> None:
    arrays(tmp_path, x=X[:8], y=np.r_[1, np.zeros(7, int)])
    with pytest.raises(StudyError, match=r"metric 'auc' wants 0 .*\n.*\$.data.confirm divides them"):
        run(tmp_path, 8, {"labels": "y"}, {}, metric="auc")
    assert not (tmp_path / "out").exists()


def test_a_function_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    arrays(tmp_path, x=X)
    (tmp_path / "mine.py").write_text("def score(outputs, references, labels):\n    raise RuntimeError('no luck')\n")
    with pytest.raises(InputError, match="fails: RuntimeError: no luck"):
        run(tmp_path, 2, {}, {}, metric={"python": "mine.py:score"})
    assert not (tmp_path / "out").exists()


NAMES = np.array(["cat", "dog", "eel"])[np.arange(60) % 3]


@pytest.mark.parametrize(
    ("classes", "y", "keys", "metric", "says"),
    [
        (7, np.arange(60) % 7, {}, "top7", "metric 'top7' cannot fail: the model has 7 classes"),
        (7, np.arange(60) % 7, {}, "top50", "metric 'top50' cannot fail: the model has 7 classes"),
        (7, np.arange(60) % 7, {}, "miou", "metric 'miou' wants a class per position; .* Take top1"),
        (7, NAMES, {}, "top1", r"labels have 3 classes \(cat, dog, eel\); the model has 7\. .* classes: \[\.\.\.\]"),
        (3, NAMES, {"classes": ["ape", "cat", "dog", "eel"]}, "top1", r"names 4 classes \(ape, .*\); the model has 3"),
        (3, np.arange(60) % 3, {"classes": ["a", "b"]}, "top1", r"names 2 classes \(a, b\); the model has 3"),
        (2, np.where(np.arange(60) % 2, "normal", "odd"), {}, "auc", r"which is the anomaly is not known: say classes: \[NORMAL"),
    ],
)  # fmt: skip
def test_metrics_that_cannot_fail_and_classes_that_are_guessed(
    tmp_path: Path, classes: int, y: np.ndarray, keys: dict[str, Any], metric: str, says: str
) -> None:
    arrays(tmp_path, x=X, y=y)
    with pytest.raises(InputError, match=says):
        run(tmp_path, classes, {"labels": "y", **keys}, {}, metric=metric)
    assert not (tmp_path / "out").exists()


def test_a_column_that_cannot_fail_is_refused(tmp_path: Path) -> None:
    arrays(tmp_path, x=X, y=np.arange(60) % 3)
    with pytest.raises(InputError, match="metric 'top5' cannot fail: the model has 3 classes"):
        run(tmp_path, 3, {"labels": "y"}, {}, sweep={"metrics": ["top1", "top5"]})


@pytest.mark.parametrize("name", [None, "a,b,c,d,e,f,g,h"])
def test_names_of_the_inputs_are_not_asked_of_a_calibration_without_them(
    tmp_path: Path, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    nets.dense(tmp_path / "dense.onnx", (8, 24, 2))
    np.savez(tmp_path / "cal.npz", x=X)
    header = "label,a,b,c,d,e,f,g,h" if name else "a,b,c,d,e,f,g,h"
    rows = [",".join([*(["0"] if name else []), *(f"{v:.9g}" for v in row)]) for row in X]
    (tmp_path / "d.csv").write_text("\n".join([header, *rows]) + "\n")
    own = ["--inputs", name] if name else []
    model, data, out = str(tmp_path / "dense.onnx"), ["--data", str(tmp_path / "d.csv"), *own], str(tmp_path / "o.npz")
    words = [model, "-p", nets.TARGET, *data, "--plan", "w8a8", "--calibration", str(tmp_path / "cal.npz")]
    command(monkeypatch, "emulate", *words, "-o", out)
    want = wb.emulate(model, X, nets.TARGET, "w8a8", calibration=X)
    np.testing.assert_array_equal(np.load(out)["y"], want["y"])
    other = ["-m", model, *data, "--plan", "w8a8", "--calibration", str(tmp_path / "cal.npz"), "-q"]
    command(monkeypatch, "compare", nets.TARGET, "x86-litert-reference", *other)


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    """Run the command line; it must end well."""
    from workbench.cli import main

    monkeypatch.setattr("sys.argv", ["workbench", *words])
    monkeypatch.setattr("atexit.register", lambda *_: None)
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
