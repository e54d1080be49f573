"""Broken model files: of bytes (bits, words, truncations, moved pieces), and of the parsed structure (fields of its records)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import Message

Rng = np.random.Generator
EXTREMES = (0, 1, 2, 3, 4, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC, 0x40000000)
NUMBERS = (
    -(2**63),
    -(2**31),
    -129,
    -2,
    -1,
    0,
    1,
    2,
    3,
    5,
    7,
    8,
    16,
    127,
    255,
    256,
    4096,
    65535,
    2**20,
    2**31 - 1,
    2**31,
    2**62,
)
REALS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e-30, 1e30, 3.4e38, float("inf"), float("-inf"), float("nan"), 0.5)


def _flip(data: bytearray, rng: Rng) -> None:
    for _ in range(int(rng.integers(1, 5))):
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(0, 8))


def _byte(data: bytearray, rng: Rng) -> None:
    data[int(rng.integers(len(data)))] = int(rng.integers(0, 256))


def _word(data: bytearray, rng: Rng) -> None:
    at = int(rng.integers(len(data))) & ~3
    if at + 4 <= len(data):
        struct.pack_into("<I", data, at, int(rng.choice(EXTREMES)))


def _nudge(data: bytearray, rng: Rng) -> None:
    at = int(rng.integers(len(data))) & ~3
    if at + 4 <= len(data):
        value = struct.unpack_from("<I", data, at)[0] + int(rng.integers(-16, 17))
        struct.pack_into("<I", data, at, value & 0xFFFFFFFF)


def _cut(data: bytearray, rng: Rng) -> None:
    del data[int(rng.integers(0, len(data))) :]


def _move(data: bytearray, rng: Rng) -> None:
    size = int(rng.integers(1, 64))
    a, b = (int(v) for v in rng.integers(0, len(data), 2))
    piece = data[a : a + size]
    data[b : b + len(piece)] = piece


BYTES: tuple[Callable[[bytearray, Rng], None], ...] = (_flip, _byte, _word, _word, _nudge, _nudge, _cut, _move)


def of_bytes(data: bytes, rng: Rng) -> bytes:
    """Return the file with some bytes changed."""
    mutant = bytearray(data)
    BYTES[int(rng.integers(len(BYTES)))](mutant, rng)
    return bytes(mutant)


def of_structure(data: bytes, rng: Rng) -> bytes:
    """Return the file with one to three fields of its records changed; of bytes when it cannot be parsed."""
    try:
        return _onnx(data, rng) if data[4:8] != b"TFL3" else _tflite(data, rng)
    except Exception:  # a value that the writer itself cannot store
        return of_bytes(data, rng)


def _tflite(data: bytes, rng: Rng) -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    fields = list(_flat_fields(model, 0))
    for _ in range(int(rng.integers(1, 4))):
        owner, name = fields[int(rng.integers(len(fields)))]
        _change(owner, name, rng)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _flat_fields(record: Any, depth: int) -> Iterator[tuple[Any, str]]:
    """Yield (record, field) of everything below a record of the object interface, buffers of weights left out."""
    for name, value in vars(record).items():
        if type(record).__name__ == "BufferT" and name == "data":
            continue
        parts = value if isinstance(value, list) else [value]
        for part in parts:
            if hasattr(part, "Pack") and depth < 8:
                yield from _flat_fields(part, depth + 1)
        yield record, name


def _change(owner: Any, name: str, rng: Rng) -> None:
    value = getattr(owner, name)
    if isinstance(value, bool | np.bool_):
        setattr(owner, name, not value)
    elif isinstance(value, int | np.integer):
        setattr(owner, name, _number(int(value), rng))
    elif isinstance(value, float | np.floating):
        setattr(owner, name, float(rng.choice(REALS)))
    elif isinstance(value, list | np.ndarray):
        setattr(owner, name, _changed_list(list(value), rng))
    elif isinstance(value, bytes | str):
        setattr(owner, name, value[: len(value) // 2])
    elif value is not None:
        setattr(owner, name, None)


def _changed_list(values: list[Any], rng: Rng) -> list[Any]:
    kind = int(rng.integers(5))
    if not values or kind == 0:
        return []
    at = int(rng.integers(len(values)))
    if kind == 1:
        return values[:at] + values[at + 1 :]
    if kind == 2:
        return [*values, values[at]]
    other = int(rng.integers(len(values)))
    if kind == 3 or not isinstance(values[at], int | float | np.number):
        values[at], values[other] = values[other], values[at]
        return values
    real = isinstance(values[at], float | np.floating)
    values[at] = float(rng.choice(REALS)) if real else _number(int(values[at]), rng)
    return values


def _number(value: int, rng: Rng) -> int:
    """Return another integer: near, or one at which something ends."""
    return value + int(rng.integers(-3, 4)) if rng.random() < 0.5 else int(NUMBERS[int(rng.integers(len(NUMBERS)))])


def _onnx(data: bytes, rng: Rng) -> bytes:
    model = onnx.ModelProto.FromString(data)
    fields = list(_proto_fields(model, 0))
    for _ in range(int(rng.integers(1, 4))):
        _change_proto(*fields[int(rng.integers(len(fields)))], rng)
    return bytes(model.SerializeToString())


def _proto_fields(message: Message, depth: int) -> Iterator[tuple[Message, Any]]:
    for field, value in message.ListFields():
        repeated = not isinstance(value, str | bytes | int | float | Message)
        if field.type == field.TYPE_MESSAGE and depth < 12:
            for part in value if repeated else [value]:
                yield from _proto_fields(part, depth + 1)
        if field.name not in ("raw_data", "float_data"):
            yield message, field


def _change_proto(message: Message, field: Any, rng: Rng) -> None:
    value = getattr(message, field.name)
    if field.type == field.TYPE_MESSAGE:
        if isinstance(value, Message):
            message.ClearField(field.name)
        elif len(value):
            at = int(rng.integers(len(value)))
            if rng.random() < 0.5:
                del value[at]
            else:
                value.add().CopyFrom(value[at])
        return
    if not isinstance(value, str | bytes | int | float):
        changed = _changed_list(list(value), rng)
        del value[:]
        value.extend(changed)
    elif isinstance(value, str):
        setattr(message, field.name, str(rng.choice(["", value[: len(value) // 2], value + "x", "Relu", "../../etc/passwd"])))
    elif isinstance(value, bytes):
        setattr(message, field.name, value[: len(value) // 2])
    elif isinstance(value, float):
        setattr(message, field.name, float(rng.choice(REALS)))
    else:
        setattr(message, field.name, _number(value, rng))
