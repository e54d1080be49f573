"""What a comparison finds, as records."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from workbench.statistics import Difference


@dataclass(frozen=True)
class Sizes:
    """How two arrays of a tensor differ, over all samples.

    differing: elements. samples: with a differing element. largest, total: of the absolute differences, `total` over all elements;
    integers when the tensor has one scale on both sides (steps of it), real numbers otherwise.
    """

    differing: int = 0
    samples: int = 0
    largest: int | float = 0
    total: int | float = 0

    def __add__(self, other: Sizes) -> Sizes:
        return Sizes(
            self.differing + other.differing,
            self.samples + other.samples,
            max(self.largest, other.largest),
            self.total + other.total,
        )


@dataclass(frozen=True)
class LayerDifference:
    """One tensor of the network on both sides.

    elements: of all samples. unit: "step" (differences count integer steps) or "real". cumulative: as deployed, each side with its
    own inputs. local: B's layer on A's activations, against A's layer; None where there is no such run. changes: the rules that
    this layer reads and in which the sides differ.
    """

    layer: str
    op: str
    tensor: str
    elements: int
    unit: Literal["step", "real"]
    cumulative: Sizes
    local: Sizes | None
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FirstDifference:
    """The first tensor in execution order that differs, and one element of it: the first of the first sample that has one.

    a, b: the stored values. context: what the element was made from.
    """

    layer: str
    op: str
    tensor: str
    position: int
    tensors: int
    sizes: Sizes
    elements: int
    samples: int
    unit: Literal["step", "real"]
    sample: int
    index: tuple[int, ...]
    a: int | float
    b: int | float
    changes: tuple[str, ...]
    context: tuple[str, ...]


@dataclass(frozen=True)
class Flip:
    """A sample whose class differs. label: None without labels."""

    sample: int
    a: int
    b: int
    label: int | None


@dataclass(frozen=True)
class Flips:
    """Samples whose class (the first of the largest outputs) differs. The counts of correct ones are None without labels.

    gained: B alone is right; lost: A alone is right; both_wrong: neither, and differently. change: of the share correct, paired.
    output_samples: samples with any difference in their outputs.
    """

    samples: int
    output_samples: int
    flipped: tuple[Flip, ...]
    correct_a: int | None
    correct_b: int | None
    gained: int | None
    lost: int | None
    both_wrong: int | None
    change: Difference | None


@dataclass(frozen=True)
class Effects:
    """What changes against A: samples with another output, samples with another class, samples correct (None without labels)."""

    outputs: int | Fraction
    flips: int | Fraction
    correct: int | Fraction | None


@dataclass(frozen=True)
class Contribution:
    """One switch: its Shapley value, and what it does when it is thrown alone."""

    switch: str
    changes: tuple[str, ...]
    share: Effects
    alone: Effects


@dataclass(frozen=True)
class Attribution:
    """The difference of B from A, divided among switches. total: of B, counted without the switches; sum: of the shares."""

    by: str
    coalitions: int
    contributions: tuple[Contribution, ...]
    total: Effects
    sum: Effects
    notes: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """True when the shares add up to what was counted on B itself."""
        return self.sum == self.total


@dataclass(frozen=True)
class Comparison:
    """What `compare` returns. a, b: names of the sides. layers: in execution order. first: None when nothing differs.

    flips, attribution: None where they cannot be had; `notes` say why.
    """

    model: str
    a: str
    b: str
    samples: int
    layers: tuple[LayerDifference, ...]
    first: FirstDifference | None
    flips: Flips | None
    attribution: Attribution | None
    notes: tuple[str, ...] = ()
