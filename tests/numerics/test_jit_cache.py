"""The disk cache of compiled kernels: found again, never the wrong code, never in the way. Each case is a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench
from workbench.numerics import kernel_cache
from workbench.numerics.cpu import available
from workbench.numerics.jit import SOURCE_HASH, inline, kernel
from workbench.numerics.kernel_cache import MAX_AGE_S, SUFFIX, cache_folder, cache_root, identity

PACKAGE = Path(workbench.__file__).parent
SCRIPT = '''
import json, resource, sys, warnings
import numpy as np
from numba import types
from numba.core import event
from numba.extending import intrinsic
from workbench.numerics.jit import inline, kernel

warnings.simplefilter("always")

@inline
def twice(x):
    return 2 * x

def make(step, factor):
    @intrinsic
    def scaled(typing_context, x):
        def code(context, builder, signature, args):
            return builder.mul(args[0], args[0].type(factor))
        return x(x), code
    @kernel
    def total(x):
        """Sum of factor * (2 x + step), in the type of x's sums."""
        acc = 0
        for v in x:
            acc += scaled(np.int64(step(v)))
        return acc
    return total

@inline
def plus_one(v):
    return twice(v) + 1

@inline
def plus_five(v):
    return twice(v) + 5

kernels = [make(plus_one, 3), make(plus_five, 3), make(plus_five, 7)]
seen = event.RecordingListener()
event.register("numba:compile", seen)
if "--limit" in sys.argv:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("default")
    values = [int(k(np.arange(10, dtype=d))) for d in sys.argv[1].split(",") for k in kernels]
