"""The page of one run: what was wanted, what was measured, on which machine. Its text is page.md.jinja.

python -m benchmarks.page FOLDER     # writes FOLDER/README.md and its pictures again from FOLDER/*.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2

from benchmarks.figures import draw
from benchmarks.targets import RULES, Results, instructions, interval, layers_of, percent, shares, small_windows, targets, title
from benchmarks.throughput import FEW, PART, WHOLE, fastest
from benchmarks.timing import Middle, Times

SECTIONS = ("machine", "gemm", "layers", "throughput", "sweeps", "growth", "memory", "startup")
PARTS = ("product", "load", "requantize", "call")
PEERS = {"default": "LiteRT default", "reference": "LiteRT reference", "tflite-micro": "tflite-micro", "onnx": "ONNX Runtime"}
EMULATORS = [f"emulator, `{rule}`" for rule in RULES]


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def machine_table(m: dict[str, Any], load: Sequence[float] | None) -> str:
    """Return the machine, and how quiet it was."""
    n = m["noise"]
    others = [f"`{p}`" for p in m["paths"] if p != m["path"]]
    rows = {
        "CPU": f"{m['cpu']} (LLVM: {m['llvm_cpu']}){', virtual machine' if m['virtual'] else ''}",
        "features": ", ".join(m["features"]) or "none of those that matter",
        "path of the kernels": f"`{m['path']}`{', asked for' if m['forced'] else ''} (other paths: {', '.join(others) or 'none'})",
        "cores, memory": f"{m['usable_cores']} of {m['cores']} cores, {m['memory_bytes'] / 2**30:.0f} GiB",
        "system": f"{m['system']}, Python {m['python']}",
        "versions": ", ".join(f"{name} {v}" for name, v in m["packages"].items()) + f"; BLAS: {m['blas']}",
        "source": f"commit {m['commit']}" if m["commit"] else "not a checkout",
        "load average at the start": ", ".join(f"{x:.2f}" for x in load) + " (1, 5, 15 minutes)" if load else "unknown",
        "peak of the instruction": f"int8 {n['bytes']:.0f} GMAC/s ({instructions(n)}), int16 {n['words']:.0f} GMAC/s: a loop on "
        "registers alone, one core; the clock is counted by additions that wait for one another",
        "noise": f"of {n['rounds']} equal register loops 80 % took {n['spread'][0]:.3f} to {n['spread'][1]:.3f} of the median; two "
        f"threads of them are x {interval(Middle(*n['two_threads']))} as fast as one",
    }
    return table(("", ""), rows.items())


def gemm(found: dict[str, Any]) -> dict[str, Any]:
    """Return the matrix products: a grid per kind of figure."""
    cells = {(r["k"], r["n"]): r for r in found["gemm"] if r["kind"] == "bytes"}
    depths, widths = (sorted(set(values)) for values in zip(*cells, strict=True))

    def figure(row: dict[str, Any] | None, name: str) -> str:
        return f"{row[name]['gmacs']:.0f} ({percent(row[name]['of_peak'])})" if row else ""

    def grid(name: str) -> str:
        return table(
            ("K", *(f"N {n}" for n in widths)), [(k, *(figure(cells.get((k, n)), name) for n in widths)) for k in depths]
        )

    words = [(r["k"], r["n"], figure(r, "tiles"), figure(r, "layer")) for r in found["gemm"] if r["kind"] == "words"]
    over = [r["over_blas"][0] for r in cells.values()]
    return {name: grid(name) for name in ("tiles", "layer", "blas")} | {
        "rows": found["rows"], "words": table(("K", "N", "tile kernels alone", "whole layer"), words),
        "over_blas": f"{min(over):.1f} to {max(over):.1f}",
    }  # fmt: skip


def layers(results: Results) -> dict[str, Any]:
    """Return the convolutions of ResNet-8 and the parts of every network."""
    convolutions = [
        (f"`{rule}`", title(row), f"{row['gmacs']:.0f}", interval(Middle(*row["of_peak"])), f"{row['macs'] / row['executed']:.0%}",
         *(f"{row[part] / 1e3:.2f}" for part in PARTS))
        for rule, row in small_windows(results)
    ]  # fmt: skip
    sums = []
    for name in results["layers"]["networks"]:
        for rule in RULES:
            us = shares(layers_of(results, name, rule))
            if any(us.values()):
                sums.append((name, f"`{rule}`", *(f"{v:.1f}" for v in (sum(us.values()), *us.values()))))
    return {
        "batch": results["layers"]["batch"],
        "convolutions": table(("rule", "layer", "GMAC/s", "of the peak", "useful", *PARTS), convolutions),
        "sums": table(("network", "rule", "sum", *PARTS, "other operators"), sums),
    }


class Network:
    """The cells of one network."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.row, self.name, self.times = row, row["network"], Times(row["seconds"])
        present = {key.split("/")[0] for key in self.times.rounds}
        self.best = {who: fastest(row, who) for who in PEERS if who in present}

    def rate(self, key: str | None, named: bool = False) -> str:
        """Return samples per second, with the batch if it is to be named."""
        return "-" if key is None else f"{1 / self.times.seconds(key):,.0f}" + (f" ({key.split('/')[1]})" if named else "")

    def ratio(self, key: str, base: str | None, digits: int = 2) -> str:
        """Return a ratio with its interval."""
        return "-" if base is None else interval(self.times.ratio(key, base), digits)

    def rates(self) -> list[str]:
        """Return everybody's samples per second."""
        own, peers = (f"{rule}/{WHOLE}/1" for rule in RULES), (self.rate(self.best.get(who), True) for who in PEERS)
        return [self.name, f"{self.row['macs'] / 1e6:.2f}", *map(self.rate, own), *peers]

    def ratios(self, rule: str) -> list[str]:
        """Return the emulator over everybody."""
        whole, part = (f"{rule}/{batch}/1" for batch in (WHOLE, PART))
        base = self.best.get
        default = [self.ratio(key, base("default")) for key in (whole, part)]
        micro = [self.ratio(whole, base(who), 1) for who in ("reference", "tflite-micro")]
        return [self.name, f"`{rule}`", *default, *micro, self.ratio(whole, base("onnx"))]

    def single(self) -> list[str]:
        """Return us per call of one sample."""
        keys = [f"{who}/1/1" for who in (*RULES, "default", "onnx")]
        us = [f"{1e6 * self.times.seconds(key):.0f}" if key in self.times.rounds else "-" for key in keys]
        return [self.name, *us, *(self.ratio(f"{rule}/1/1", "default/1/1") for rule in RULES)]

    def double(self, rule: str) -> list[str]:
        """Return what a second thread is worth."""
        own, theirs = f"{rule}/{WHOLE}/2", fastest(self.row, "default", 2)
        scale = [self.ratio(f"{rule}/{batch}/2", f"{rule}/{batch}/1") for batch in (WHOLE, 1)]
        rest = [self.rate(theirs, True), self.ratio(theirs, self.best["default"]), self.ratio(own, theirs)]
        return [self.name, f"`{rule}`", self.rate(own), *scale, *rest]

    def equal(self) -> list[str]:
        """Return what was compared."""
        near = self.row["onnx"]
        text = near.get("missing") or (
            f"{near['equal']:.1%} of the values equal, the others by up to {near['steps']} steps; {near['top1']:.1%} of the largest "
            "outputs at the same place"
        )
        return [self.name, self.row["inputs"], *map(str, self.row["compared"].values()), text]


