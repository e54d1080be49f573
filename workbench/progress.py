"""Progress with an ETA on a terminal, a few plain lines elsewhere, nothing when asked."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

Tick = Callable[[int, int], None]
"""(done, total)."""


class Reporter(Protocol):
    """Where long work says how far it is."""

    def say(self, text: str) -> None:
        """Print one line."""

    @contextmanager
    def phase(self, title: str) -> Iterator[Tick]:
        """Show one long step; yields the function to call with (done, total)."""


class Silent:
    """Says nothing (the Python interface)."""

    def say(self, text: str) -> None:
        """Print nothing."""

    @contextmanager
    def phase(self, title: str) -> Iterator[Tick]:
        """Show nothing."""
        yield lambda done, total: None


class Plain:
    """One line per phase, and one every ten seconds: for logs."""

    def say(self, text: str) -> None:
        """Print one line to standard error."""
        print(text, file=sys.stderr, flush=True)

    @contextmanager
    def phase(self, title: str) -> Iterator[Tick]:
        """Print progress lines with the time left."""
        began = last = time.monotonic()

        def tick(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= 10.0 and done:
                last = now
                self.say(f"  {title}: {done}/{total}, about {(now - began) * (total - done) / done:.0f} s left")

        yield tick
        self.say(f"  {title}: done in {time.monotonic() - began:.1f} s")


class Bar:
    """A live bar with the time left (rich)."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)

    def say(self, text: str) -> None:
        """Print one line to standard error."""
        self.console.print(text, highlight=False, markup=False)

    @contextmanager
    def phase(self, title: str) -> Iterator[Tick]:
        """Show a bar until the phase ends."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            TextColumn("  {task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=self.console) as bar:
            task = bar.add_task(title.replace("[", "\\["), total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
            bar.update(task, completed=1, total=1)


def make_reporter(quiet: bool) -> Reporter:
    """Return the reporter that fits where standard error goes."""
    if quiet:
        return Silent()
    return Bar() if sys.stderr.isatty() else Plain()
