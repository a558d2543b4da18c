"""Rank placements as files that launchers obey, and back: the order that a launcher will really make of its files."""

from topoplan.launchers.base import Launcher, LaunchFile, LaunchRequest, Order, Seat
from topoplan.launchers.observed import parse_observed, place_observed, read_observed
from topoplan.launchers.registry import DEFAULT_LAUNCHERS, LAUNCHERS, capability, get_launcher, settings_of
from topoplan.launchers.settings import SETTINGS, parse_settings
from topoplan.launchers.verify import Difference, compare, compare_reports, nic_warnings

__all__ = [
    "DEFAULT_LAUNCHERS",
    "LAUNCHERS",
    "SETTINGS",
    "Difference",
    "LaunchFile",
    "LaunchRequest",
    "Launcher",
    "Order",
    "Seat",
    "capability",
    "compare",
    "compare_reports",
    "get_launcher",
    "nic_warnings",
    "parse_observed",
    "parse_settings",
    "place_observed",
    "read_observed",
    "settings_of",
]
