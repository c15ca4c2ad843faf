"""Read the file's YAML into plain values, without YAML 1.1's surprises.

Only `true` and `false` are booleans (so `off`, `no` and `NO` stay what they are), dates and
`12:30` stay text, and a key that stands twice is an error.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from associations.setup.problems import Problem, SetupRefused

MAX_BYTES = 5_000_000
MAX_DEPTH = 40

_TAGS = {
    "tag:yaml.org,2002:null": (r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    "tag:yaml.org,2002:bool": (
        r"^(?:true|True|TRUE|false|False|FALSE)$",
        list("tTfF"),
    ),
    "tag:yaml.org,2002:int": (r"^[-+]?(?:0|[1-9][0-9]{0,17})$", list("-+0123456789")),
    "tag:yaml.org,2002:float": (
        r"^[-+]?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+]?[0-9]{1,3})?$",
        list("-+0123456789"),
    ),
}


class _Loader(yaml.SafeLoader):
    """SafeLoader with the core types of YAML 1.2 and unique keys; no aliases."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases (& and *) are not supported",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is None:
                raise yaml.MarkedYAMLError(
                    problem="a key must be a plain word", problem_mark=key.start_mark
                )
            if name in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {name!r} stands twice",
                    problem_mark=key.start_mark,
                )
            seen.add(name)
        return {
            # Keys are text, whatever they look like: an option may be called 1 or true.
            str(key.value): self.construct_object(value, deep=True)
            for key, value in node.value
        }


def _map(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _map)
for _tag, (_pattern, _first) in _TAGS.items():
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), _first)


def read(text: str) -> Any:
    """The file's content as dicts, lists, text, numbers, booleans and None.

    Raises: SetupRefused with the line and column of what is no YAML.
    """
    if len(text.encode()) > MAX_BYTES:
        raise SetupRefused([Problem("", "The file is larger than 5 MB.")])
    try:
        tree = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as exc:
        raise SetupRefused(
            [Problem(_place(exc.problem_mark), _why(exc, text))]
        ) from exc
    except yaml.YAMLError as exc:
        raise SetupRefused([Problem("", f"The file is not YAML: {exc}")]) from exc
    except (RecursionError, ValueError) as exc:
        raise SetupRefused([Problem("", "The file cannot be read as YAML.")]) from exc
    if _depth(tree) > MAX_DEPTH:
        raise SetupRefused([Problem("", "The file is nested too deeply.")])
    return tree


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _why(exc: yaml.MarkedYAMLError, text: str) -> str:
    why = " ".join(str(exc.problem or exc.context or "is not YAML").split())
    line = ""
    if exc.problem_mark is not None:
        lines = text.splitlines()
        at = exc.problem_mark.line
        line = lines[at] if at < len(lines) else ""
    if "${" in line and "stands twice" not in why:
        return f'{why}. Inside braces, quote a variable: "${{NAME}}".'
    return f"{why}."


def _depth(tree: Any, at: int = 0) -> int:
    if at > MAX_DEPTH:
        return at
    inner: list[Any] = []
    if isinstance(tree, dict):
        inner = list(tree.values())
    elif isinstance(tree, list):
        inner = tree
    return max((_depth(x, at + 1) for x in inner), default=at)
