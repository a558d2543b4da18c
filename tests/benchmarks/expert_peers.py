"""EPLB and its copies, where they are installed: DeepSeek's eplb.py, vLLM's policy, SGLang's algorithm.

DeepSeek's is no package: TOPOPLAN_EPLB=/path/to/eplb.py, or a module `eplb` on the path. None of them is vendored here.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.expert_cases import Floats, Ints

# [layers, experts] tokens, slots, groups, hosts, GPUs -> [layers, slots]; one group on one host: experts go anywhere
Peer = Callable[[Floats, int, int, int, int], Ints]


def _map(found: Any) -> Ints:
    first = found[0] if isinstance(found, tuple) else found
    return np.asarray(first, np.int64)


def _torch() -> Any:
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)  # one thread each, as topoplan has
    return torch


def _deepseek() -> Peer:
    path = os.environ.get("TOPOPLAN_EPLB")
    torch = _torch()
    if path:
        spec = importlib.util.spec_from_file_location("eplb", path)
        if spec is None or spec.loader is None:
            raise ImportError(path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module("eplb")
    return lambda load, *sizes: _map(module.rebalance_experts(torch.from_numpy(load), *sizes))


def _vllm() -> Peer:
    torch = _torch()
    policy = importlib.import_module("vllm.distributed.eplb.policy.default").DefaultEplbPolicy
    return lambda load, *sizes: _map(policy.rebalance_experts(torch.from_numpy(load), *sizes))


def _sglang() -> Peer:
    torch = _torch()
    module = importlib.import_module("sglang.srt.eplb.eplb_algorithms.deepseek")
    return lambda load, *sizes: _map(
        module.rebalance_experts(torch.from_numpy(load), *sizes, enable_hierarchical=sizes[2] > 1)
    )


_PEERS = {"EPLB": _deepseek, "vLLM": _vllm, "SGLang": _sglang}


def installed() -> dict[str, Peer]:
    """Those that can be imported here, by name."""
    found = {}
    for name, make in _PEERS.items():
        try:
            found[name] = make()
        except (ImportError, OSError, AttributeError):  # not there, or a release that keeps it elsewhere
            continue
    return found
