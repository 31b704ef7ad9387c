"""Turn YAML into frozen dataclasses, with a clear error for every value that does not fit.

The only conversion is from whole numbers to floats. Text that looks like a number is an error.
"""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from genrepro.base.errors import GenreproError

_UNIONS = (types.UnionType, typing.Union)  # int | str is a UnionType, int | Literal["all"] a typing.Union


class Section:
    """Base class of all sections. `_check` raises an error that names the section and the key."""

    __slots__ = ()

    def _check(self, key: str, *, holds: bool, must: str) -> None:
        if not holds:
            name = type(self).__name__.lower()
            raise GenreproError(f"params.yaml: {name}.{key} = {getattr(self, key)!r} must {must}.")


def read(path: Path) -> Any:
    """Read the plain values of a YAML file at the repository's root, without checks."""
    if not path.is_file():
        raise GenreproError(f"{path} is missing: run from the repository root.")
    return parse(path.read_bytes(), name=str(path))


def parse(content: bytes, *, name: str) -> Any:
    """Parse YAML 1.2 into plain values, without checks. Raise GenreproError if it is not valid YAML."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(content)
    except YAMLError as error:
        # ruamel adds excerpts and advice over many lines. Keep only what is wrong and where.
        mark = getattr(error, "problem_mark", None)
        problem = " ".join((getattr(error, "problem", None) or str(error).splitlines()[0]).split())
        where = f" (line {mark.line + 1})" if mark else ""
        raise GenreproError(f"{name} is not valid YAML: {problem}{where}.") from error


def build(section: type, values: Any, *, name: str, prefix: str) -> Any:
    """Build the dataclass ``section`` from a mapping. ``prefix`` is the dotted path of keys so far.

    Every key is required, except for fields that have a default.
    """
    if not isinstance(values, dict):
        raise GenreproError(
            f"{name}: {prefix.rstrip('.') or 'the file'} must be a mapping of keys to values."
        )
    hints, optional = _keys(section)
    fields = list(hints)
    for key in values:
        if key not in fields:
            raise GenreproError(f"{name}: unknown key {prefix}{key}; known here: {', '.join(fields)}.")
    for key in fields:
        if key not in values and key not in optional:
            raise GenreproError(f"{name}: the key {prefix}{key} is missing.")
    given = [key for key in fields if key in values]
    return section(**{key: _value(hints[key], values[key], name=name, key=prefix + key) for key in given})


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted keys: ``{"train": {"lr": 0.1}}`` becomes ``{"train.lr": 0.1}``."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


@functools.cache
def _keys(section: type) -> tuple[dict[str, Any], frozenset[str]]:
    """The type of each key of a dataclass, in its order, and the keys that have a default."""
    fields, hints = dataclasses.fields(section), typing.get_type_hints(section)
    optional = frozenset(field.name for field in fields if _has_default(field))
    return {field.name: hints[field.name] for field in fields}, optional


def _has_default(field: dataclasses.Field) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _value(hint: Any, value: Any, *, name: str, key: str) -> Any:
    """Check ``value`` against the type ``hint``. Only whole numbers are converted, to floats."""
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, name=name, prefix=key + ".")
    if typing.get_origin(hint) in _UNIONS:
        for option in typing.get_args(hint):
            if dataclasses.is_dataclass(option) and isinstance(value, dict):
                return build(typing.cast(type, option), value, name=name, prefix=key + ".")
            if typing.get_origin(option) in (tuple, dict):
                if isinstance(value, list if typing.get_origin(option) is tuple else dict):
                    return _value(option, value, name=name, key=key)
            elif _fits(option, value):
                return value
            elif option is float and _fits(int, value):
                return float(value)
    elif typing.get_origin(hint) is tuple:
        (item, _) = typing.get_args(hint)
        if isinstance(value, list):
            return tuple(_value(item, entry, name=name, key=key) for entry in value)
    elif typing.get_origin(hint) is dict:
        if isinstance(value, dict) and all(isinstance(name, str) for name in value):
            return value
    elif hint is float and _fits(int, value):
        return float(value)
    elif _fits(hint, value):
        return value
    raise GenreproError(f"{name}: {key} = {value!r} must be {_words(hint)}.")


def _fits(hint: Any, value: Any) -> bool:
    if typing.get_origin(hint) is Literal:
        return value in typing.get_args(hint)
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, hint) and not (isinstance(value, bool) and hint is not bool)


def _words(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(typing.get_args(hint))
    if typing.get_origin(hint) in _UNIONS:
        return " or ".join(_words(option) for option in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return f"a list, each item {_words(typing.get_args(hint)[0])}"
    if typing.get_origin(hint) is dict or dataclasses.is_dataclass(hint):
        return "a mapping of keys to values"
    words = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text"}
    return words.get(hint, "left out")
