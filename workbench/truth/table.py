"""`TruthTable`: the exact result of every plan of a space on one target's arithmetic and one set of samples.

Row i is plan number i of the space. A table says what it was made of (digests of graph, samples, profile and sources, a key per plan),
so that it can be derived again and a stale one is recognized. What has the same bits is a view: fewer formats, another target of equal
arithmetic. Reading and writing: `truth.store`; replaying it as an oracle: `truth.replay`; making it: `truth.build`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.cost.axes import COST_AXES
from workbench.errors import InputError, nearest
from workbench.execute import Program
from workbench.hardware import HardwareProfile
from workbench.metrics import METRICS, Metric
from workbench.quantize import Lowering
from workbench.resources import source_hash
from workbench.sweep import Codes, Space
from workbench.truth.frontier import pareto_front
from workbench.truth.losses import Losses
from workbench.truth.oracle import turned

if TYPE_CHECKING:
    from workbench.truth.replay import Replay

F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

KEY_BYTES = 16
"""Of the hash of a plan's program."""
CHECKED_PLANS = 256
"""Plans whose programs are compared before a table is priced for another target."""
PRICING = ("cost/**/*.py", "quantize/**/*.py")
"""Code that decides costs."""


@dataclass(frozen=True)
class Origin:
    """What a table was made of: names (for people) and content digests.

    data_key: of samples, labels, graph, metric and the sources of operators and metrics. loss: 'cross_entropy' (labels) or
    'squared_error' (against the float reference). elements: of all outputs of a sample. priced_by: digest of profile and cost model.
    """

    model: str
    graph: str
    data: str
    samples: str
    data_key: str
    loss: str
    elements: int
    profile: str
    profile_digest: str
    priced_by: str


