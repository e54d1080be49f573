"""Lowering: (graph, plan) -> a quantized graph -> a program of one target.

The quantized graph has the same node and tensor names as the float one; what changes is types, scales and constants, and
`quantize` / `dequantize` nodes appear where neighbours disagree. A file that was already quantized keeps its own scales.
Everything is memoized per (layer, formats), so that thousands of plans share their prepared steps.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workbench.errors import InputError
from workbench.execute import Program, Step, last_uses, prepare_step
from workbench.graph.ir import Graph, Node, Tensor
from workbench.hardware.profile import HardwareProfile
from workbench.ops import OPS
from workbench.ops.base import NoAttrs, OpSpec
from workbench.precision import TYPE_BITS, Format, PrecisionPlan, parse_format
from workbench.quantize.calibrate import Calibration
from workbench.quantize.options import QuantizeOptions
from workbench.quantize.plan_file import PlanFile, Scales
from workbench.quantize.ranges import clip_range, params_from_range, quantize_weights, range_of
from workbench.quantize.scales import tied_ranges
from workbench.tensor import RANGES, STORAGE, QuantParams, dequantize, quantize


def weighted_layers(graph: Graph) -> list[str]:
    """Return the names of the nodes that carry weights, in network order: what a plan decides about."""
    return [n.name for n in graph.nodes if _weight(graph, n) is not None]


def _weight(graph: Graph, node: Node) -> Tensor | None:
    spec = OPS[node.op]
    if spec.weights is None or spec.weights.index >= len(node.inputs):
        return None
    tensor = graph.tensors.get(node.inputs[spec.weights.index])
    return tensor if tensor is not None and tensor.is_constant else None


class Lowering:
    """Makes programs of one graph for one target.

    graph: float, or already quantized (then its own scales are used). calibration: for the scales of a float graph's integer
    activations, unless `scales` (of a plan file) has them; float formats need neither.
    """

    def __init__(
        self,
        graph: Graph,
        profile: HardwareProfile,
        calibration: Calibration | None = None,
        options: QuantizeOptions | None = None,
        scales: Scales | None = None,
    ) -> None:
        self.graph, self.profile, self.calibration = graph, profile, calibration
        self.options = options or QuantizeOptions()
        self.layers = weighted_layers(graph)
        self._ranges = {} if calibration is None else tied_ranges(graph, calibration)
        self._params: dict[tuple[str, str], QuantParams] = dict(scales or {})
        self._constants: dict[tuple[object, ...], Tensor] = {}
        self._steps: dict[tuple[object, ...], Step] = {}

    def program(self, plan: PrecisionPlan) -> Program:
        """Return the program of a plan; UnsupportedError when the target has no rule for some step."""
        graph = self.quantized(plan)
        return Program(graph, tuple(self._step(graph, node) for node in graph.nodes), last_uses(graph))

    def _step(self, graph: Graph, node: Node) -> Step:
        tensors = tuple(graph.tensors[n] if n else None for n in (*node.inputs, *node.outputs))
        key = (
            node,
            *(None if t is None else (t.name, t.dtype, t.quant, id(t.data) if t.data is not None else 0) for t in tensors),
        )
        if key not in self._steps:
            self._steps[key] = prepare_step(graph, node, self.profile)
        return self._steps[key]

    # -- types -----------------------------------------------------------------------------------------------------------

    def activation_types(self, plan: PrecisionPlan) -> dict[str, str]:
        """Return node name -> the type it computes in: its format's for layers; others follow their widest input."""
        made: dict[str, str] = {}
        types: dict[str, str] = {}
        for node in self.graph.nodes:
            if node.name in self._layer_set:
                types[node.name] = plan.format_of(node.name).activation
            else:
                inputs = [made[i] for i in node.inputs if i in made]
                types[node.name] = max(inputs, key=_rank) if inputs else self._downstream(node, plan)
            made.update(dict.fromkeys(node.outputs, types[node.name]))
        return types

    @property
    def _layer_set(self) -> frozenset[str]:
        return frozenset(self.layers)

    def _downstream(self, node: Node, plan: PrecisionPlan) -> str:
        """Return the activation type of the nearest layer that reads a node fed by the graph input only."""
        queue = [node]
        for current in queue:
            if current.name in self._layer_set:
                return plan.format_of(current.name).activation
            queue.extend(c for out in current.outputs for c in self.graph.consumers[out])
        return parse_format(plan.default).activation

    def params(self, tensor: str, dtype: str) -> QuantParams | None:
        """Return the scale and zero point of an activation when it is stored as `dtype` (None for float types)."""
        if dtype.startswith("float"):
            return None
        key = (tensor, dtype)
        if key not in self._params:
            self._params[key] = self._make_params(self.graph.tensors[tensor], dtype)
        return self._params[key]

    def _make_params(self, tensor: Tensor, dtype: str) -> QuantParams:
        producer = self.graph.producer.get(tensor.name)
        if tensor.quant is not None and tensor.dtype == dtype:
            return tensor.quant
        if producer is not None:
            for kind, (scale, zero_point) in OPS[producer.op].fixed_quant:
                if kind == dtype:
                    return QuantParams.per_tensor(scale, zero_point)
        if tensor.quant is not None:
            return params_from_range(*range_of(tensor.quant, tensor.dtype), dtype)
        if self.calibration is None:
            raise InputError(
                f"model '{self.graph.name}': tensor '{tensor.name}' has no scale for {dtype}. Give calibration data, or a plan file "
                "with `activations:` as a study writes it."
            )
        return params_from_range(*clip_range(self._ranges[tensor.name], self.options, dtype), dtype)

    def plan_file(self, plan: PrecisionPlan) -> PlanFile:
        """Return a plan with all scales that its program uses, so that it can be run again without calibration data."""
        graph = self.quantized(plan)
        scales = {
            (name, tensor.dtype): tensor.quant
            for name, tensor in graph.tensors.items()
            if name in self.graph.tensors and not tensor.is_constant and tensor.quant is not None
        }
        for node in graph.nodes:
            made = graph.tensors[node.outputs[0]]
            source = node.inputs[0]
            if node.op == "quantize" and made.name not in self.graph.tensors and source in self.graph.tensors and made.quant:
                scales[source, made.dtype] = self.params(source, made.dtype) or made.quant
        return PlanFile(plan, self.options, {} if self.graph.is_quantized else dict(sorted(scales.items())))

    # -- rewriting -------------------------------------------------------------------------------------------------------

    def quantized(self, plan: PrecisionPlan) -> Graph:
        """Return the quantized graph of a plan."""
        plan.check_layers(self.layers)
        return _Rewriter(self, plan).run()

    def constant(self, tensor: Tensor, dtype: str, params: QuantParams | None) -> Tensor:
        """Return a constant in another type: quantized with `params`, or cast to float."""
        key = (tensor.name, dtype, params)
        if key not in self._constants:
            real = _real(tensor)
            data = quantize(real, params, dtype) if params is not None else real.astype(STORAGE[dtype])
            self._constants[key] = replace(tensor, dtype=dtype, quant=params, data=data)
        return self._constants[key]

    def weights(self, tensor: Tensor, fmt: Format, axis: int) -> Tensor:
        """Return the weights of a layer in a format; the file's own integers when it already has that format."""
        key = (tensor.name, fmt.weight, fmt.granularity)
        if key not in self._constants:
            self._constants[key] = self._make_weights(tensor, fmt, axis)
        return self._constants[key]

    def _make_weights(self, tensor: Tensor, fmt: Format, axis: int) -> Tensor:
        if fmt.is_float:
            return replace(tensor, dtype=fmt.weight, quant=None, data=_real(tensor).astype(STORAGE[fmt.weight]))
        if tensor.quant is not None and tensor.dtype == fmt.weight:
            own = "per_tensor" if len(tensor.quant.scale) == 1 else "per_channel"
            if own == fmt.granularity or own == "per_tensor":
                return tensor
        data, params = quantize_weights(
            _real(tensor), fmt.weight, axis if fmt.granularity == "per_channel" else None, self.options
        )
        return replace(tensor, dtype=fmt.weight, quant=params, data=data)

    def bias(self, tensor: Tensor, x: QuantParams | None, w: Tensor, fmt: Format) -> Tensor:
        """Return the bias of a layer: integers with scale sx * sw[c] (float32 product), saturated to the bias type."""
        if fmt.is_float or x is None or w.quant is None:
            return self.constant(tensor, fmt.bias, None)
        key = (tensor.name, fmt.bias, x, w.quant)
        if key not in self._constants:
            scale = (x.scale[0] * w.quant.scale).astype(np.float32)
            if tensor.quant is not None and tensor.dtype == fmt.bias and np.allclose(tensor.quant.scale, scale, rtol=1e-5):
                self._constants[key] = tensor
            else:
                ratio = _real(tensor).astype(np.float64) / scale.astype(np.float64)
                q = np.copysign(np.floor(np.abs(ratio) + 0.5), ratio)
                low, high = RANGES[fmt.bias] if fmt.bias == "int32" else (-(2**47), 2**47 - 1)
                data = np.clip(q, low, high).astype(STORAGE[fmt.bias])
                params = QuantParams(scale, np.zeros(len(scale), np.int64), 0 if len(scale) > 1 else None)
                self._constants[key] = replace(tensor, dtype=fmt.bias, quant=params, data=data)
        return self._constants[key]


