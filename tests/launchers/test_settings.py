"""--set: which keys there are, who takes them, what they hold."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.launchers import LAUNCHERS, SETTINGS, LaunchRequest, parse_settings, settings_of


def test_every_key_is_a_field_and_every_launcher_takes_known_keys() -> None:
    assert set(SETTINGS) <= set(LaunchRequest.__dataclass_fields__)
    for launcher in LAUNCHERS.values():
        assert set(launcher.settings) <= set(SETTINGS), launcher.name


def test_values_are_parsed() -> None:
    texts = ["master_port=1234", "program=python -u 'my train.py'", "nccl_topo_file=/etc/topo.xml", "master_port=1235"]
    assert parse_settings(texts, SETTINGS) == {
        "master_port": 1235,
        "program": ("python", "-u", "my train.py"),
        "nccl_topo_file": "/etc/topo.xml",
    }


@pytest.mark.parametrize(
    ("text", "known", "message"),
    [
        ("master_port", SETTINGS, "not KEY=VALUE"),
        ("masterport=1", SETTINGS, "did you mean 'master_port'?"),
        ("image=x", ("program",), "'image' is not taken by this launcher"),
        ("image=x", (), "it takes none"),
        ("master_port=0", SETTINGS, "a whole number from 1 to 65535"),
        ("master_port=１２", SETTINGS, "a whole number"),
        ("cores_per_host=-1", SETTINGS, "a whole number"),
        ("program=", SETTINGS, "give a command"),
        ("program='a", SETTINGS, "No closing quotation"),
        ("program=a\nb", SETTINGS, "control characters"),
        ("nccl_topo_file=x", SETTINGS, "absolute path"),
        ("nccl_topo_file=/a\nb", SETTINGS, "control characters"),
        ("mixed_precision=fp4", SETTINGS, "no or fp16"),
        ("namespace=A_b", SETTINGS, "DNS label"),
        ("namespace=a\n", SETTINGS, "DNS label"),
        ("image=-x", SETTINGS, "an image"),
        ("image=a b", SETTINGS, "an image"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, known: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_settings([text], known)
    assert message in str(caught.value)


def test_settings_of_several_launchers_are_those_that_any_takes() -> None:
    assert settings_of(["rankmap"]) == ()
    assert {"program", "cores_per_host"} <= set(settings_of(["torchrun", "openmpi"]))


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=12))
def test_any_program_comes_back_word_for_word(text: str) -> None:
    try:
        values = parse_settings([f"program={text}"], ("program",))
    except InputError:
        return
    from topoplan.launchers.shell import default_arguments

    script = default_arguments(values["program"]) + 'printf "%s\\n" "$@"'
    result = subprocess.run(["sh", "-c", script], capture_output=True, check=True, timeout=180)
    assert result.stdout.decode() == "".join(f"{word}\n" for word in values["program"])
