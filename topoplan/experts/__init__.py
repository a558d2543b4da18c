"""Expert placements as files that serving engines load, and back; formats only, no algorithms."""

from topoplan.experts.base import ExpertMapFormat, ExpertMapRequest
from topoplan.experts.registry import DEFAULT_FORMATS, FORMATS, get_format

__all__ = ["DEFAULT_FORMATS", "FORMATS", "ExpertMapFormat", "ExpertMapRequest", "get_format"]
