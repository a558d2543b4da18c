"""Who sends to whom, against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from topoplan.model.patterns import expert_all_to_all


def sent(first: int, size: int, domain: int) -> np.ndarray:
    """Bytes that each rank of a group from `first` on sends: 100 to another domain, 1 to another GPU."""
    flows = expert_all_to_all(np.arange(first, first + size)[None], 100.0, 1.0, domain)
    assert set(flows.src) == set(flows.dst) == set(range(first, first + size))
    return np.bincount(flows.src, flows.bytes)[first:]


def test_once_a_domain_then_to_the_gpus_there() -> None:
    assert (sent(0, 32, 8) == 3 * 100 + 7 * 4).all()
    assert (sent(0, 64, 72) == 63).all()


@pytest.mark.parametrize("first", [64, 128, 512])
def test_groups_that_lie_across_domains_unevenly_send_plainly(first: int) -> None:
    """64 ranks from the 64th on, 72 a domain, are 8 and 56 of two domains, not eight domains of eight."""
    assert (sent(first, 64, 72) == 63).all()


@given(st.integers(0, 40), st.integers(2, 40), st.integers(1, 12))
def test_nothing_is_sent_twice_whichever_ranks_share_a_domain(first: int, size: int, domain: int) -> None:
    count = np.bincount(np.arange(first, first + size) // domain)
    count = count[count > 0]
    even = bool((count == count[0]).all())
    expected = (len(count) - 1) * 100 + (count[0] - 1) * len(count) if even else size - 1
    assert (sent(first, size, domain) == expected).all()