@dataclass(frozen=True, eq=False)
class TruthTable:
    """All P plans of a space, in the order of their numbers, on N samples.

    figures: every metric, float64 [P]. mean_loss: float64 [P], exact. bits: the metric that says which samples are right ('' without);
    correct: these, packed, uint8 [P, ceil(N / 8)]. losses: per sample, or None where they were left out. power: of the float
    reference, sample by sample, float64 [N]. keys: of the plans' programs, uint8 [P, 16]. costs: float64 [P, 4] in the order of
    `COST_AXES`, or None for a target without costs.
    """

    space: Space
    metric: Metric
    origin: Origin
    samples: int
    figures: Mapping[str, F64]
    mean_loss: F64
    bits: str
    correct: U8 | None
    losses: Losses | None
    power: F64
    keys: U8
    costs: F64 | None

    def __len__(self) -> int:
        return self.space.size

    @property
    def axes(self) -> tuple[str, ...]:
        """The costs that are known, in order."""
        return () if self.costs is None else tuple(COST_AXES)

    def badness(self, metric: Metric | None = None) -> F64:
        """Return the figures of a metric (the deciding one) turned so that smaller is better, [P]."""
        chosen = metric or self.metric
        return turned(chosen, self.figures[chosen.name])

    def axis(self, name: str) -> F64:
        """Return one axis, smaller is better: 'metric' (the deciding one), 'loss', a cost, or a metric by its name: [P]."""
        if name == "metric":
            return self.badness()
        if name == "loss":
            return self.mean_loss
        if self.costs is not None and name in COST_AXES:
            return np.asarray(self.costs[:, list(COST_AXES).index(name)])
        if name in self.figures and (name == self.metric.name or name in METRICS):
            return self.badness(self.metric if name == self.metric.name else METRICS[name])
        known = ["metric", "loss", *self.axes, *self.figures]
        without = f" Profile '{self.origin.profile}' has no costs." if name in COST_AXES else ""
        raise InputError(f"axis '{name}' is not in this table.{without}{nearest(name, known)} Known: {', '.join(known)}.")

    def front(self, axes: Sequence[str]) -> Indices:
        """Return the numbers of the plans of the exact Pareto frontier over axes, ordered by the first of them."""
        if not axes:
            raise InputError(f"no axes for the frontier. Name some of metric, loss{''.join(', ' + a for a in self.axes)}.")
        return pareto_front(np.stack([self.axis(name) for name in axes], axis=1))

    def right(self, rows: Indices, samples: Indices | None = None) -> npt.NDArray[np.bool_]:
        """Return which samples are right under plans, bool [P', n]."""
        if self.correct is None:
            raise InputError(f"metric '{self.metric.name}' does not say of a sample whether it is right.")
        found = np.unpackbits(self.correct[rows], axis=1, count=self.samples).view(np.bool_)
        return found if samples is None else found[:, samples]

    def oracle(self, metric: str | None = None) -> Replay:
        """Return an oracle that answers from the rows. metric: decides instead of the table's own (any of its figures)."""
        from workbench.truth.replay import Replay

        if metric is None or metric == self.metric.name:
            return Replay(self, self.metric)
        if metric not in self.figures or metric not in METRICS:
            raise InputError(f"metric '{metric}' is not in this table.{nearest(metric, self.figures)} "
                             f"Known: {', '.join(self.figures)}.")  # fmt: skip
        return Replay(self, METRICS[metric])

    def frame(self) -> pd.DataFrame:
        """Return one row per plan: its metrics, its costs, then one column per group of layers, named after the first layer
        (`layer:` before it where another column has that name), with its format."""
        columns: dict[str, Any] = dict(self.figures)
        if self.costs is not None:
            columns |= dict(zip(COST_AXES, self.costs.T, strict=True))
        codes = self.space.codes(range(self.space.size))
        for g, (group, names) in enumerate(zip(self.space.groups, self.space.formats, strict=True)):
            name = f"layer:{group.name}" if group.name in columns else group.name
            columns[name] = np.array(names, object)[codes[:, g]]
        return pd.DataFrame(columns)

    def sub(self, formats: Sequence[str]) -> TruthTable:
        """Return the table of fewer formats; groups that have none of them keep what they have.

        Raises: InputError for a format that is on offer nowhere, and for what is no list of formats.
        """
        if isinstance(formats, str) or not isinstance(formats, Sequence) or not formats:
            raise InputError(
                f"the formats of a smaller table are {formats!r}; expected a list of names such as ['w8a8', 'w4a8']."
            )
        on_offer = {f for names in self.space.formats for f in names}
        for name in formats:
            if name not in on_offer:
                raise InputError(f"format '{name}' is not in this table. It has {', '.join(sorted(on_offer))}.")
        kept = [[f for f in names if f in formats] or list(names) for names in self.space.formats]
        offered = {group.name: names for group, names in zip(self.space.groups, kept, strict=True)}
        default = self.space.default if self.space.default in formats else None
        space = Space.of(self.space.groups, offered, default)
        codes = space.codes(range(space.size))
        for g, names in enumerate(kept):
            codes[:, g] = np.array([self.space.formats[g].index(f) for f in names], np.uint8)[codes[:, g]]
        return self._rows(space, self.space.numbers(codes))

    def _rows(self, space: Space, rows: Indices) -> TruthTable:
        return replace(
            self,
            space=space,
            figures={name: values[rows] for name, values in self.figures.items()},
            mean_loss=self.mean_loss[rows],
            correct=None if self.correct is None else self.correct[rows],
            losses=None if self.losses is None else self.losses.take(rows),
            keys=self.keys[rows],
            costs=None if self.costs is None else self.costs[rows],
        )

    def with_costs(self, lowering: Lowering, price: Callable[[Codes], F64]) -> TruthTable:
        """Return the same bits priced for another target, whose arithmetic must be the same. price: as `plan_costs` gives.

        Raises: InputError when one of 256 plans (uniform ones, the rest spread over all) is another program there.
        """
        numbers = np.unique(np.linspace(0, self.space.size - 1, CHECKED_PLANS).astype(np.int64))
        uniform = np.array([self.space.uniform(f) for f in dict.fromkeys(f for names in self.space.formats for f in names)])
        numbers = np.union1d(numbers, self.space.numbers(uniform))
        plans = self.space.plans(self.space.codes(numbers))
        for number, plan in zip(numbers.tolist(), plans, strict=True):
            if program_key(lowering.program(plan)) != self.keys[number].tobytes():
                raise InputError(
                    f"'{lowering.profile.name}' computes plan '{plan.label()}' otherwise than '{self.origin.profile}', of which this "
                    "table is, or the code has changed since it was made. Make a table for that target."
                )
        profile = lowering.profile
        origin = replace(self.origin, profile=profile.name, profile_digest=profile.digest, priced_by=pricing_key(profile))
        return replace(self, origin=origin, costs=price(self.space.codes(range(self.space.size))))

    def digests(self) -> dict[str, str]:
        """Return digests of what never changes for a frozen table, whatever the costs: plans, bits, and the figures in float32 (the
        last places of a logarithm depend on the machine)."""
        figures = b"".join(n.encode() + self.figures[n].astype("<f4").tobytes() for n in sorted(self.figures))
        space = repr([(g.layers, names) for g, names in zip(self.space.groups, self.space.formats, strict=True)])
        bits = b"" if self.correct is None else self.correct.tobytes()
        parts = {"plans": space.encode(), "figures": figures, "bits": bits}
        return {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()}

    def save(self, path: Path | str) -> None:
        """Write the table as Parquet, all or nothing."""
        from workbench.truth.store import save_table

        save_table(self, Path(path))

    @staticmethod
    def load(path: Path | str) -> TruthTable:
        """Return a table from its file; InputError when it is something else, damaged or of another version."""
        from workbench.truth.store import load_table

        return load_table(Path(path))


def program_key(program: Program) -> bytes:
    """Return the hash of what a program computes, without the samples: its steps and outputs, 16 bytes."""
    steps = "".join([step.key for step in program.steps])
    outputs = repr(tuple(tensor.name for tensor in program.outputs))
    return hashlib.sha256((steps + outputs).encode()).digest()[:KEY_BYTES]


def pricing_key(profile: HardwareProfile) -> str:
    """Return the digest of a profile and of the code that estimates its costs."""
    return hashlib.sha256((profile.digest + source_hash(*PRICING)).encode()).hexdigest()
