"""`${NAME}` in the values of a set-up file; `$${NAME}` is the text "${NAME}" itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from associations.setup.problems import Problems, key_path
from connections.redaction import redact

_VARIABLE = re.compile(r"(\$?)\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class FromEnvironment(str):
    """A text that variables were filled into; `template` is what the file says."""

    __slots__ = ("template",)
    template: str

    @classmethod
    def of(cls, value: str, template: str) -> FromEnvironment:
        made = cls(value)
        made.template = template
        return made


def expand(tree: Any, environ: Mapping[str, str], problems: Problems) -> Any:
    """Fill the environment's values into every text; names of keys stay as they are."""
    return _expand(tree, "", environ, problems)


def _expand(
    tree: Any, path: str, environ: Mapping[str, str], problems: Problems
) -> Any:
    if isinstance(tree, dict):
        return {
            k: _expand(v, key_path(path, str(k)), environ, problems)
            for k, v in tree.items()
        }
    if isinstance(tree, list):
        return [
            _expand(v, f"{path}[{i}]", environ, problems) for i, v in enumerate(tree)
        ]
    if not isinstance(tree, str) or "${" not in tree:
        return tree

    def fill(match: re.Match[str]) -> str:
        escaped, name = match.groups()
        if escaped:
            return f"${{{name}}}"
        if not _NAME.fullmatch(name):
            problems.add(path, f"${{{name}}} does not name an environment variable.")
            return ""
        if name not in environ:
            problems.add(
                path,
                f"The environment variable {name} is not set; set it and try again.",
            )
            return ""
        if not environ[name] and match.group() == tree:
            problems.add(
                path, f"The environment variable {name} is empty; set it and try again."
            )
        return environ[name]

    return FromEnvironment.of(_VARIABLE.sub(fill, tree), tree)


def escape(value: str) -> str:
    """A text as it must stand in a file to come out the same."""
    return _VARIABLE.sub(lambda m: f"${m.group(0)}", value)


def template_of(value: str) -> str:
    """What may be kept of where a secret came from; "" where it holds secrets itself.

    `${TOKEN}`, and `postgres://app:${PASSWORD}@db/ops`, but nothing with a password.
    """
    if not isinstance(value, FromEnvironment):
        return ""
    template = value.template
    words = template.split(",")
    if all(_VARIABLE.fullmatch(w) and not w.startswith("$$") for w in words):
        return template
    # No more than a URL's address may stand beside the variables, and no query, where
    # passwords can hide.
    bare = _VARIABLE.sub("", template)
    is_url = re.fullmatch(r"\w+://[^\s?]*", bare) is not None
    return template if is_url and redact(bare) == bare else ""
