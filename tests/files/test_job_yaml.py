from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from topoplan.errors import InputError
from topoplan.files.arrays import load_bytes, traffic_bytes
from topoplan.files.job_text import format_job
from topoplan.files.job_yaml import ReadJob, parse_job, read_job
from topoplan.files.npz import npz_bytes
from topoplan.model.job import CustomCollective, Job
from topoplan.model.presets import PRESETS

HEAD = "apiVersion: topoplan/v1\nkind: Job\nname: j\n"
MODEL = (
    HEAD
    + """\
model: deepseek-v3
parallel: {tp: 1, pp: 16, dp: 128, ep: 64}
order: tp-cp-ep-dp-pp
batch: {sequence: 4096, micro_batch: 1, micro_batches: 120}
exposure: {dp: 0.05}
experts: {slots_per_gpu: 5, moe_layers: 3-60}
"""
)
INLINE = MODEL.replace(
    "model: deepseek-v3",
    "model: {layers: 61, hidden: 64, heads: 8, ffn: 256, vocabulary: 1000, dense_layers: 1, expert_ffn: 32,"
    " routing: {experts: 16, top_k: 4}, gated: false}",
)
AXES = (
    MODEL.replace("parallel: {tp: 1, pp: 16, dp: 128, ep: 64}\n", "").replace("dp: 0.05", "y: 0.5")
    + """\
axes:
  - {name: x, size: 8, collectives: [{op: all_reduce, bytes: 2 GB, per: [layer, micro_batch], overlap: 0.5}]}
  - {name: y, size: 2, collectives: [{op: p2p, bytes: 1024, per: 3}, {op: ring, bytes: 1 MB}]}
"""
)
TRAFFIC = HEAD + "ranks: 4\ntraffic: traffic.npz\nexposure: {b: 0.25}\nexperts: {slots_per_gpu: 2, load: load.npy}\n"


