"""Sentences about real cables."""

from __future__ import annotations

import pytest

from topoplan.cost.exact import ExactPrice
from topoplan.model.plan import LinkLoad
from topoplan.reports.real_cables import cable_summary

LINK = LinkLoad("link a -> b (1 cable)", 1e9, 20.0)


@pytest.mark.parametrize(
    ("price", "said"),
    [
        (ExactPrice((), 0.0, 1.0, 1.0, 0.0), "No bytes cross cables between switches."),
        (ExactPrice((LINK,), 20.0, 1.0, 1.0, 5e9), "5.00 GB a step find no path over the cables that are listed."),
        (ExactPrice((LINK,), 20.0, 1.0, 1.0, 0.0), "Real cables: the busiest is as the tiers say (20.0 ms)."),
        (ExactPrice((LINK,), 0.0, 1.0, 1.0, 0.0), "Real cables: a -> b (1 cable) takes 20.0 ms, where the tiers see no "
         "uplink used."),
        (ExactPrice((LINK,), 10.0, 30.0, 40.0, 0.0), "Real cables: a -> b (1 cable) takes 20.0 ms, 2.00 times the "
         "tiers' 10.0 ms; the step with perfect spreading 40.0 ms, not 30.0 ms."),
    ],
)  # fmt: skip
def test_sentences(price: ExactPrice, said: str) -> None:
    assert cable_summary(price) == said
