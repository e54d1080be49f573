"""Lowering: (graph, plan) -> a quantized graph -> a program of one target.

The quantized graph has the same node and tensor names as the float one; what changes is types, scales and constants, and
`quantize` / `dequantize` nodes appear where neighbours disagree. A file that was already quantized keeps its own scales.
Everything is memoized (`quantize/rewrite.py`), so that thousands of plans share their prepared steps and cost microseconds each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from workbench.errors import InputError
from workbench.execute import Program, Step, prepare_step
from workbench.graph.ir import Array, Graph, Node, State, Tensor
from workbench.hardware.profile import HardwareProfile
from workbench.ops import OPS
from workbench.placement import computed_in
from workbench.precision import Format, PrecisionPlan, is_float
from workbench.quantize.calibrate import Calibration
from workbench.quantize.masks import end_of_mask, find_masks
from workbench.quantize.options import QuantizeOptions
from workbench.quantize.plan_file import PlanFile, Scales
from workbench.quantize.ranges import clip_range, coded, params_from_range, quantize_weights, range_of, real_constant
from workbench.quantize.rewrite import Piece, Rewriter
from workbench.quantize.scales import tied_ranges
from workbench.streams import Streams
from workbench.tensor import STORAGE, QuantParams, dequantize, quantize


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
    activations, unless `scales` (of a plan file) has them; float formats need neither. shared: quantized weights and biases that
    the lowerings of one graph for several targets have in common.
    """

    def __init__(
        self,
        graph: Graph,
        profile: HardwareProfile,
        calibration: Calibration | None = None,
        options: QuantizeOptions | None = None,
        scales: Scales | None = None,
        shared: dict[tuple[object, ...], Tensor] | None = None,
    ) -> None:
        self.graph, self.profile, self.calibration = graph, profile, calibration
        self.scheme = profile.quantization
        self.options = options or QuantizeOptions()
        self.masks = find_masks(graph)
        self.layers = weighted_layers(graph)
        self.layer_set = frozenset(self.layers)
        self._ranges = (
            {} if calibration is None else self.masks.narrowed(graph, tied_ranges(graph, calibration, self.output_quant))
        )
        self._params: dict[tuple[str, str], QuantParams] = dict(scales or {})
        self._constants: dict[tuple[object, ...], Tensor] = {}
        self._shared: dict[tuple[object, ...], Tensor] = {} if shared is None else shared
        self._weight_rules = (*self.options.model_dump().values(), self.scheme.scales, self.scheme.weights)
        self._bias_rules = (self.scheme.bias_bits, self.scheme.bias_shift)
        self._steps: dict[tuple[object, ...], Step] = {}
        self._prepared: dict[Piece, tuple[Step, ...]] = {}
        self._rewriter = Rewriter(self)

    def program(self, plan: PrecisionPlan) -> Program:
        """Return the program of a plan; UnsupportedError when the target has no rule for some step."""
        pieces = self.pieces(plan)
        steps: list[Step] = []
        for piece in pieces:
            prepared = self._prepared.get(piece)
            if prepared is None:
                prepared = self._prepared[piece] = tuple(self._step(node, piece.tensors) for node in piece.nodes)
            steps += prepared
        return Program(tuple(steps), pieces[-1].outputs, self._streams(steps, pieces[-1]))

    def _streams(self, steps: Sequence[Step], end: Piece) -> Streams | None:
        """Return how the steps of a plan run over streams; None for a network without state."""
        if not end.states:
            return None
        ranks = {name: len(self.graph.tensors[name].shape) for name in self.graph.inputs}
        outputs = tuple(tensor.name for tensor in end.outputs)
        return Streams(tuple(step.node for step in steps), end.states, ranks, outputs, self.graph.fixed_batch)

    def _step(self, node: Node, tensors: Mapping[str, Tensor]) -> Step:
        key = (
            node,
            *(
                None if t is None else (t.name, t.dtype, t.quant, id(t.data) if t.data is not None else 0)
                for t in (tensors[n] if n else None for n in (*node.inputs, *node.outputs))
            ),
        )
        if key not in self._steps:
            self._steps[key] = prepare_step(node, tensors, self.profile)
        return self._steps[key]

    def pieces(self, plan: PrecisionPlan) -> list[Piece]:
        """Return what every node becomes in a plan, in order, and the outputs: pieces that plans share are the same objects."""
        if not all(layer in self.layer_set for layer, _ in plan.layers):
            plan.check_layers(self.layers)
        return self._rewriter.pieces(plan)

    @property
    def deciders(self) -> tuple[str | None, ...]:
        """For every node, and the outputs: the layer whose format gives it its type; None when its inputs do, '' = the default."""
        return tuple(self._rewriter.deciders)

    @property
    def keepers(self) -> tuple[str, ...]:
        """For every state: the layer whose format gives the kept value its type."""
        return tuple(self._rewriter.keepers)

    def output_quant(self, op: str) -> str:
        """Return how the output of an operator gets its scale here (see `OpSpec.output_quant`)."""
        return "shared" if op in self.scheme.shared_scale else OPS[op].output_quant

    def params(self, tensor: str, dtype: str) -> QuantParams | None:
        """Return the scale and zero point of an activation when it is stored as `dtype` (None for float types)."""
        if is_float(dtype):
            return None
        key = (tensor, dtype)
        if key not in self._params:
            made = self._make_params(self.graph.tensors[tensor], dtype)
            if made is None:
                return None
            self._params[key] = made
        return self._params[key]

    def _make_params(self, tensor: Tensor, dtype: str) -> QuantParams | None:
        kept = next((s for s in self.graph.states if s.read == tensor.name), None)
        if kept is not None and kept.write != tensor.name and tensor.quant is None:
            return self.params(kept.write, dtype)
        producer = self.graph.producer.get(tensor.name)
        if tensor.quant is not None and tensor.dtype == dtype:
            return tensor.quant
        if producer is not None and computed_in(producer.op, self.profile, dtype) == dtype:
            for kind, (scale, zero_point) in OPS[producer.op].fixed_quant:
                if kind == dtype:
                    return QuantParams.per_tensor(scale, zero_point)
        if tensor.quant is not None:
            return params_from_range(*range_of(tensor.quant, tensor.dtype), dtype, self.scheme)
        if self.calibration is None:
            raise InputError(
                f"model '{self.graph.name}': tensor '{tensor.name}' has no scale for {dtype}. Give calibration data, or a plan file "
                "with `activations:` as a study writes it."
            )
        return params_from_range(*clip_range(self._ranges[tensor.name], self.options, dtype, self.scheme), dtype, self.scheme)

    def kept(self, kept: State, fmt: Format) -> Tensor:
        """Return the tensor of a value that the network keeps, in the format of the layer that it comes from."""
        tensor = self.graph.tensors[kept.read]
        if tensor.is_plain:
            return tensor
        return replace(tensor, dtype=fmt.output, quant=self.params(kept.read, fmt.output))

    def initial(self, kept: State, tensor: Tensor) -> Array:
        """Return the initial value of a kept tensor, stored in its lowered type."""
        original = self.graph.tensors[kept.read]
        if original.dtype == tensor.dtype and original.quant == tensor.quant:
            return kept.initial
        real = dequantize(kept.initial, original.quant) if original.quant is not None else kept.initial.astype(np.float32)
        return quantize(real, tensor.quant, tensor.dtype) if tensor.quant is not None else real.astype(STORAGE[tensor.dtype])

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
        pieces = self.pieces(plan)
        tensors = {name: self.graph.tensors[name] for name in self.graph.inputs}
        for piece in pieces:
            tensors.update(piece.tensors)
        graph = replace(
            self.graph, outputs=tuple(t.name for t in pieces[-1].outputs), input_names=dict(self.graph.input_names),
            states=pieces[-1].states,
        )  # fmt: skip
        return graph.with_nodes([node for piece in pieces for node in piece.nodes], tensors)

    def constant(self, tensor: Tensor, dtype: str, params: QuantParams | None) -> Tensor:
        """Return a constant in another type: quantized with `params`, or cast to float."""
        key = (tensor.name, dtype, params)
        if key not in self._constants:
            real = real_constant(tensor)
            data = quantize(real, params, dtype) if params is not None else real.astype(STORAGE[dtype])
            self._constants[key] = replace(tensor, dtype=dtype, quant=params, data=data)
        return self._constants[key]

    def mask(self, tensor: Tensor, node: Node, dtype: str) -> Tensor:
        """Return a constant of a node; one that masks scores, as low as sums of this integer type need."""
        score = self.masks.added(self.graph, tensor, node)
        ends = [] if score is None else [self.params(name, dtype) for name in (node.outputs[0], score)]
        if score is None or ends[0] is None or ends[1] is None:
            return tensor
        low = end_of_mask(range_of(ends[0], dtype)[0], range_of(ends[1], dtype)[1])
        assert tensor.data is not None
        return replace(tensor, data=np.maximum(tensor.data, np.float32(low)))

    def weights(self, tensor: Tensor, fmt: Format, axis: int) -> Tensor:
        """Return the weights of a layer in a format; the file's own integers when it already has that format."""
        key = (tensor.name, fmt.weight, fmt.granularity, fmt.coding, self._weight_rules)
        if key not in self._shared:
            self._shared[key] = self._make_weights(tensor, fmt, axis)
        return self._shared[key]

    def _make_weights(self, tensor: Tensor, fmt: Format, axis: int) -> Tensor:
        if tensor.quant is not None and tensor.dtype == fmt.weight:
            own = "per_tensor" if len(tensor.quant.scale) == 1 else "per_channel"
            if own == fmt.granularity or own == "per_tensor":
                return tensor if tensor.coding == fmt.coding else replace(tensor, coding=fmt.coding)
        real = real_constant(tensor)
        if is_float(fmt.weight):
            decoded = coded(real, fmt.coding, axis) if fmt.coding else real
            return replace(tensor, dtype=fmt.weight, quant=None, data=decoded.astype(STORAGE[fmt.weight]), coding=fmt.coding)
        channels = axis if fmt.granularity == "per_channel" else None
        data, params = quantize_weights(real, fmt.weight, channels, self.options, self.scheme)
        return replace(tensor, dtype=fmt.weight, quant=params, data=data, coding=fmt.coding)

    def bias(self, tensor: Tensor, x: QuantParams | None, w: Tensor, fmt: Format) -> Tensor:
        """Return the bias of a layer: integers with scale sx * sw[c] (float32 product), saturated to the bias type."""
        if is_float(fmt.bias) or x is None or w.quant is None:
            return self.constant(tensor, fmt.bias, None)
        key = (tensor.name, fmt.bias, x, w.quant, self._bias_rules)
        if key not in self._shared:
            scale = (x.scale[0] * w.quant.scale).astype(np.float32)
            if tensor.quant is not None and tensor.dtype == fmt.bias and np.allclose(tensor.quant.scale, scale, rtol=1e-5):
                self._shared[key] = tensor
            else:
                unit = float(1 << self.scheme.bias_shift)
                ratio = real_constant(tensor).astype(np.float64) / scale.astype(np.float64) / unit
                q = np.copysign(np.floor(np.abs(ratio) + 0.5), ratio)
                bits = self.scheme.bias_bits if fmt.bias == "int32" else 48
                data = (np.clip(q, -(1 << (bits - 1)), (1 << (bits - 1)) - 1) * unit).astype(STORAGE[fmt.bias])
                params = QuantParams(scale, np.zeros(len(scale), np.int64), 0 if len(scale) > 1 else None)
                self._shared[key] = replace(tensor, dtype=fmt.bias, quant=params, data=data)
        return self._shared[key]