def same(a: object, b: object) -> bool:
    """Equal field by field, arrays by their values."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    if hasattr(a, "__dataclass_fields__") and type(a) is type(b):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))  # type: ignore[arg-type]
    return bool(a == b)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    arrays = {
        "src": np.array([0, 1, 2], np.int32),
        "dst": np.array([1, 2, 3], np.int32),
        "bytes": np.array([1.0, 2.0, 3.5]),
        "axis": np.array([0, 1, 1], np.int8),
        "axes": np.array(["a", "b"]),
    }
    (tmp_path / "traffic.npz").write_bytes(npz_bytes(arrays))
    (tmp_path / "load.npy").write_bytes(load_bytes(np.arange(1.0, 7.0).reshape(2, 3)))
    (tmp_path / "job.yaml").write_text(TRAFFIC)
    return tmp_path


def test_preset() -> None:
    job = parse_job(MODEL).job
    assert job.model is PRESETS["deepseek-v3"]
    assert job.ranks == 2048
    assert job.parallel is not None
    assert (job.parallel.ep, job.parallel.etp, job.parallel.zero) == (64, 1, 1)
    assert job.batch is not None
    assert job.batch.micro_batches == 120
    assert job.exposure == {"dp": 0.05}
    assert job.experts is not None
    assert job.experts.moe_layers == tuple(range(3, 61))


def test_inline_model() -> None:
    model = parse_job(INLINE).job.model
    assert model is not None
    assert (model.name, model.kv_heads, model.head_dim, model.gated) == ("custom", 8, 8, False)
    assert model.routing is not None
    assert (model.routing.experts, model.routing.top_k) == (16, 4)


def test_moe_layers_default_to_the_models() -> None:
    job = parse_job(MODEL.replace(", moe_layers: 3-60", "")).job
    assert job.experts is not None
    assert job.experts.moe_layers == tuple(range(3, 61))


def test_axes() -> None:
    job = parse_job(AXES).job
    assert job.ranks == 16
    assert job.axes[0].collectives == (CustomCollective("all_reduce", 2e9, 61 * 120, 0.5),)
    assert job.axes[1].collectives == (CustomCollective("p2p", 1024.0, 3), CustomCollective("ring", 1e6))


def test_order_is_completed_as_megatron_does() -> None:
    assert parse_job(MODEL.replace("tp-cp-ep-dp-pp", "tp-ep-pp-dp")).job.order == "tp-ep-pp-dp-cp"


def test_traffic_and_load(folder: Path) -> None:
    read = read_job(folder / "job.yaml")
    job = read.job
    assert job.traffic is not None
    assert job.traffic.axes == ("a", "b")
    assert job.traffic.bytes.tolist() == [1.0, 2.0, 3.5]
    assert job.experts is not None
    assert job.experts.load is not None
    assert job.experts.load.shape == (2, 3)
    assert job.experts.moe_layers == (0, 1)
    assert {name: (item.name, len(item.sha256)) for name, item in read.inputs.items()} == {
        "job": ("job.yaml", 64), "traffic": ("traffic.npz", 64), "load": ("load.npy", 64)
    }  # fmt: skip
    again = read_job(folder / "job.yaml")
    assert again.inputs == read.inputs


@pytest.mark.parametrize("text", [MODEL, INLINE, AXES, MODEL.replace("ep: 64", "ep: 64, vpp: 2, zero: 3, etp: 2")])
def test_canonical_text_reads_back(text: str) -> None:
    job = parse_job(text).job
    canonical = format_job(job)
    again = parse_job(canonical).job
    assert same(replace(job, exposure=dict(job.exposure)), again)
    assert format_job(again) == canonical


def test_canonical_folder_reads_back(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    job = read_job(folder / "job.yaml").job
    copy = tmp_path_factory.mktemp("copy")
    assert job.traffic is not None
    assert job.experts is not None
    assert job.experts.load is not None
    (copy / "job.yaml").write_text(format_job(job))
    (copy / "traffic.npz").write_bytes(traffic_bytes(job.traffic))
    (copy / "load.npy").write_bytes(load_bytes(job.experts.load))
    assert same(read_job(copy / "job.yaml").job, job)


CASES = [  # text, what is changed, into what, the place, the message, the hint
    (MODEL, "kind: Job", "kind: Jop", "2:7", "kind must be 'Job' here", ""),
    (MODEL, "deepseek-v3", "DeepSeek-V4", "4:8", "'DeepSeek-V4' is not a preset", "did you mean 'deepseek-v3'"),
    (MODEL, "ep: 64", "ep: 60", "5:11", "ep x etp = 60 does not divide", "expert groups"),
    (MODEL, "dp: 128", "dp: 16777216", "5:11", "more than", ""),
    (MODEL, "pp: 16", "pp: 0", "5:23", "at least 1", ""),
    (MODEL, "pp: 16", "pp: 1.5", "5:23", "whole number", ""),
    (MODEL, "pp: 16", "pipeline: 16", "5:19", "unknown key", "known keys"),
    (MODEL, "order: tp", "order: tq", "6:8", "'tq' is not an axis of", "joined by '-'"),
    (MODEL, "order: tp", "order: tp-tp", "6:8", "'tp' stands twice", ""),
    (MODEL, "-dp-pp", "-pp", "6:8", "leaves out dp", ""),
    (MODEL, "micro_batch: 1,", "micro_batch: no,", "7:38", "whole number, not 'no'", ""),
    (MODEL, "dp: 0.05", "dp: 1.5", "8:16", "at most 1", ""),
    (MODEL, "dp: 0.05", "dp: .nan", "8:16", "exposure.dp", ""),
    (MODEL, "dp: 0.05", "pd: 0.05", "8:12", "not an axis of this job", "axes: tp"),
    (MODEL, "3-60", "3-61", "9:41", "layers 0 to 60, not 61", ""),
    (MODEL, "3-60", "60-3", "9:41", "not a range of layers", ""),
    (MODEL, "3-60", "0-999999", "9:41", "more than", ""),
    (MODEL, "batch: {", "bacth: {", "7:1", "unknown key", "did you mean 'batch'"),
    (MODEL, "model: deepseek-v3\n", "", "1:1", "model is missing", "traffic with ranks"),
    (MODEL, "experts:", "ranks: 2047\nexperts:", "9:8", "parallel makes 2048 ranks, the job says 2047", ""),
    (MODEL, "moe_layers: 3-60", "load: nowhere.npy", "9:35", "nowhere.npy cannot be read", "relative to the job"),
    (MODEL, "moe_layers: 3-60", "load: '-'", "9:35", "not from standard input", ""),
    (INLINE, "hidden: 64", "hidden: 0", "4:29", "at least 1", ""),
    (INLINE, "top_k: 4", "top_k: 17", "4:8", "top_k 17 of 16", ""),
    (INLINE, "hidden: 64, ", "", "4:8", "model.hidden is missing", ""),
    (AXES, "op: p2p", "op: sendrecv", "11:43", "'sendrecv' is not one of all_gather", ""),
    (AXES, "bytes: 1024", "bytes: 1024 bits", "11:55", "not a number with a unit", ""),
    (AXES, "per: 3", "per: epoch", "11:66", "'epoch' is neither", ""),
    (AXES, "name: y", "name: x", "11:12", "axis x is listed twice", ""),
    (AXES, "name: y", "name: y-z", "11:12", "letters, digits and _", ""),
    (AXES, "size: 2", "size: 16777216", "10:3", "more than 16777216 ranks", ""),
    (AXES, "model: deepseek-v3\n", "", "9:73", "per: layer needs model", "number of calls"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "old", "new", "place", "message", "hint"), CASES)
def test_bad_job(text: str, old: str, new: str, place: str, message: str, hint: str) -> None:
    assert old in text
    with pytest.raises(InputError) as caught:
        parse_job(text.replace(old, new, 1), "j.yaml")
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert str(caught.value.place) == f"j.yaml:{place}"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ranks: 4", "ranks: 3", "rank outside 0..2"),
        ("ranks: 4\n", "", "traffic needs ranks"),
        ("{b: 0.25}", "{c: 0.25}", "not an axis of this job"),
        ("load: load.npy", "load: load.npy, moe_layers: 3-5", "the load has 2 layers, moe_layers 3"),
        ("traffic: traffic.npz", "traffic: load.npy", "not a readable .npz"),
        ("load: load.npy", "load: traffic.npz", "is not UTF-8|not a number|dtype"),
        ("ranks: 4", "ranks: 4\nparallel: {tp: 2}", "parallel makes 2 ranks, the job says 4"),
    ],
)
def test_bad_traffic_job(folder: Path, old: str, new: str, message: str) -> None:
    (folder / "job.yaml").write_text(TRAFFIC.replace(old, new))
    with pytest.raises(InputError, match=message) as caught:
        read_job(folder / "job.yaml")
    assert caught.value.place is not None


def test_load_must_fit_the_model(folder: Path) -> None:
    (folder / "job.yaml").write_text(INLINE.replace("moe_layers: 3-60", "load: load.npy, moe_layers: 3-4"))
    with pytest.raises(InputError, match="the load has 3 experts, the model 16"):
        read_job(folder / "job.yaml")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file") as caught:
        read_job(tmp_path / "none.yaml")
    assert caught.value.exit_code == 2


def test_read_job_is_immutable(folder: Path) -> None:
    read = read_job(folder / "job.yaml")
    assert isinstance(read, ReadJob)
    assert isinstance(read.job, Job)
    with pytest.raises(AttributeError):
        read.job = read.job  # type: ignore[misc]
