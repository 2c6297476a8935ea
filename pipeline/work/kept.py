"""What a video's work gave, as bytes and back: a NumPy archive of one JSON text and arrays.

A pickle could run code when it is read; this cannot. The JSON holds classes by name alone, and only those are built
again that the return type of the function names whose result it is.
"""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from fractions import Fraction
from functools import partial
from typing import Any, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from pipeline.work.errors import VideoError

TREE = "tree"  # the archive's member that holds the JSON; arrays are numbered
Arrays = list[NDArray[Any]]


def pack(result: object) -> bytes:
    """Raises: TypeError for what is neither plain, an array, a dataclass nor a NamedTuple, nor made of these."""
    arrays: Arrays = []
    tree = json.dumps(_tree(result, arrays)).encode()
    file = io.BytesIO()
    members: dict[str, Any] = {str(number): array for number, array in enumerate(arrays)}
    np.savez(file, **{TREE: np.frombuffer(tree, np.uint8)} | members)
    return file.getvalue()


def unpack(data: bytes, function: Callable[..., Any]) -> Any:
    """What `pack` was given, as `function` had returned it. Raises: an exception, of any kind, for other bytes."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        tree = json.loads(archive[TREE].tobytes())
        return _value(tree, archive, {"VideoError": VideoError} | classes(function))


def classes(function: Callable[..., Any]) -> dict[str, type]:
    """By their names, the dataclasses and NamedTuples that a function's return type names, and their fields in turn."""
    while isinstance(function, partial):
        function = function.func
    found: dict[str, type] = {}
    waiting = [get_type_hints(function).get("return")]
    while waiting:
        kind = waiting.pop()
        waiting += get_args(kind)
        if isinstance(kind, type) and _fields(kind) and kind.__name__ not in found:
            found[kind.__name__] = kind
            waiting += get_type_hints(kind).values()
    return found


def _fields(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else getattr(kind, "_fields", ())


def _tree(value: Any, arrays: Arrays) -> Any:
    """The value in JSON's terms: what JSON has is itself, the rest is an object with one key that says what it is."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bytes | np.ndarray):
        arrays.append(np.frombuffer(value, np.uint8) if isinstance(value, bytes) else value)
        return {"bytes" if isinstance(value, bytes) else "array": len(arrays) - 1}
    if isinstance(value, Fraction):
        return {"fraction": str(value)}
    if isinstance(value, VideoError):
        return {"VideoError": [str(value)]}
    if names := _fields(type(value)):
        return {type(value).__name__: [_tree(getattr(value, name), arrays) for name in names]}
    if isinstance(value, list):
        return [_tree(one, arrays) for one in value]
    if isinstance(value, tuple):
        return {"tuple": [_tree(one, arrays) for one in value]}
    if isinstance(value, dict):
        return {"dict": [[_tree(key, arrays), _tree(one, arrays)] for key, one in value.items()]}
    raise TypeError(f"a {type(value).__name__} cannot be kept")


def _value(tree: Any, archive: Mapping[str, NDArray[Any]], known: Mapping[str, type]) -> Any:
    if isinstance(tree, list):
        return [_value(one, archive, known) for one in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, inside),) = tree.items()
    if kind in ("bytes", "array"):
        array = archive[str(inside)]
        return array.tobytes() if kind == "bytes" else array
    if kind == "fraction":
        return Fraction(inside)
    values = [_value(one, archive, known) for one in inside]
    if kind == "tuple":
        return tuple(values)
    return dict(values) if kind == "dict" else known[kind](*values)
