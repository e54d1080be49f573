"""The programs of all coalitions of switches, with those switches made one that no kernel can follow apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from workbench.comparison.hybrid import Hybrids
from workbench.comparison.switches import Switch, chosen, merge
from workbench.errors import UnsupportedError
from workbench.execute import Program


def separate(hybrids: Hybrids, switches: Sequence[Switch]) -> tuple[list[Switch], list[Program], list[str]]:
    """Return switches, the program of every coalition (by mask), and which switches had to be thrown together, in words.

    Two switches are made one when some coalition with one and without the other has rules that no kernel follows together.
    """
    found, notes = list(switches), list[str]()
    while True:
        programs: list[Program] = []
        for mask in range(1 << len(found)):
            try:
                programs.append(hybrids.program(chosen(found, mask)))
            except UnsupportedError as problem:
                if mask in (0, (1 << len(found)) - 1):
                    raise
                i, j = _culprits(hybrids, found, mask)
                notes.append(f"'{found[i].name}' and '{found[j].name}' cannot be separated: {problem}")
                both = merge((found[i], found[j]), f"{found[i].name} + {found[j].name}")
                found = [both if k == i else s for k, s in enumerate(found) if k != j]
                break
        else:
            return found, programs, notes


def _culprits(hybrids: Hybrids, switches: Sequence[Switch], mask: int) -> tuple[int, int]:
    """Return a pair, the one inside and the other outside of an unsupported coalition, that had better not be parted.

    The first that is mended both by taking the one out and by taking the other in; the first of all when there is none.
    """
    pairs = [(i, j) for i, j in combinations(range(len(switches)), 2) if (mask >> i & 1) != (mask >> j & 1)]
    mended = (p for p in pairs if all(_supported(hybrids, switches, mask ^ 1 << k) for k in p))
    return next(mended, pairs[0])


def _supported(hybrids: Hybrids, switches: Sequence[Switch], mask: int) -> bool:
    try:
        hybrids.program(chosen(switches, mask))
    except UnsupportedError:
        return False
    return True