class _Rewriter:
    """One pass over the nodes for one plan."""

    def __init__(self, lowering: Lowering, plan: PrecisionPlan) -> None:
        self.low, self.plan, self.graph = lowering, plan, lowering.graph
        self.types = lowering.activation_types(plan)
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.stored: dict[str, Tensor] = {}

    def run(self) -> Graph:
        for name in self.graph.inputs:
            self._put(self.graph.tensors[name])
        for node in self.graph.nodes:
            self._rewrite(node)
        outputs = []
        for name in self.graph.outputs:
            want = self.graph.tensors[name]
            have = self.stored[name]
            outputs.append(
                name if have.dtype == want.dtype else self._convert(have, want.dtype, want.quant, f"{name}:{want.dtype}")
            )
        names = dict(self.graph.input_names)
        graph = replace(self.graph, outputs=tuple(outputs), input_names=names)
        return graph.with_nodes(self.nodes, self.tensors)

    def _put(self, tensor: Tensor) -> Tensor:
        self.tensors[tensor.name] = tensor
        self.stored[tensor.name] = tensor
        return tensor

    def _rewrite(self, node: Node) -> None:
        spec, dtype = OPS[node.op], self.types[node.name]
        layer = node.name in self.low._layer_set
        fmt = self.plan.format_of(node.name) if layer else None
        names = list(node.inputs)
        shared = self._shared_params(node, spec, dtype)
        for i, name in enumerate(node.inputs):
            tensor = self.graph.tensors.get(name)
            if tensor is None or (spec.weights is not None and layer and i in (spec.weights.index, spec.weights.bias)):
                continue
            if tensor.is_constant:
                names[i] = self._constant_input(tensor, node, dtype, shared)
            else:
                names[i] = self._activation_input(tensor.name, dtype, shared)
        if fmt is not None:
            self._weights(node, spec, fmt, names)
        outputs = [self._output(node, spec, name, dtype, names, shared) for name in node.outputs]
        self.nodes.append(replace(node, inputs=tuple(names), outputs=tuple(outputs)))

    def _shared_params(self, node: Node, spec: OpSpec, dtype: str) -> QuantParams | None:
        return self.low.params(node.outputs[0], dtype) if spec.output_quant == "shared" else None

    def _activation_input(self, name: str, dtype: str, shared: QuantParams | None) -> str:
        have = self.stored[name]
        want = shared if shared is not None else (have.quant if have.dtype == dtype else self.low.params(name, dtype))
        if have.dtype == dtype and (have.quant == want):
            return have.name
        suffix = (
            dtype if have.dtype != dtype else f"{dtype}@{float(want.scale[0]):.6g},{int(want.zero_point[0])}" if want else dtype
        )
        return self._convert(have, dtype, want, f"{name}:{suffix}")

    def _convert(self, have: Tensor, dtype: str, params: QuantParams | None, name: str) -> str:
        if name not in self.tensors:
            self.tensors[name] = Tensor(name, have.shape, dtype, params)
            both_float = have.dtype.startswith("float") and dtype.startswith("float")
            op = "cast" if both_float else "dequantize" if dtype.startswith("float") else "quantize"
            self.nodes.append(Node(name, op, (have.name,), (name,), NoAttrs(), f"conversion of '{have.name}' to {dtype}"))
        return name

    def _constant_input(self, tensor: Tensor, node: Node, dtype: str, shared: QuantParams | None) -> str:
        if tensor.dtype in ("int32", "int64", "bool") and tensor.quant is None:
            return self._put_constant(tensor, node)
        if tensor.quant is not None and tensor.dtype == dtype:
            params: QuantParams | None = tensor.quant
        elif dtype.startswith("float"):
            params = None
        else:
            real = _real(tensor)
            params = shared or params_from_range(float(real.min()), float(real.max()), dtype)
        made = self.low.constant(tensor, dtype, params) if params is not tensor.quant or tensor.dtype != dtype else tensor
        return self._put_constant(made, node)

    def _put_constant(self, tensor: Tensor, node: Node) -> str:
        """Add a lowered constant; one that several nodes read gets a name per node, since each may need another scale."""
        if len(self.graph.consumers[tensor.name]) > 1:
            tensor = replace(tensor, name=f"{tensor.name}@{node.name}")
        self.tensors[tensor.name] = tensor
        return tensor.name

    def _weights(self, node: Node, spec: OpSpec, fmt: Format, names: list[str]) -> None:
        assert spec.weights is not None
        w = self.low.weights(self.graph.tensors[node.inputs[spec.weights.index]], fmt, spec.weights.channel_axis)
        names[spec.weights.index] = self._put_constant(w, node)
        if spec.weights.bias < len(node.inputs) and node.inputs[spec.weights.bias]:
            source = self.graph.tensors[node.inputs[spec.weights.bias]]
            b = self.low.bias(source, self.tensors[names[0]].quant, w, fmt)
            names[spec.weights.bias] = self._put_constant(b, node)

    def _output(self, node: Node, spec: OpSpec, name: str, dtype: str, names: list[str], shared: QuantParams | None) -> str:
        original = self.graph.tensors[name]
        if original.dtype in ("int32", "int64", "bool") and original.quant is None:
            return self._put(original).name
        params = self.low.params(name, dtype)
        own_file_scale = original.quant is not None and original.dtype == dtype
        if spec.output_quant == "input" and params is not None and not own_file_scale:
            params = self.tensors[names[0]].quant
        return self._put(replace(original, dtype=dtype, quant=params)).name


def _rank(dtype: str) -> tuple[bool, int]:
    return dtype.startswith("float"), TYPE_BITS[dtype]


def _real(tensor: Tensor) -> np.ndarray:
    assert tensor.data is not None
    return dequantize(tensor.data, tensor.quant) if tensor.quant is not None else tensor.data.astype(np.float32)
