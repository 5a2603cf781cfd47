"""KubeRay's published schema beside Kubernetes' own: what a manifest's faults are."""

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

KUBERAY = Path(__file__).parent / "kuberay_v1.6.2.yaml"
KUBERNETES = "1.34"  # that the manifests are held against


def faults(manifest: dict[str, Any]) -> list[str]:
    """Return what the API server would refuse, or drop as unknown: a path and a reason each."""
    if not manifest["apiVersion"].startswith("ray.io/"):
        try:
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            return [f"{'.'.join(map(str, error.path))}: {error.message}"]
        return []
    found = _validator(manifest["kind"]).iter_errors(manifest)
    return [f"{error.json_path}: {error.message}" for error in found]


@cache
def _validator(kind: str) -> Draft202012Validator:
    theirs = _definitions()
    ours = yaml.safe_load(KUBERAY.read_text())
    schema = {"$ref": f"#/$defs/{kind}", "$defs": _closed(ours, set(ours), theirs["$id"])}
    registry: Registry = Resource.from_contents(theirs) @ Registry()
    return Draft202012Validator(schema, registry=registry)


def _definitions() -> dict[str, Any]:
    folder = resources.files(kubernetes_validate) / "kubernetes-json-schema" / f"v{KUBERNETES}.0-local-strict"
    return json.loads((folder / "_definitions.json").read_text())


def _closed(part: Any, ours: set[str], theirs: str) -> Any:
    """Return a part of our schema with whole references, and with objects that take no other fields."""
    if isinstance(part, list):
        return [_closed(each, ours, theirs) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        name = part["$ref"]
        return {"$ref": f"{'' if name in ours else theirs}#/$defs/{name}"}
    if "additionalProperties" in part:
        return {"type": "object", **part}
    closed = {key: _closed(value, ours, theirs) for key, value in part.items()}
    return {"type": "object", "additionalProperties": False, **closed} if "properties" in part else closed
