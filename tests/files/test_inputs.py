import hashlib
import io
import sys
from pathlib import Path

import pytest

from topoplan.errors import InputError
from topoplan.files.inputs import Source, read_source


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"caf\xc3\xa9\n")
    source = read_source(path)
    assert (source.text, source.name, source.folder) == ("café\n", "a.yaml", tmp_path)
    assert source.sha256 == hashlib.sha256(b"caf\xc3\xa9\n").hexdigest()


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x: 1")))
    source = read_source("-")
    assert (source.text, source.name, source.shown, source.folder) == ("x: 1", "stdin", "<stdin>", Path())


def test_refused_files(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 2**20 + b"y")
    for path, limit, message in (
        (tmp_path / "none", 10, "No such file"),
        (tmp_path, 10, "directory"),
        (Path("a\0b"), 10, "cannot be read"),
        (tmp_path / "big", 2**20, "larger than 1 MiB"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            read_source(path, limit=limit)
        assert caught.value.exit_code == 2
        assert caught.value.place is not None


def test_not_utf8() -> None:
    with pytest.raises(InputError, match="0xff is not UTF-8") as caught:
        _ = Source("f", b"ab\ncd\xff").text
    assert str(caught.value.place) == "f:2:3"
