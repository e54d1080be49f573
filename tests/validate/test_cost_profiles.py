"""What profiles estimate against published rows of their own board, runtime and version."""

from __future__ import annotations

from pathlib import Path

from benchmarks.layer_graph import network_graph
from workbench.calibrate.rows import Row, Tables
from workbench.calibrate.runtimes import runtime
from workbench.cost import estimate
from workbench.hardware import HardwareProfile, list_profiles, load_profile

STREAM = "sww"
"""Its rows contain the audio front end, which no estimate of the network holds."""


def belongs(row: Row, profile: HardwareProfile) -> bool:
    """Whether a row is of the board, the runtime with its first version number, and the clock of a profile."""
    board = profile.name.partition("-")[0]
    theirs, ours = runtime(row.runtime), runtime(profile.runtime)
    return (
        row.device.lower().startswith(board)
        and (theirs.family, theirs.version[:1]) == (ours.family, ours.version[:1])
        and row.clock_hz == profile.clock_hz
    )


def test_published_rows_lie_in_the_intervals_of_their_profiles(ground_truth: Path) -> None:
    rows = [
        row
        for row in Tables(ground_truth).rows("mlperf_tiny.csv")
        if row.text("division") == "closed" and row.precision == "int8" and row.latency_s > 0 and row.network != STREAM
    ]
    ratios, outside = [], []
    for profile in map(load_profile, list_profiles()):
        for row in (row for row in rows if belongs(row, profile)):
            found = estimate(network_graph(ground_truth, row.network), profile)
            ratios.append(found.latency_s / row.latency_s)
            if not found.latency_low_s <= row.latency_s <= found.latency_high_s:
                outside.append(f"{profile.name} {row.network}: {ratios[-1]:.2f} times what was measured ({row.runtime})")
    assert len(ratios) >= 10
    assert len(outside) <= 0.2 * len(ratios), outside  # 80 % intervals
    errors = sorted(abs(ratio - 1) for ratio in ratios)
    assert errors[len(errors) // 2] <= 0.10 and errors[int(0.9 * len(errors))] <= 0.28, errors  # what new networks must reach
