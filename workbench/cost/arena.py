"""Where each buffer lies: offsets in one block of memory such that buffers that are needed at the same time do not overlap.

`greedy` is what TFLite Micro does (GreedyMemoryPlanner, tensorflow/lite/micro/memory_planner): largest first, each in the lowest gap
that holds it. `optimised` stands for the planners of code generators: the best of several such orders. `banks` places each buffer
whole in one memory of an accelerator; offsets count through the used part of each. `exact` is for small cases.
Background: dynamic storage allocation is NP-hard (Garey and Johnson 1979, SR2); no plan is below the largest sum of live bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate

from workbench.cost.lifetimes import Buffer
from workbench.hardware.costs import Banks

Span = tuple[int, int, int]
"""Size, first and last use of a buffer."""
MOST_EXACT = 12
"""Buffers up to which `exact` answers in well under a second."""


@dataclass(frozen=True)
class Arena:
    """A plan. peak_bytes: size of the block. lower_bound_bytes: what any plan needs, the largest sum of live buffers.

    persistent_bytes: what the runtime keeps beside it during the whole inference; total_bytes: both.
    """

    buffers: tuple[Buffer, ...]
    peak_bytes: int
    lower_bound_bytes: int
    persistent_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """Peak and what is kept all along."""
        return self.peak_bytes + self.persistent_bytes


def plan(
    buffers: Sequence[Buffer], planner: str = "optimised", alignment: int = 1, persistent: int = 0, banks: Banks | None = None
) -> Arena:
    """Return the buffers with offsets. alignment: every size is rounded up to it, so that every offset is a multiple of it.

    banks: the memories of the planner `banks`.
    """
    sized = aligned(buffers, alignment)
    spans = _spans(sized)
    offsets = _planned(spans, "optimised" if planner == "none" else planner, banks)
    placed = tuple(replace(b, offset=o) for b, o in zip(sized, offsets, strict=True))
    return Arena(placed, _peak(spans, planner, banks), lower_bound(spans), persistent)


def peak(buffers: Sequence[Buffer], planner: str = "optimised", alignment: int = 1, banks: Banks | None = None) -> int:
    """Return the peak of `plan`, without the buffers' places."""
    return _peak(_spans(aligned(buffers, alignment)), planner, banks)


def _spans(buffers: Sequence[Buffer]) -> tuple[Span, ...]:
    return tuple([(b.size, b.first, b.last) for b in buffers])


def _peak(spans: tuple[Span, ...], planner: str, banks: Banks | None) -> int:
    return lower_bound(spans) if planner == "none" else _height(spans, _planned(spans, planner, banks))


