import json
import subprocess
import sys
from typing import Any

import pytest

from topoplan.errors import InputError
from topoplan.files.schemas import KINDS, schema


@pytest.mark.parametrize("kind", KINDS)
def test_schema_is_json_and_complete(kind: str) -> None:
    body = schema(kind)
    assert json.loads(json.dumps(body)) == body
    assert body["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for reference in references(body):
        assert reference.removeprefix("#/$defs/") in body["$defs"]


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [found for item in value.values() for found in references(item)]
    return [found for item in value for found in references(item)] if isinstance(value, list) else []


def test_schema_speaks_the_words_of_the_files() -> None:
    fabric, job, plan, prices, study = (schema(kind) for kind in KINDS)
    assert {"apiVersion", "kind", "name", "host_types", "hosts"} <= set(fabric["required"])
    assert fabric["additionalProperties"] is False
    assert fabric["properties"]["apiVersion"]["const"] == "topoplan/v1"
    assert "bytes" in job["$defs"]["CollectiveShape"]["properties"]
    assert "placement" in plan["properties"]
    assert {"gpu_hour", "nic", "switch_port", "cable"} <= set(prices["properties"])
    assert {"fabrics", "jobs"} <= set(study["required"])
    assert plan.get("additionalProperties", True)  # later versions may add keys


def test_unknown_kind() -> None:
    with pytest.raises(InputError, match="'fabrik'") as caught:
        schema("fabrik")
    assert "fabric" in caught.value.hint


def test_light_modules_load_no_pydantic() -> None:
    code = "import topoplan.files.inputs, topoplan.files.atomic, sys; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
