"""Which format an expert map is in, by its content."""

from __future__ import annotations

import io
import json
import zipfile

from topoplan.errors import InputError
from topoplan.experts.base import ExpertMapFormat
from topoplan.experts.recorded import is_torch_file
from topoplan.experts.registry import FORMATS

NPY = b"\x93NUMPY"


def is_npz(data: bytes) -> bool:
    """Whether the bytes are numpy's archive of arrays, not torch's of a pickle: both are zip files."""
    if not is_torch_file(data):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except Exception:  # zipfile raises several kinds on damaged archives, which whoever reads them reports
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


def detect_format(data: bytes) -> ExpertMapFormat:
    """The format that content looks like; its reader then says whether it is sound.

    Raises
    ------
    InputError
        It looks like none.
    """
    return FORMATS[_name(data)]


def _name(data: bytes) -> str:
    if data.startswith(NPY):
        return "omni-infer"
    if is_torch_file(data):
        return "eplb" if is_npz(data) else "sglang"
    start = data.lstrip()[:1]
    if start == b"[":
        return "vllm"
    if start == b"{":
        try:
            content = json.loads(data)
        except (ValueError, RecursionError):
            content = {}
        return "vllm-ascend" if isinstance(content, dict) and "layer_list" in content else "sglang"
    if b"initial_global_assignments" in data[:4096]:
        return "trtllm"
    raise InputError(
        "this is no expert map that is known",
        hint=f"a plan folder, or a file of {', '.join(FORMATS)} (docs/experts.md, Expert maps)",
    )