names = [e.data["dispatcher"].py_func.__name__ for _, e in seen.buffer if e.is_start]
print(json.dumps({"values": values, "compiled": names.count("total"), "warnings": [str(w.message) for w in caught]}))
'''
WANT = [3 * (90 + 10), 3 * (90 + 50), 7 * (90 + 50)]


def environment(cache: Path, **more: str) -> dict[str, str]:
    cleared = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "WORKBENCH_CPU"))}
    return {**cleared, "WORKBENCH_CACHE_DIR": str(cache), "PYTHONPATH": str(PACKAGE.parent), **more}


def start(folder: Path, cache: Path, types: str, *words: str, **more: str) -> subprocess.Popen[str]:
    script = folder / "probe.py"
    if not script.exists():  # another process may be reading it
        script.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, str(script), types, *words], env=environment(cache, **more), stdout=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    answer: dict[str, Any] = json.loads(out)
    return answer


def run(folder: Path, types: str, *words: str, **more: str) -> dict[str, Any]:
    """Run the script with the cache `folder/cache`."""
    return finish(start(folder, folder / "cache", types, *words, **more))


def files(folder: Path) -> list[Path]:
    return sorted(f for f in (folder / "cache").rglob("*") if f.is_file())


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    first, second = run(tmp_path, "int16"), run(tmp_path, "int16")
    assert first == {"values": WANT, "compiled": 3, "warnings": []}
    assert second == {"values": WANT, "compiled": 0, "warnings": []}
    assert len(files(tmp_path)) == 3 and all(f.suffix == SUFFIX for f in files(tmp_path))


NETWORKS = """
import sys
from pathlib import Path
import numpy as np
from numba.core import event
from workbench.execute import prepare
from workbench.hardware import load_profile
from workbench.loaders import load_model

seen = event.RecordingListener()
event.register("numba:compile", seen)
for path in sorted(Path(sys.argv[1]).rglob("*_int8.tflite")):
    graph = load_model(path)
    feed = {name: np.zeros((2, *graph.tensors[name].shape[1:]), np.int8) for name in graph.inputs}
    for profile in ("stm32l4r5-cortex-m4-tflm", "x86-litert-xnnpack"):
        prepare(graph, load_profile(profile)).run(feed)
print(len(seen.buffer))
"""


@pytest.mark.slow
@pytest.mark.parametrize("path", available())
def test_whole_networks_compile_nothing_the_second_time(path: str, models_dir: Path, tmp_path: Path) -> None:
    counts = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", NETWORKS, str(models_dir)],
            env=environment(tmp_path, WORKBENCH_CPU=path), stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        counts.append(int(done.stdout))
    assert counts[0] > 0 and counts[1] == 0


def test_processes_that_compile_at_once_never_get_each_others_code(tmp_path: Path) -> None:
    types = ("int8", "int16", "int32", "int64")
    running = [start(tmp_path, tmp_path / "cache", t) for t in types]
    assert all(finish(p)["values"] == WANT for p in running)
    assert run(tmp_path, ",".join(types)) == {"values": WANT * 4, "compiled": 0, "warnings": []}


def test_damaged_files_are_compiled_again_and_mended(tmp_path: Path) -> None:
    run(tmp_path, "int16")
    empty, half, bit = files(tmp_path)
    empty.write_bytes(b"")
    content = half.read_bytes()
    half.write_bytes(content[: len(content) // 2])
    flipped = bytearray(bit.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    bit.write_bytes(flipped)
    assert run(tmp_path, "int16") == {"values": WANT, "compiled": 3, "warnings": []}
    assert run(tmp_path, "int16")["compiled"] == 0


def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    found = run(tmp_path, "int16")
    assert found["values"] == WANT and len(found["warnings"]) == 1
    assert "cannot be kept in" in found["warnings"][0] and "WORKBENCH_CACHE_DIR" in found["warnings"][0]


def test_a_full_disk_costs_a_warning_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    found = run(tmp_path, "int16", "--limit")
    assert found["values"] == WANT and len(found["warnings"]) == 1 and not files(tmp_path)


def test_code_is_never_shared_between_cpus_or_settings(tmp_path: Path) -> None:
    run(tmp_path, "int16")
    for other in ({"WORKBENCH_CPU": "portable"}, {"NUMBA_OPT": "1"}):
        assert run(tmp_path, "int16", **other)["compiled"] == 3
    assert run(tmp_path, "int16")["compiled"] == 0


@pytest.mark.parametrize("setting", ["NUMBA_DISABLE_JIT", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"])
def test_settings_of_numba_that_kernels_cannot_run_with_are_refused(tmp_path: Path, setting: str) -> None:
    value = {"NUMBA_DISABLE_JIT": "1", "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "+sse2"}[setting]
    done = subprocess.run(
        [sys.executable, "-m", "workbench.cli", "ops"],
        env=environment(tmp_path, **{setting: value}), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.startswith(f"error: {setting} is set: ") and not done.stdout


def test_python_calls_what_a_kernel_has_inlined() -> None:
    @inline
    def shifted(x: int, by: int = 1) -> int:
        return x << by

    @kernel
    def both(x: int) -> int:
        return shifted(x) + shifted(x, 3)

    assert (both(5), shifted(5), shifted(5, 3), shifted(5, by=2), shifted(5)) == (50, 10, 40, 20, 10)


def test_an_edit_in_a_called_file_is_seen(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "workbench", ignore=shutil.ignore_patterns("__pycache__"))
    helper = tmp_path / "workbench" / "numerics" / "probe_helper.py"
    caller = tmp_path / "workbench" / "kernels" / "probe_kernel.py"
    head = "from workbench.numerics.jit import inline, kernel\n"
    caller.write_text(
        head + "from workbench.numerics.probe_helper import step\n\n@kernel\ndef probe(x):\n    return step(x) + 1\n"
    )
    answers = []
    for constant in (10, 20):  # same length, same time stamp
        helper.write_text(head + f"\n@inline\ndef step(x):\n    return x + {constant}\n")
        os.utime(helper, (1_700_000_000, 1_700_000_000))
        done = subprocess.run(
            [sys.executable, "-B", "-c", "from workbench.kernels.probe_kernel import probe; print(probe(1))"],
            cwd=tmp_path, env=environment(tmp_path / "cache", PYTHONPATH=""), stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        answers.append(int(done.stdout))
    assert answers == [12, 22]


def test_an_edit_in_a_kernel_outside_of_the_package_is_seen(tmp_path: Path) -> None:
    probe, answers = tmp_path / "probe.py", []
    for constant in (10, 20):  # in a function that the kernel calls, whose code is not the kernel's own
        probe.write_text(
            "from workbench.numerics.jit import inline, kernel\n"
            f"@inline\ndef step(x):\n    return x + {constant}\n"
            "@kernel\ndef probe(x):\n    return step(x) + 1\nprint(probe(1))"
        )
        done = subprocess.run(
            [sys.executable, str(probe)], env=environment(tmp_path / "cache"), stdout=subprocess.PIPE, text=True, check=True
        )
        answers.append(int(done.stdout))
    assert answers == [12, 22]


def test_the_cache_is_for_its_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE_DIR", str(tmp_path))
    folder = cache_folder(SOURCE_HASH)
    assert folder.stat().st_mode & 0o077 == 0
    file = folder / f"k{SUFFIX}"
    kernel_cache._write(file, b"code")
    assert kernel_cache._read(file) == b"code"
    if os.geteuid() == 0:
        os.chown(file, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert kernel_cache._read(file) is None


def test_folders_out_of_use_are_removed_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE_DIR", str(tmp_path))
    names = ("old", "recent", "foreign")
    for name in names:
        folder = tmp_path / "kernels" / name
        folder.mkdir(parents=True)
        (folder / f"k-1{SUFFIX}").touch()
    (tmp_path / "kernels" / "foreign" / "thesis.tex").touch()
    month_ago = time.time() - MAX_AGE_S - 60
    for name in ("old", "foreign"):
        os.utime(tmp_path / "kernels" / name, (month_ago, month_ago))
    made = cache_folder(SOURCE_HASH)
    assert {f.name for f in (tmp_path / "kernels").iterdir()} == {made.name, "recent", "foreign"}
    assert (tmp_path / "kernels" / "foreign" / "thesis.tex").exists()
    os.utime(made, (month_ago, month_ago))
    cache_folder(SOURCE_HASH)
    assert made.stat().st_mtime > month_ago + 60


def test_a_user_without_a_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("WORKBENCH_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(kernel_cache.Path, "home", no_home)
    assert not cache_folder(SOURCE_HASH).exists()
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_root() == Path("/somewhere/workbench")


def closure(value: object) -> Any:
    def function() -> object:
        return value

    return function


def test_identity_tells_closures_apart() -> None:
    wide = np.arange(5000)
    other = wide.copy()
    other[2500] = 0  # the text of a long array leaves its middle out
    values = (1, 1.0, "1", (1,), [1], None, True, wide, other, closure(1), inline(closure(2)), int, lambda: 1, lambda: 2)
    assert len({identity(closure(v)) for v in values}) == len(values)
    assert identity(closure(wide)) == identity(closure(wide.copy()))
    assert identity(inline(closure(closure(3)))) == identity(closure(inline(closure(3))))