def throughput(found: dict[str, Any]) -> dict[str, Any]:
    """Return the tables of whole networks."""
    rows = [Network(row) for row in found["networks"]]
    both = [(row, rule) for row in rows for rule in RULES]
    pairs = [f"`{name}`" for row in found["networks"][:1] for name in row["compared"]]
    return {
        "networks": rows, "whole": WHOLE, "part": PART, "few": FEW,
        "rates": table(("network", "million MACs", *EMULATORS, *PEERS.values()), [row.rates() for row in rows]),
        "ratios": table(
            ("network", "rule", *(f"over LiteRT default, {batch}" for batch in (WHOLE, PART)),
             *(f"over {name}" for who, name in PEERS.items() if who != "default")),
            [row.ratios(rule) for row, rule in both],
        ),
        "single": table(
            ("network", *EMULATORS, "LiteRT default", "ONNX Runtime", *(f"`{rule}` over LiteRT" for rule in RULES)),
            [row.single() for row in rows],
        ),
        "double": table(
            ("network", "rule", "samples/s", f"2 threads over 1, batch {WHOLE}", "2 over 1, batch 1", "LiteRT default (batch)",
             "LiteRT 2 over 1", "emulator over LiteRT"),
            [row.double(rule) for row, rule in both],
        ),
        "equal": table(("network", "samples", *pairs, "ONNX Runtime beside `float32_half_even`"), [row.equal() for row in rows]),
    }  # fmt: skip


