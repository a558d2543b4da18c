import stat
from pathlib import Path

import pytest

from topoplan.errors import InputError
from topoplan.files import atomic
from topoplan.files.atomic import write_file, write_folder

PLAN: dict[str, str | bytes] = {
    "plan.json": "{}",
    "launch/slurm/hosts": "a\n",
    "launch/torchrun/run.sh": b"#!/bin/sh\n",
}


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_write_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_file(path, "one")
    write_file(path, b"two")
    assert tree(tmp_path) == {"a/b.txt": "two"}


def test_write_file_keeps_links_and_permissions(tmp_path: Path) -> None:
    path, link = tmp_path / "a", tmp_path / "link"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    write_file(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_write_file_to_a_device() -> None:
    write_file("/dev/null", "x")
    assert Path("/dev/null").is_char_device()


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left"):
        write_file(path, "new")
    assert tree(tmp_path) == {"a": "old"}


@pytest.mark.parametrize("path", [".", "/proc/nowhere/a", "a\0b"])
def test_refused_places(path: str) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_file(path, "x")


def test_write_folder(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "plan"
    write_folder(folder, PLAN, executable=["launch/torchrun/run.sh"])
    assert tree(folder) == {"plan.json": "{}", "launch/slurm/hosts": "a\n", "launch/torchrun/run.sh": "#!/bin/sh\n"}
    assert (folder / "launch/torchrun/run.sh").stat().st_mode & 0o100
    assert not (folder / "plan.json").stat().st_mode & 0o100
    assert [path.name for path in folder.parent.iterdir()] == ["plan"]


def test_replaced_plan_keeps_what_is_the_users(tmp_path: Path) -> None:
    folder = tmp_path / "plan"
    write_folder(folder, {**PLAN, "report.html": "old"})
    (folder / "notes.txt").write_text("mine")
    write_folder(folder, {"plan.json": "{1}", "launch/slurm/hosts": "b\n"})
    # stale launch files and the old report are gone: they would belong to another plan
    assert tree(folder) == {"plan.json": "{1}", "launch/slurm/hosts": "b\n", "notes.txt": "mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "plan").mkdir()
    write_folder(tmp_path / "plan", PLAN)
    assert (tmp_path / "plan" / "plan.json").exists()


def test_foreign_folders_and_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="not replaced"):
        write_folder(tmp_path, PLAN)
    with pytest.raises(InputError, match="is a file"):
        write_folder(tmp_path / "thesis.tex", PLAN)
    assert tree(tmp_path) == {"thesis.tex": "x"}


@pytest.mark.parametrize("name", ["../a", "/etc/a", "a/../../b", ""])
def test_no_file_leaves_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leaves the folder"):
        write_folder(tmp_path / "plan", {"plan.json": "{}", name: "x"})
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4])
def test_interrupted_replacement_is_undone(after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "plan"
    write_folder(folder, PLAN)
    before = tree(folder)
    rename, count = Path.rename, 0

    def interrupted(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == after + 1:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    if after < 4:  # plan.json and launch out, launch and plan.json in
        with pytest.raises(KeyboardInterrupt):
            write_folder(folder, {"plan.json": "{1}", "launch/slurm/hosts": "b\n"})
        assert tree(folder) == before
    else:
        write_folder(folder, {"plan.json": "{1}", "launch/slurm/hosts": "b\n"})
        assert tree(folder) == {"plan.json": "{1}", "launch/slurm/hosts": "b\n"}
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]


def test_marker_goes_in_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "plan"
    write_folder(folder, PLAN)
    moved: list[str] = []
    rename = Path.rename

    def noted(self: Path, target: Path) -> Path:
        moved.append(target.name)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", noted)
    write_folder(folder, {**PLAN, "run.json": "{}"})
    assert moved[-1] == atomic.MARKER
