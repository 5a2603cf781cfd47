"""Reading the YAML that people write: a repeated key is an error, and 1e-4 is a number."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from t2ipal.errors import UserError


class _StrictLoader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # refused below, with its own message
            if key in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} occurs twice", key_node.start_mark
                )
            keys.add(key)
        return super().construct_mapping(node, deep)


# YAML 1.1, which PyYAML reads, takes it for text unless there is a dot, and a sign in the exponent.
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+\Z"), list("-+.0123456789")
)


def parse_yaml(text: str) -> Any:
    """Return the content of some YAML; yaml.YAMLError where it is none."""
    return yaml.load(text, Loader=_StrictLoader)


def read_yaml(path: str | Path, what: str) -> Any:
    """Return the content of a YAML file; `what` names it in the UserError raised when it cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read the {what} {str(path)!r}: {error}", "check the path of the file"
        ) from error
    try:
        return parse_yaml(text)
    except yaml.YAMLError as error:
        raise UserError(
            f"the {what} {str(path)!r} is not valid YAML: {error}", "correct the line named above"
        ) from error
