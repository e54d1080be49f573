"""Operations that become one: activations and elementwise operators behind others, inputs of a concatenation."""

from __future__ import annotations

from dataclasses import replace

from workbench.cost.ethos_engine import Engine
from workbench.cost.ethos_ops import ACTIVATION, Link, NpuOp, View


def _readers(ops: list[NpuOp]) -> dict[str, int]:
    found: dict[str, int] = {}
    for op in ops:
        for view in op.reads():
            found[view.map.name] = found.get(view.map.name, 0) + 1
    return found


def looked_up(ops: list[NpuOp]) -> list[NpuOp]:
    """Return the operations with activations joined to the only producer of what they read, where that has none of its own."""
    readers = _readers(ops)
    found: list[NpuOp] = []
    for op in ops:
        last = found[-1] if found else None
        alone = op.kind == "pool" and op.kernel.area == 1 and (op.table or op.relu) and op.type == ACTIVATION
        if last is not None and alone and _takes(last, op, readers):
            found[-1] = replace(last, out=op.out, table=op.table, relu=op.relu)
        else:
            found.append(op)
    return found


def _takes(last: NpuOp, op: NpuOp, readers: dict[str, int]) -> bool:
    made = last.out.map
    same = op.inputs[0].map.name == made.name and op.inputs[0].size.volume == last.out.size.volume
    return same and readers[made.name] == 1 and not (made.external or last.table or last.relu) and last.type != ACTIVATION


def placed(ops: list[NpuOp]) -> list[NpuOp]:
    """Return the operations with the inputs of a concatenation written where they belong, if nobody else reads them."""
    readers, at = _readers(ops), {op.out.map.name: i for i, op in enumerate(ops)}
    gone: set[int] = set()
    found = list(ops)
    for i, op in enumerate(ops):
        if op.type != "concat":
            continue
        ifm = op.inputs[0]
        j = at.get(ifm.map.name)
        if j is not None and readers[ifm.map.name] == 1 and not ifm.map.external and found[j].out.size == ifm.size:
            found[j] = replace(found[j], out=View(op.out.map, ifm.size))
            gone.add(i)
    return [op for i, op in enumerate(found) if i not in gone]


def chained(ops: list[NpuOp], engine: Engine) -> list[NpuOp]:
    """Return the operations with elementwise ones joined to the one before, where the accelerator can (U85).

    An operation joins when it is the only reader of the one just before, elementwise and of the same size.
    """
    if not engine.chains:
        return ops
    readers = _readers(ops)
    found: list[NpuOp] = []
    for op in ops:
        last = found[-1] if found else None
        if last is not None and _joins(last, op, readers):
            found[-1] = _join(last, op)
        else:
            found.append(op)
    return found


MAX_LINKS = 3
"""Operations that can follow the first of a chain (four in all fit the chaining buffer)."""


def _joins(last: NpuOp, op: NpuOp, readers: dict[str, int]) -> bool:
    made = last.out.map
    if op.kind != "elementwise" or made.external or readers.get(made.name) != 1 or len(last.links) >= MAX_LINKS:
        return False
    if last.table:
        return False
    mine = [view for view in op.inputs if view.map.name == made.name]
    if len(mine) != 1 or mine[0].size != last.out.size or op.out.size != last.out.size:
        return False
    outside = [view for view in (*last.reads(), *op.inputs) if view.map.name != made.name and not _immediate(view)]
    return len(outside) <= 2


def _immediate(view: View) -> bool:
    return view.map.constant and view.scalar


def _join(last: NpuOp, op: NpuOp) -> NpuOp:
    other = next((v for v in op.inputs if v.map.name != last.out.map.name and not _immediate(v)), None)
    link = Link(op.type, op.out.map.bits, other, op.table)
    first = last.first_bits or last.out.map.bits
    return replace(last, links=(*last.links, link), out=op.out, first_bits=first)
