"""`network_program`: the program of a real network on a target, its numbers those of exact estimates."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np

from workbench.cost.axes import COST_AXES
from workbench.cost.many import Estimator, Share
from workbench.quantize import Lowering
from workbench.quantize.rewrite import Piece
from workbench.search.program import F64, Program
from workbench.search.scopes import Scopes
from workbench.search.tables import Assembly
from workbench.sweep import Codes, Space

MOST_COMBINATIONS = 4096
"""Of types around one node. Above, a network is priced by single changes."""
FLASH, LATENCY, RECORDS, FIRST_STEP = 0, 1, 2, 3


def network_program(
    lowering: Lowering,
    space: Space,
    scores: Mapping[str, Sequence[F64]],
    pairs: Mapping[tuple[int, int], Mapping[str, F64]] | None = None,
    base: Codes | None = None,
) -> Program:
    """Return the program of the plans of a space: flash, latency, energy, ram, and scores.

    scores: quantity -> for every group what each of its formats adds. pairs: what two groups' formats add beside that, [F_a, F_b].

    Costs are those of `estimate`: flash, latency and energy equal (but for the order of sums); ram is the largest sum of live bytes,
    which no arena is below: a planner that leaves gaps needs more. Where a network's cost is not a sum over its nodes (Ethos-U, a
    memory on the chip that keeps weights), single changes from `base` are added up, and there is no ram.
    """
    estimator = Estimator(lowering.graph, lowering.profile)
    scopes = Scopes(lowering, space)
    widest = max(prod(len(set(scopes.types[g])) for g in around) for around in scopes.alive)
    code = np.zeros(len(space.groups), np.uint8) if base is None else base
    estimator.price(lowering.pieces(space.plan(code)))
    if estimator.adds_up and widest <= MOST_COMBINATIONS:
        return _Network(lowering, space, estimator, scopes).program(scores, pairs or {})
    return _by_changes(lowering, space, estimator, scopes, code, scores, pairs or {})


class _Network:
    def __init__(self, lowering: Lowering, space: Space, estimator: Estimator, scopes: Scopes) -> None:
        self.lowering, self.space, self.estimator, self.scopes = lowering, space, estimator, scopes
        self.known: dict[tuple[int, ...], list[Piece]] = {}

    def pieces(self, groups: Sequence[int], formats: Sequence[int]) -> list[Piece]:
        """Return the pieces of the plan with the first format everywhere but in some groups."""
        code = [0] * len(self.space.groups)
        for g, f in zip(groups, formats, strict=True):
            code[g] = f
        key = tuple(code)
        if key not in self.known:
            self.known[key] = self.lowering.pieces(self.space.plan(code))
        return self.known[key]

    def program(self, scores: Mapping[str, Sequence[F64]], pairs: Mapping[tuple[int, int], Mapping[str, F64]]) -> Program:
        """Return the program."""
        nodes = range(len(self.scopes.own))
        live = [self._live(i) for i in nodes]
        steps = sum(table.shape[-1] for _, table in live)
        first_score = FIRST_STEP + steps
        names = list(scores)
        made = Assembly(self.space.radices.tolist(), first_score + len(names))
        code: dict[str, float] = {}
        for i in nodes:
            self._costs(made, i, code)
        row = FIRST_STEP
        for groups, table in live:
            made.add(groups, table, range(row, row + table.shape[-1]))
            row += table.shape[-1]
        add_scores(made, scores, pairs, first_score)
        fixed = self.estimator.fixed
        made.constant[[FLASH, LATENCY]] += fixed.flash_bytes, fixed.cycles
        ram = range(FIRST_STEP, first_score)
        for weights in (*made.alone, *made.together.values()):
            weights[ram] += weights[RECORDS]
        made.constant[ram] += made.constant[RECORDS] + fixed.records_bytes
        return self._priced(
            made.program(
                {"flash": FLASH, "latency": LATENCY} | {n: first_score + k for k, n in enumerate(names)},
                {"ram": ram},
                {name: (FLASH, size) for name, size in code.items()},
            )
        )

    def _priced(self, program: Program) -> Program:
        """Return a program with seconds and joules for cycles."""
        profile = self.lowering.profile
        assert profile.costs is not None
        seconds = program.sums["latency"].times(1 / profile.clock_hz)
        energy = seconds.times(profile.costs.energy.active_power_w.value)
        return program.with_sums({"latency": seconds, "energy": energy})

    def _tabled(
        self, node: int, others: frozenset[int], ask: Callable[[list[Piece]], Sequence[float]]
    ) -> tuple[list[int], F64]:
        """Return the groups that decide about a node, and the answers over all their formats: [F_1, ..., F_k, R].

        ask: of a plan's pieces, R numbers. Of another group than the node's own, one format of each type is asked for.
        """
        own, types = self.scopes.own[node], self.scopes.types
        groups = sorted(others | (frozenset() if own is None else {own}))
        asked = [list(range(len(types[g]))) if g == own else sorted(map(types[g].index, set(types[g]))) for g in groups]
        answers = [ask(self.pieces(groups, formats)) for formats in itertools.product(*asked)]
        table = np.array(answers, np.float64).reshape(*map(len, asked), len(answers[0]))
        for axis, (g, formats) in enumerate(zip(groups, asked, strict=True)):
            if g != own:
                table = table.take([formats.index(types[g].index(kind)) for kind in types[g]], axis)
        return groups, table

    def _costs(self, made: Assembly, node: int, code: dict[str, float]) -> None:
        """Add what a node and its conversions cost. code: bytes of what is there once, by name."""
        shares: list[Share] = []

        def ask(pieces: list[Piece]) -> tuple[float, float, float]:
            shares.append(self.estimator.shares(pieces)[node])
            return shares[-1].flash_bytes, shares[-1].cycles, shares[-1].records_bytes

        made.add(*self._tabled(node, self.scopes.around[node], ask), (FLASH, LATENCY, RECORDS))
        names = list({name: size for share in shares for name, size in share.code.items()})
        for share in shares:
            code |= share.code
        groups, needed = self._tabled(
            node, self.scopes.around[node], lambda pieces: [name in self.estimator.shares(pieces)[node].code for name in names]
        )
        for k, name in enumerate(names):
            made.needs(name, groups, needed[..., k] > 0)

    def _live(self, node: int) -> tuple[list[int], F64]:
        """Return groups and the bytes alive while a node and its conversions run, [F_1, ..., F_k, steps]."""
        alive = self.scopes.alive[node]
        steps = int(self._tabled(node, alive, lambda pieces: [len(self.estimator.live(pieces)[node])])[1].max())

        def ask(pieces: list[Piece]) -> list[float]:
            sizes = self.estimator.live(pieces)[node]
            return [*[max(sizes, default=0.0)] * (steps - len(sizes)), *sizes]  # conversions that are not needed add no step

        return self._tabled(node, alive, ask)


def add_scores(
    made: Assembly, scores: Mapping[str, Sequence[F64]], pairs: Mapping[tuple[int, int], Mapping[str, F64]], first: int
) -> None:
    """Add scores to rows from `first` on, in their order."""
    for k, (name, adds) in enumerate(scores.items()):
        for g, own in enumerate(adds):
            made.add([g], np.asarray(own, np.float64)[:, None], [first + k])
        for groups, tables in pairs.items():
            if name in tables:
                made.add(groups, np.asarray(tables[name], np.float64)[..., None], [first + k])


def _by_changes(
    lowering: Lowering,
    space: Space,
    estimator: Estimator,
    scopes: Scopes,
    base: Codes,
    scores: Mapping[str, Sequence[F64]],
    pairs: Mapping[tuple[int, int], Mapping[str, F64]],
) -> Program:
    """Return a program of what single changes of `base` cost, and neighbours of two types beside that (the conversions between)."""
    axes = [axis for axis in COST_AXES if axis != "ram"]
    places = [list(COST_AXES).index(axis) for axis in axes]
    made = Assembly(space.radices.tolist(), len(axes) + len(scores))
    rows = range(len(axes))
    known: dict[tuple[int, ...], F64] = {}

    def price(*changes: tuple[int, int]) -> F64:
        code = np.array(base, np.int64)
        for group, fmt in changes:
            code[group] = fmt
        key = tuple(code.tolist())
        if key not in known:
            known[key] = np.array(estimator.price(lowering.pieces(space.plan(code))))[places]
        return known[key]

    made.constant[: len(axes)] = price()
    for g, count in enumerate(made.options):
        made.add([g], np.stack([price((g, f)) for f in range(count)]) - price(), rows)
    for pair in sorted(
        {(min(g, h), max(g, h)) for g, around in zip(scopes.own, scopes.around, strict=True) if g is not None for h in around}
    ):
        (a, first), (b, second) = ((g, _types(scopes, g, int(base[g]))) for g in pair)
        table = [[price((a, f), (b, k)) - price((a, f)) - price((b, k)) + price() for k in second] for f in first]
        made.add(pair, np.array(table), rows)
    add_scores(made, scores, pairs, len(axes))
    return made.program({name: k for k, name in enumerate((*axes, *scores))}, {}, {})


def _types(scopes: Scopes, group: int, base: int) -> list[int]:
    """Return, for every format of a group, the first of its type; the base's own for those of its type."""
    types = scopes.types[group]
    return [base if kind == types[base] else types.index(kind) for kind in types]
