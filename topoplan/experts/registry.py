"""The one list of expert-map formats."""

from __future__ import annotations

from topoplan.experts import eplb, omni_infer, sglang, trtllm, vllm, vllm_ascend
from topoplan.experts.base import ExpertMapFormat
from topoplan.names import pick

FORMATS: dict[str, ExpertMapFormat] = {
    form.name: form
    for form in (
        sglang.FORMAT,
        vllm.FORMAT,
        trtllm.FORMAT,
        vllm_ascend.FORMAT,
        omni_infer.FORMAT,
        eplb.FORMAT,
    )
}
DEFAULT_FORMATS = ("sglang",)


def get_format(name: str) -> ExpertMapFormat:
    """The format of that name.

    Raises
    ------
    InputError
        There is none; the hint names the likeliest.
    """
    return pick("expert map", name, FORMATS)
