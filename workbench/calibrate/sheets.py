"""The text of cost sheets: YAML with every constant on one line. The same constants give the same bytes."""

from __future__ import annotations

from workbench.hardware.costs import Constant


class Writer:
    """YAML text in which a source that is told again is an alias."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._sources: dict[str, str] = {}

    def line(self, text: str, depth: int = 0) -> None:
        """Add a line."""
        self._lines.append("  " * depth + text)

    def constant(self, name: str, constant: Constant, depth: int = 0) -> None:
        """Add `name: {value, basis, uncertainty, source}`."""
        alias = self._sources.get(constant.source)
        if alias is None:
            alias = self._sources[constant.source] = f"s{len(self._sources) + 1}"
            said = f"&{alias} {quoted(constant.source)}"
        else:
            said = f"*{alias}"
        body = f"value: {number(constant.value)}, basis: {constant.basis}, uncertainty: {number(constant.uncertainty)}"
        self.line(f"{name}: {{{body}, source: {said}}}", depth)

    def text(self) -> str:
        """Return all lines."""
        return "\n".join(self._lines) + "\n"


def number(value: float) -> str:
    """Return a number of four significant digits, without an exponent."""
    rounded = float(f"{value:.4g}")
    return str(int(rounded)) if rounded == int(rounded) else f"{rounded:.10f}".rstrip("0")


def quoted(text: str) -> str:
    """Return a text in double quotes; those inside become single ones."""
    return '"' + text.replace("\\", "\\\\").replace('"', "'") + '"'
