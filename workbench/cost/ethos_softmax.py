"""Softmax, as the compiler takes it apart: the NPU has no division."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from workbench.cost.ethos_engine import Engine, Size
from workbench.cost.ethos_ops import Kernel, Map, NpuOp, View

MOST_FOLDED = 255
"""Channels of a map whose shape is free."""


def one(name: str) -> View:
    """Return one number that an operation of a node carries with it."""
    return View(Map(f"{name}/one", Size(1, 1, 1), 32, constant=True, linear=True), Size(1, 1, 1))


def folded_size(volume: int) -> Size:
    """Return a shape for elementwise work on so many elements: as many channels as divide them, up to 255."""
    depth = next(c for c in range(min(volume, MOST_FOLDED), 0, -1) if volume % c == 0)
    return Size(volume // depth, 1, depth)


class _Maps:
    """The maps between the operations of one node. rows, row: one number per row, folded and as the map has its rows."""

    def __init__(self, name: str, full: Size) -> None:
        self.name, self.full = name, full
        self.rows, self.row = folded_size(full.area), Size(full.h, full.w, 1)
        self.whole = folded_size(full.volume) if full.area > 1 else full

    def of_rows(self, tag: str, bits: int = 32) -> View:
        """Return a new map of one number per row."""
        return View(Map(f"{self.name}/{tag}", self.rows, bits), self.rows)

    def of_all(self, tag: str, bits: int = 32) -> View:
        """Return a new map of the size of the input."""
        return View(Map(f"{self.name}/{tag}", self.full, bits), self.full)

    def op(self, kind: str, inputs: Sequence[View], out: View, table: bool = False) -> NpuOp:
        """Return an elementwise operation."""
        return NpuOp(self.name, "elementwise", kind, tuple(inputs), out, table=table)

    def by_row(self, view: View) -> View:
        """Return a map of rows as it is spread over the input."""
        return View(view.map, self.row)

    def flat(self, view: View) -> View:
        """Return a map of the size of the input in the shape that is quickest."""
        return View(view.map, self.whole)

    def largest(self, ifm: View) -> tuple[NpuOp, View]:
        """Return the operation that finds the largest of each row, and its output."""
        out = self.of_rows("largest", ifm.map.bits)
        seen, made = View(ifm.map, Size(self.full.area, self.full.c, 1)), View(out.map, Size(self.full.area, 1, 1))
        return NpuOp(self.name, "pool", "maxpool", (seen,), made, Kernel(1, self.full.c)), out

    def total(self, ifm: View) -> tuple[NpuOp, View]:
        """Return the operation that sums each row, and its output."""
        out = self.of_rows("total")
        return NpuOp(self.name, "reduce_sum", "sum", (ifm,), self.by_row(out)), out


def softmax(name: str, ifm: View, out: View, engine: Engine) -> list[NpuOp]:
    """Return the operations of a softmax."""
    maps = _Maps(name, ifm.size)
    return _of_bytes(maps, ifm, out, engine) if ifm.map.bits == 8 else _of_int16(maps, ifm, out)


def _of_bytes(maps: _Maps, ifm: View, out: View, engine: Engine) -> list[NpuOp]:
    """Exponentials by table, their sum, and its reciprocal by three steps of Newton's method."""
    number = one(maps.name)
    exp, rounded = maps.of_all("exp"), maps.of_all("rounded")
    first, largest = maps.largest(ifm)
    summed, total = maps.total(rounded)
    lead, shift, headroom, half = (maps.of_rows(tag) for tag in ("lead", "shift", "headroom", "half"))
    scaled, guess = maps.of_rows("scaled"), maps.of_rows("guess0")
    ops = [
        first,
        maps.op("sub", (ifm, maps.by_row(largest)), exp, table=True),
        maps.op("asr", (maps.flat(exp), number), maps.flat(rounded)),
        summed,
        maps.op("clz", (total,), lead),
        maps.op("sub", (number, lead), shift),
        maps.op("sub", (lead, number), headroom),
        maps.op("shl", (total, headroom), half),
        maps.op("mul", (half, number), scaled),
        maps.op("add", (scaled, number), guess),
    ]
    for i in range(1, 4):
        a, b, c, d, better = (maps.of_rows(f"{tag}{i}") for tag in ("a", "b", "c", "d", "guess"))
        ops += [
            maps.op("mul", (guess, half), a), maps.op("sub", (number, a), b), maps.op("mul", (guess, b), c),
            maps.op("mul", (c, number), d), maps.op("add", (guess, d), better),
        ]  # fmt: skip
        guess = better
    product = maps.of_all("product")
    ops.append(maps.op("mul", (exp, maps.by_row(guess)), product))
    shift = maps.by_row(shift)
    if engine.rams is None:  # shifts are not broadcast there: they are first written out
        spread, zeros = maps.of_all("spread"), View(replace(number.map, name=f"{maps.name}/zeros"), maps.full)
        ops.append(maps.op("add", (shift, zeros), spread))
        shift = spread
    return [*ops, maps.op("asr", (product, shift), out)]


def _of_int16(maps: _Maps, ifm: View, out: View) -> list[NpuOp]:
    """Exponentials and 1 / (1 + x) by tables."""
    number, (first, largest) = one(maps.name), maps.largest(ifm)
    below, scaled, exp, product = maps.of_all("below"), maps.of_all("scaled"), maps.of_all("exp", 16), maps.of_all("product")
    summed, total = maps.total(exp)
    lead, shift, power, rest, wide, narrow = (maps.of_rows(t) for t in ("lead", "shift", "power", "rest", "wide", "narrow"))
    reciprocal = maps.of_rows("reciprocal", 16)
    return [
        first,
        maps.op("sub", (ifm, maps.by_row(largest)), below),
        maps.op("mul", (maps.flat(below), number), maps.flat(scaled)),
        maps.op("add", (maps.flat(scaled), number), maps.flat(exp), table=True),
        summed,
        maps.op("clz", (total,), lead),
        maps.op("sub", (number, lead), shift),
        maps.op("shl", (number, shift), power),
        maps.op("sub", (total, power), rest),
        maps.op("shl", (rest, lead), wide),
        maps.op("asr", (wide, number), narrow),
        maps.op("sub", (narrow, number), reciprocal, table=True),
        maps.op("mul", (exp, maps.by_row(reciprocal)), product),
        maps.op("asr", (product, maps.by_row(shift)), out),
    ]
