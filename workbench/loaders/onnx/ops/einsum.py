"""Translator of Einsum: letters summed alone first, then one matrix product of two operands, then the order of the result.

'bhid,bhjd->bhij' is a product over d of matrices [i, d] and [j, d] for every (b, h). Letters that stand in both operands and in the
result count matrices, letters of one operand and the result are rows or columns, letters of both that the result lacks are summed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from workbench.loaders.onnx.call import Call, Operand, onnx_op
from workbench.loaders.onnx.values import Value


@onnx_op("Einsum")
def translate_einsum(call: Call) -> list[Operand]:
    """Einsum of one or more operands, joined from left to right."""
    equation = re.sub(r"\s", "", call.text("equation", ""))
    operands = [call.operand(i) for i in range(len(call.args))]
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(operands) or not re.fullmatch(r"[A-Za-z.,]*(->[A-Za-z.]*)?", equation):
        raise call.b.error(f"has the equation '{equation:.80}', which does not fit {len(operands)} operands.")
    ranks = [_rank(x) for x in operands]
    terms = [_spelled(call, term, rank) for term, rank in zip(terms, ranks, strict=True)]
    if arrow:
        dots = max((re.sub(r"[A-Za-z]", "", t) for t in terms), key=len)
        result = result.replace("...", dots)
    else:
        every = "".join(terms)
        result = "".join(sorted({c for c in every if not c.isalpha()})) + "".join(
            sorted(c for c in set(every) if c.isalpha() and every.count(c) == 1)
        )
    if len(set(result)) < len(result) or not set(result) <= set("".join(terms)):
        raise call.b.error(f"has the equation '{equation:.80}', whose result is not made of its terms.")
    x, term = operands[0], terms[0]
    for i in range(1, len(operands)):
        later = set(result) | set("".join(terms[i + 1 :]))
        x, term = _product(call, (x, term), (operands[i], terms[i]), later)
    x, term = _summed(call, x, term, set(result))
    return [_ordered(call, x, term, result)]


def _rank(x: Operand) -> int:
    return x.rank if isinstance(x, Value) else x.array.ndim


def _shape(x: Operand) -> tuple[int, ...]:
    return x.shape if isinstance(x, Value) else x.array.shape


def _spelled(call: Call, term: str, rank: int) -> str:
    """Return the letters of an operand, one per axis; digits stand for the axes of an ellipsis, counted from its end."""
    letters = term.replace("...", "", 1)
    dots = rank - len(letters)
    spelled = term.replace("...", "".join(str(k) for k in range(dots - 1, -1, -1)), 1) if "..." in term else term
    if "." in letters or not 0 <= dots < 10 or len(spelled) != rank or len(set(spelled)) < len(spelled):
        raise call.b.error(f"has the term '{term:.40}' for an operand with {rank} axes; expected every axis once.")
    return spelled


def _summed(call: Call, x: Operand, term: str, kept: set[str]) -> tuple[Operand, str]:
    """Return the operand summed over the letters that nobody else has."""
    axes = [i for i, c in enumerate(term) if c not in kept]
    if axes:
        x = call.make("ReduceSum", x, call.whole(axes), keepdims=0)
    return x, "".join(c for c in term if c in kept)


def _ordered(call: Call, x: Operand, term: str, wanted: Sequence[str]) -> Operand:
    perm = [term.index(c) for c in wanted]
    return x if perm == list(range(len(perm))) else call.make("Transpose", x, perm=perm)


def _product(call: Call, a: tuple[Operand, str], b: tuple[Operand, str], later: set[str]) -> tuple[Operand, str]:
    """Return two operands joined: [batch, rows, summed] times [batch, summed, columns]; later: the letters that are still needed."""
    (x, left), (y, right) = _summed(call, *a, later | set(b[1])), _summed(call, *b, later | set(a[1]))
    both = [c for c in left if c in right]
    batch, summed = [c for c in both if c in later], [c for c in both if c not in later]
    rows, columns = [c for c in left if c not in both], [c for c in right if c not in both]
    sizes = dict(zip(left, _shape(x), strict=True)) | dict(zip(right, _shape(y), strict=True))
    for c, d in zip(left, _shape(x), strict=True):
        if c in both and d != sizes[c]:
            raise call.b.error(f"joins axes of {d} and {sizes[c]} elements by one letter.")
    if not summed and not rows and not columns:
        return call.make("Mul", _ordered(call, x, left, batch), _ordered(call, y, right, batch)), "".join(batch)
    lead = [sizes[c] for c in batch]

    def flat(letters: list[str]) -> int:
        return math.prod(sizes[c] for c in letters)

    x = call.make("Reshape", _ordered(call, x, left, [*batch, *rows, *summed]), call.whole([*lead, flat(rows), flat(summed)]))
    y = call.make(
        "Reshape", _ordered(call, y, right, [*batch, *summed, *columns]), call.whole([*lead, flat(summed), flat(columns)])
    )
    made = call.make("MatMul", x, y)
    term = [*batch, *rows, *columns]
    return call.make("Reshape", made, call.whole([sizes[c] for c in term])), "".join(term)
