"""Which flows and links are alike: flows that cross like links, links that like flows cross.

Colours are refined by turns until none splits, as in Weisfeiler and Leman's refinement of graphs (coarsest equitable
partition). Regular traffic on a regular fabric has few colours, however many flows there are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from topoplan.model.fabric import FloatArray, IntArray

_Marks = npt.NDArray[np.uint64]


def alike(flow: IntArray, link: IntArray, size_bytes: FloatArray, capacity: FloatArray) -> tuple[IntArray, IntArray]:
    """Colour of each flow [flows] and each link [links], int64 from 0.

    Flows of a colour have one size and cross as many links of each colour; links of a colour have one capacity and
    carry as many flows of each. What crosses nothing has a colour of its own size or capacity.

    Colours of neighbours are summed as fixed pseudo-random numbers; two different sets with one sum (about 1 in 1e19)
    would make one colour of two.

    Parameters
    ----------
    flow, link
        [crossings] int64 pairs.
    size_bytes, capacity
        [flows], [links] float64.
    """
    flows = np.unique(size_bytes, return_inverse=True)[1]
    links = np.unique(capacity, return_inverse=True)[1]
    known = 0
    while True:
        flows = _split(flows, _sums(flow, links[link], len(flows)))
        links = _split(links, _sums(link, flows[flow], len(links)))
        count = int(flows.max(initial=-1)) + int(links.max(initial=-1)) + 2
        if count == known:
            return flows, links
        known = count


def _sums(index: IntArray, colour: IntArray, size: int) -> _Marks:
    """[size] sums of the numbers of `colour` ([pairs] int64) by index, wrapping around."""
    # odd, so that no count below 2^64 of one colour sums to nothing
    number = np.random.default_rng(1).integers(1, 2**63, int(colour.max(initial=0)) + 1, dtype=np.uint64) * 2 + 1
    total = np.zeros(size, np.uint64)
    np.add.at(total, index, number[colour])
    return total


def _split(colour: IntArray, mark: _Marks) -> IntArray:
    """Colours [n] int64 numbered anew, those of one colour with different marks apart."""
    order = np.lexsort((mark, colour))
    a, b = colour[order], mark[order]
    result = np.zeros(len(colour), np.int64)
    result[order[1:]] = np.cumsum((a[1:] != a[:-1]) | (b[1:] != b[:-1]))
    return result
