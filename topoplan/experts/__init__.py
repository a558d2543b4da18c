"""Expert placements as files that serving engines load, and back; formats only, no algorithms."""

from topoplan.experts.base import ExpertMapFormat, ExpertMapRequest
from topoplan.experts.detect import detect_format, is_npz
from topoplan.experts.eplb import slots_of_experts
from topoplan.experts.rank_costs import (
    RANK_COSTS,
    RANK_COSTS_FILE,
    RANK_COSTS_USAGE,
    read_rank_costs,
    write_rank_costs,
)
from topoplan.experts.recorded import is_torch_file, moe_layers_of, read_counts_csv, read_recorded_load
from topoplan.experts.registry import DEFAULT_FORMATS, FORMATS, get_format

__all__ = [
    "DEFAULT_FORMATS",
    "FORMATS",
    "RANK_COSTS",
    "RANK_COSTS_FILE",
    "RANK_COSTS_USAGE",
    "ExpertMapFormat",
    "ExpertMapRequest",
    "detect_format",
    "get_format",
    "is_npz",
    "is_torch_file",
    "moe_layers_of",
    "read_counts_csv",
    "read_rank_costs",
    "read_recorded_load",
    "slots_of_experts",
    "write_rank_costs",
]
