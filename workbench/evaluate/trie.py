"""Plans as a trie over the topological order: steps that several plans share from the start run once.

A program's steps carry content keys. Programs sorted by their key sequences form a trie; it is walked depth first, holding only
the activations that some program below still needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from workbench.execute import Program, Values, run_step

Visit = Callable[[int, Values], None]
"""(index of the program, its outputs by tensor name)."""


def sort_programs(programs: Sequence[Program]) -> list[int]:
    """Return the indices of the programs, ordered so that shared prefixes are adjacent."""
    keys = [tuple(step.key for step in p.steps) for p in programs]
    return sorted(range(len(programs)), key=keys.__getitem__)


def count_steps(programs: Sequence[Program]) -> int:
    """Return how many steps a walk over sorted programs runs (per chunk of samples)."""
    total = 0
    previous: tuple[str, ...] = ()
    for program in programs:
        keys = tuple(step.key for step in program.steps)
        shared = 0
        while shared < min(len(keys), len(previous)) and keys[shared] == previous[shared]:
            shared += 1
        total += len(keys) - shared
        previous = keys
    return total


def walk(programs: Sequence[Program], feed: Values, visit: Visit, tick: Callable[[], None]) -> None:
    """Run sorted programs on one chunk of samples, calling `visit` with each one's outputs and `tick` per step run."""
    stack: list[tuple[int, int, int, Values]] = [(0, len(programs), 0, dict(feed))]
    while stack:
        first, last, depth, values = stack.pop()
        while True:
            program = programs[first]
            if depth == len(program.steps):
                visit(first, {name: values[name] for name in program.graph.outputs})
                first += 1
                if first == last:
                    break
                continue
            end = _same_step(programs, first, last, depth)
            if end < last:
                stack.append((end, last, depth, dict(values)))
                last = end
            step = program.steps[depth]
            run_step(step, values)
            tick()
            for name in (*step.node.inputs, *step.node.outputs):
                if name in values and all(programs[i].last_use.get(name, -1) <= depth for i in range(first, last)):
                    del values[name]
            depth += 1


def _same_step(programs: Sequence[Program], first: int, last: int, depth: int) -> int:
    """Return the end of the run of programs that share step `depth` with programs[first]."""
    key = programs[first].steps[depth].key
    end = first + 1
    while end < last and len(programs[end].steps) > depth and programs[end].steps[depth].key == key:
        end += 1
    return end
