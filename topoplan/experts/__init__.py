"""Expert placements as files that serving engines load, and back; formats only, no algorithms."""

from topoplan.experts.base import ExpertMapFormat, ExpertMapRequest
from topoplan.experts.eplb import slots_of_experts
from topoplan.experts.rank_costs import read_rank_costs, write_rank_costs
from topoplan.experts.recorded import moe_layers_of, read_recorded_load
from topoplan.experts.registry import DEFAULT_FORMATS, FORMATS, get_format

__all__ = [
    "DEFAULT_FORMATS",
    "FORMATS",
    "ExpertMapFormat",
    "ExpertMapRequest",
    "get_format",
    "moe_layers_of",
    "read_rank_costs",
    "read_recorded_load",
    "slots_of_experts",
    "write_rank_costs",
]