def growth(found: dict[str, Any], swept: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the exponents."""
    batches = [
        (f"batch 1 to {row['x'][-1]}, {row['network']}", f"{row['exponent']:.2f}", f"{row['large_exponent']:.2f} from {found['large']}",
         f"{1e6 * row['call']:.0f} us a call + {1e6 * row['sample']:.1f} us a sample")
        for row in found["batch"]
    ]  # fmt: skip
    deep = found["layers"]
    layers = (
        f"1 to {deep['x'][-1]} equal layers",
        f"{deep['exponent']:.2f}",
        "",
        f"{1e3 * deep['seconds'][0]:.2f} ms the first",
    )
    plans = [
        (f"{row['x'][0]} to {row['x'][-1]:,} plans, {row['model']} {row['formats']}", f"{row['exponent']:.2f}", "", "")
        for row in swept
    ]
    return {"rows": table(("size", "exponent", "of large sizes", "line"), [*batches, layers, *plans])}


def memory(found: dict[str, Any]) -> dict[str, Any]:
    """Return the peaks of the networks."""
    rows = [(name, *(f"{row[s] / 2**20:.0f}" for s in found["stages"])) for name, row in found["networks"].items()]
    return {"networks": table(("network", *found["stages"]), rows)}


def page(results: Results, pictures: Sequence[str]) -> str:
    """Return the page. pictures: those that were made."""
    run, found = results["run"], targets(results)
    swept = (results["sweeps"] or {"sweeps": []})["sweeps"]
    marks = {True: "yes", False: "**no**", None: ""}
    peaks = [(f"sweep {row['model']}, {row['formats']}", f"{row['rss_mb']:,.0f} MB") for row in swept]
    peaks += [(name, f"{s['peak_bytes'] / 1e6:,.0f} MB") for name, s in run["sections"].items() if s["peak_bytes"]]

    def tables(name: str, make: Any, *args: Any) -> Any:
        return None if results[name] is None else make(*(args or (results[name],)))

    text = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False).from_string(
        Path(__file__).with_name("page.md.jinja").read_text()
    )
    return text.render(
        run=run, machine=results["machine"], pictures=pictures, peaks=table(("what", "peak"), peaks),
        target_table=table(("target", "measured", "reached"), [(t.wanted, t.found, marks[t.reached]) for t in found]),
        missed=[t for t in found if t.reached is False], machine_table=machine_table(results["machine"], run["load"]),
        gemm=tables("gemm", gemm), layers=tables("layers", layers, results), throughput=tables("throughput", throughput),
        sweeps=tables("sweeps", lambda f: {"texts": [row["text"] for row in f["sweeps"]]}),
        growth=tables("growth", growth, results["growth"], swept), memory=tables("memory", memory), startup=results["startup"],
    )  # fmt: skip


def write(folder: Path) -> Path:
    """Write the page of a folder from its JSON files; a section without one is said to be missing."""
    files = {name: folder / f"{name}.json" for name in ("run", *SECTIONS)}
    results = {name: json.loads(path.read_text()) if path.exists() else None for name, path in files.items()}
    target = folder / "README.md"
    target.write_text(page(results, draw(results, folder)))
    return target


def main() -> None:
    """Write the page again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    print(write(parser.parse_args().folder))


if __name__ == "__main__":
    main()
