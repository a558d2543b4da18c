"""Strict validation of custom resources: as an API server would, but a field that it would drop is an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

Schema = dict[str, Any]
_KEPT = ("type", "enum", "required", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
# Of every object, which CRDs leave to the API server (ObjectMeta of the Kubernetes API reference, the fields we use).
METADATA: Schema = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"},
        "namespace": {"type": "string", "pattern": r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"},
        "labels": _TEXTS,
        "annotations": _TEXTS,
    },
}


def strict(schema: Mapping[str, Any]) -> Schema:
    """JSON Schema of an openAPIV3Schema, in which unknown fields are refused unless the CRD keeps them."""
    made: Schema = {key: schema[key] for key in _KEPT if key in schema}
    if schema.get("x-kubernetes-int-or-string"):
        return {**{key: value for key, value in made.items() if key != "type"}, "type": ["integer", "string"]}
    if "items" in schema:
        made["items"] = strict(schema["items"])
    if schema.get("type") == "object":
        made["properties"] = {name: strict(part) for name, part in schema.get("properties", {}).items()}
        others = schema.get("additionalProperties", False)
        if schema.get("x-kubernetes-preserve-unknown-fields"):
            others = True
        made["additionalProperties"] = strict(others) if isinstance(others, Mapping) else others
    if schema.get("nullable"):
        return {"anyOf": [made, {"type": "null"}]}
    return made


def schema_of(crd: Mapping[str, Any], version: str) -> Schema:
    """Strict schema of a version of a CustomResourceDefinition."""
    (found,) = [item for item in crd["spec"]["versions"] if item["name"] == version]
    made = strict(found["schema"]["openAPIV3Schema"])
    made["properties"]["metadata"] = METADATA
    return made


def read_crds(folder: Path) -> dict[tuple[str, str], Schema]:
    """(apiVersion, kind) -> strict schema, of all CRDs of a folder."""
    return {key: schema for path in sorted(folder.glob("*.yaml")) for key, schema in _of_file(path)}


def _of_file(path: Path) -> Iterator[tuple[tuple[str, str], Schema]]:
    crd = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    spec = crd["spec"]
    for version in spec["versions"]:
        key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
        yield key, schema_of(crd, version["name"])


def problems(made: Mapping[str, Any], schema: Schema) -> list[str]:
    """What is wrong with an object, as paths and messages."""
    found = jsonschema.Draft202012Validator(schema).iter_errors(made)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]