def aligned(buffers: Sequence[Buffer], alignment: int) -> list[Buffer]:
    """Return the buffers that hold something, every size rounded up to a multiple of `alignment`."""
    return [
        b if b.size % alignment == 0 else replace(b, size=-(-b.size // alignment) * alignment) for b in buffers if b.size > 0
    ]


def lower_bound(spans: Sequence[Span]) -> int:
    """Return the largest sum of live bytes."""
    count = max((last for _, _, last in spans), default=-1) + 1
    change = [0] * (count + 1)
    for size, first, last in spans:
        change[first] += size
        change[last + 1] -= size
    return max(accumulate(change), default=0)


@lru_cache(maxsize=4096)
def _planned(spans: tuple[Span, ...], planner: str, banks: Banks | None = None) -> tuple[int, ...]:
    if planner == "banks":
        assert banks is not None, "the planner `banks` places into memories that are given"
        return in_banks(spans, banks)
    by_size = sorted(range(len(spans)), key=lambda i: (-spans[i][0], -i))  # TFLite Micro: of equal ones, the last added first
    best = first_fit(spans, by_size)
    if planner == "greedy":
        return best
    bound = lower_bound(spans)
    orders = (
        by_size,
        sorted(range(len(spans)), key=lambda i: (-spans[i][0] * (1 + spans[i][2] - spans[i][1]), i)),
        sorted(range(len(spans)), key=lambda i: (spans[i][1] - spans[i][2], -spans[i][0], i)),
        sorted(range(len(spans)), key=lambda i: (-_pressure(spans, i), -spans[i][0], i)),
    )
    for order in orders:
        for fit in (first_fit, best_fit):
            if _height(spans, best) == bound:
                return best
            best = min(best, fit(spans, order), key=lambda offsets: _height(spans, offsets))
    return best


def first_fit(spans: Sequence[Span], order: Sequence[int]) -> tuple[int, ...]:
    """Return the offsets when buffers are placed in some order, each in the lowest gap that holds it."""
    return _fill(spans, order, False)


def best_fit(spans: Sequence[Span], order: Sequence[int]) -> tuple[int, ...]:
    """Return the offsets when buffers are placed in some order, each in the smallest gap that holds it (the lowest of equal ones)."""
    return _fill(spans, order, True)


def in_banks(spans: Sequence[Span], banks: Banks) -> tuple[int, ...]:
    """Return the offsets when all that fits one bank lies there, else in several and in the memory after them.

    A buffer larger than that memory takes the banks as one: they are neighbours. The rule is inferred from what ST Edge AI reports for
    ten networks (`stm32n6_npu_w4w8.csv` of the calibration): four as planned, the others 0.85 to 1.14 of it; no document tells it.
    """
    alone = _in_memories(spans, ())
    if _height(spans, alone) <= banks.size_bytes:
        return alone
    largest = max(size for size, _, _ in spans)
    joined = largest > max(banks.size_bytes, banks.next_bytes)
    first = [banks.count * banks.size_bytes] if joined else [banks.size_bytes] * banks.count
    return _in_memories(spans, [*first, banks.next_bytes])


def _in_memories(spans: Sequence[Span], sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the offsets when buffers are placed largest first, each whole in one memory; what fits none lies behind them all.

    A buffer goes to the first memory that holds no other one at its time, so that both are moved at once; where there is none, to
    the first with a gap for it. Offsets count through the used bytes of each memory.
    """
    used = [0] * (len(sizes) + 1)
    placed: list[list[int]] = [[] for _ in used]
    places = [(0, 0)] * len(spans)
    for i in sorted(range(len(spans)), key=lambda i: (-spans[i][0], spans[i][1])):
        size = spans[i][0]
        taken = [
            sorted((places[j][1], places[j][1] + spans[j][0]) for j in held if _meet(spans[j], spans[i])) for held in placed
        ]
        offsets = [_gap(ranges, size, False) for ranges in taken]
        fits = [m for m, room in enumerate(sizes) if offsets[m] + size <= room]
        memory = next((m for m in fits if not taken[m]), fits[0] if fits else len(sizes))
        placed[memory].append(i)
        places[i] = (memory, offsets[memory])
        used[memory] = max(used[memory], offsets[memory] + size)
    starts = [0, *accumulate(used)]
    return tuple(starts[memory] + offset for memory, offset in places)


def exact(spans: Sequence[Span]) -> tuple[int, ...]:
    """Return offsets of the least height, found by branch and bound; ValueError beyond MOST_EXACT buffers.

    Slid down as far as it goes, an optimal plan has every buffer at 0 or on top of another one that it meets. Placing the buffers
    in the order of their offsets, each on the highest one it meets, makes that plan: so trying all orders finds it.
    """
    if len(spans) > MOST_EXACT:
        raise ValueError(f"{len(spans)} buffers; an exact plan is searched for at most {MOST_EXACT}.")
    best = list(_planned(tuple(spans), "optimised"))
    bound, height = lower_bound(spans), _height(spans, best)
    offsets: dict[int, int] = {}

    def search(top: int) -> None:
        nonlocal best, height
        if len(offsets) == len(spans):
            best, height = [offsets[i] for i in range(len(spans))], top
            return
        lowest = max(offsets.values(), default=0)
        for i, span in enumerate(spans):
            if i in offsets or height == bound:
                continue
            offset = max((o + spans[j][0] for j, o in offsets.items() if _meet(spans[j], span)), default=0)
            if offset >= lowest and max(top, offset + span[0]) < height:  # in the order of their offsets
                offsets[i] = offset
                search(max(top, offset + span[0]))
                del offsets[i]

    search(0)
    return tuple(best)


def overlaps(buffers: Sequence[Buffer]) -> list[tuple[Buffer, Buffer]]:
    """Return pairs of buffers that are needed at the same time and share a byte (none in a plan)."""
    ordered = sorted((b for b in buffers if b.size), key=lambda b: b.offset)
    return [(a, b) for i, a in enumerate(ordered) for b in ordered[i + 1 :] if b.offset < a.end and a.meets(b)]


def _meet(a: Span, b: Span) -> bool:
    return a[1] <= b[2] and b[1] <= a[2]


def _height(spans: Sequence[Span], offsets: Sequence[int]) -> int:
    return max((offset + span[0] for span, offset in zip(spans, offsets, strict=True)), default=0)


def _pressure(spans: Sequence[Span], i: int) -> int:
    """Return the bytes of all buffers that one meets: where many are live, there is least freedom."""
    return sum(span[0] for span in spans if _meet(span, spans[i]))


def _fill(spans: Sequence[Span], order: Sequence[int], smallest: bool) -> tuple[int, ...]:
    offsets = [0] * len(spans)
    placed: list[int] = []
    for i in order:
        size, first, last = spans[i]
        taken = sorted((offsets[j], offsets[j] + spans[j][0]) for j in placed if spans[j][1] <= last and first <= spans[j][2])
        offsets[i] = _gap(taken, size, smallest)
        placed.append(i)
    return tuple(offsets)


def _gap(taken: Sequence[tuple[int, int]], size: int, smallest: bool) -> int:
    """Return the offset of a gap between taken ranges (sorted by their start) that holds `size` bytes, else that behind them all."""
    free, found, room = 0, -1, 0
    for start, end in taken:
        gap = start - free
        if gap >= size and (found < 0 or gap < room):
            if not smallest:
                return free
            found, room = free, gap
        free = max(free, end)
    return found if found >= 0 else free
