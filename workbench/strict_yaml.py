"""YAML that refuses what YAML lets through: repeated keys, `1e6` as text, `010` as 8; and errors that name the place.

Source of the traps: YAML 1.1 as implemented by PyYAML (`1e6` without a dot is a string, leading 0 is octal, the last of two
equal keys wins).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from workbench.errors import InputError, nearest

try:
    from yaml import CSafeLoader as _Base  # libyaml: six times faster
except ImportError:  # a PyYAML built without it
    from yaml import SafeLoader as _Base  # type: ignore[assignment]

MAX_DEPTH = 50
"""Levels of nesting; a profile has seven. libyaml composes by recursion in C, where no limit of Python's saves the stack."""

M = TypeVar("M", bound=BaseModel)
_LOOKS_NUMERIC = re.compile(r"[-+]?(\d+[eE][-+]?\d+|0\d+)")


class _StrictLoader(_Base):
    pass


def _mapping(loader: _StrictLoader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float | bool | None):
            raise yaml.constructor.ConstructorError(None, None, "keys must be plain text", key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key '{key}' is repeated", key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)
    return {loader.construct_object(k, deep=True): loader.construct_object(v, deep=True) for k, v in node.value}


def _scalar(loader: _StrictLoader, node: yaml.ScalarNode) -> Any:
    if not node.style and _LOOKS_NUMERIC.fullmatch(node.value):
        raise yaml.constructor.ConstructorError(
            None, None, f"'{node.value}' is not a number to YAML; write it as 1000000, 1_000_000 or 1.0e+6", node.start_mark
        )
    return loader.construct_scalar(node)


def _integer(loader: _StrictLoader, node: yaml.ScalarNode) -> Any:
    if re.fullmatch(r"[-+]?0\d+", node.value):
        return _scalar(loader, node)
    return loader.construct_yaml_int(node)


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
_StrictLoader.add_constructor("tag:yaml.org,2002:str", _scalar)
_StrictLoader.add_constructor("tag:yaml.org,2002:int", _integer)


def load_yaml(path: Path, error: type[InputError] = InputError) -> dict[str, Any]:
    """Return the mapping of a YAML file; `error` with file, line and reason otherwise."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise error(f"{path}: cannot be read: {getattr(problem, 'strerror', None) or problem}.") from None
    return parse_yaml(text, str(path), error)


def parse_yaml(text: str, where: str, error: type[InputError] = InputError) -> dict[str, Any]:
    """Return the mapping of a YAML text; `error` with line and reason otherwise."""
    try:
        _check_depth(text)
        value = yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        line = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise error(f"{where}{line}: {problem.problem or 'is not valid YAML'}.") from None
    except (yaml.YAMLError, RecursionError, ValueError) as problem:
        raise error(f"{where}: is not valid YAML: {problem}.") from None
    if not isinstance(value, dict):
        raise error(f"{where}: expected a mapping of keys to values, found {type(value).__name__}.")
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Base):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"is nested deeper than {MAX_DEPTH} levels", problem_mark=event.start_mark)  # type: ignore[arg-type]


def validate(model: type[M], value: dict[str, Any], where: str, error: type[InputError] = InputError) -> M:
    """Return the record; `error` lists every wrong key with its path, what came, what fits and the nearest name."""
    try:
        return model.model_validate(value)
    except ValidationError as problem:
        raise error("\n".join(_explain(model, item, where) for item in problem.errors()[:5])) from None


def _explain(model: type[BaseModel], item: Any, where: str) -> str:
    path = "$" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in item["loc"])
    if item["type"] == "extra_forbidden":
        known = _known_keys(model, item["loc"][:-1])
        hint = nearest(str(item["loc"][-1]), known)
        fits = f"\nKnown keys here: {', '.join(known)}." if known else ""
        return f"{where}: {path} is not a known key.{hint}{fits}"
    if item["type"] == "missing":
        return f"{where}: {path} is missing."
    came = item.get("input")
    text = repr(came) if isinstance(came, str | int | float | bool | None) else type(came).__name__
    expected = item.get("ctx", {}).get("expected", "")
    hint = nearest(str(came), re.findall(r"'([^']+)'", expected)) if isinstance(came, str) else ""
    message = item["msg"].removeprefix("Value error, ").removesuffix(".")
    if isinstance(came, dict) and item["type"] == "value_error":  # keys that exclude each other: the message names them
        return f"{where}: {path}: {message}."
    return f"{where}: {path} is {text}. {message[:1].upper()}{message[1:]}.{hint}"


def _known_keys(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    current: Any = model
    for part in loc:
        found = None
        for name, info in getattr(current, "model_fields", {}).items():
            if part in (name, info.alias):
                found = info.annotation
        if found is None and isinstance(part, str | int):
            continue  # a key of a dict or an index of a list: the element type was already taken
        current = _record_in(found)
        if current is None:
            return []
    return [info.alias or name for name, info in getattr(current, "model_fields", {}).items()]


def _record_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _record_in(inner)
        if found is not None:
            return found
    return None
