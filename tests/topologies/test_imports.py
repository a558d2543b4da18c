"""Every module of topologies can be the first that a program imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import topoplan.topologies

HOME = Path(topoplan.topologies.__file__).parent
EACH_ALONE = """
import importlib, json, sys
failed = {}
for name in json.load(sys.stdin):
    for loaded in [m for m in sys.modules if m.startswith("topoplan.topologies")]:
        del sys.modules[loaded]
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
print(json.dumps(failed))
"""


def test_every_module_imports_alone() -> None:
    files = sorted(HOME.rglob("*.py"))
    dotted = [".".join(("topoplan.topologies", *file.relative_to(HOME).with_suffix("").parts)) for file in files]
    names = [name.removesuffix(".__init__") for name in dotted]
    assert len(names) > 80
    ran = subprocess.run(
        [sys.executable, "-c", EACH_ALONE], input=json.dumps(names), capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout) == {}
