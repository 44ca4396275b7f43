"""Settings: sources of values, refusals, and the meaning of paths."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.settings.config import OPTIONS, Settings
from pytest_annmodal.settings.given import given
from pytest_annmodal.settings.nearest import nearest_names
from pytest_annmodal.settings.option import Option, expanded
from pytest_annmodal.settings.sources import resolve

ROOT, HERE = Path("/root/of/it"), Path("/where/one/is")


def settings(
    *,
    cli: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    ini: Mapping[str, str] | None = None,
) -> Settings:
    return resolve(
        cli=(cli or {}).get,
        ini=lambda key: (ini or {}).get(key, ""),
        environ=env or {},
        rootdir=ROOT,
        cwd=HERE,
    )


def test_defaults() -> None:
    """Nothing given gives the defaults, and the table of options says the same as Settings."""
    assert settings() == Settings(rootdir=ROOT)
    named = set(Settings.__annotations__)
    assert named == {option.name for option in OPTIONS} | {"rootdir"}
    for option in OPTIONS:
        default = getattr(Settings(), option.name)
        assert default == (() if option.many else option.default), option.name


def test_settings_are_values() -> None:
    """Settings are compared by value, changed only as copies, and take no unknown names."""
    one = Settings(k=3)
    assert one == Settings().replaced(k=3) != Settings()
    assert len({one, Settings(k=3)}) == 1
    assert repr(one) == "Settings(k=3)"
    with pytest.raises(AttributeError, match="k = 4"):
        one.k = 4  # type: ignore[misc]
    with pytest.raises(TypeError, match="kk"):
        Settings(kk=3)


def test_precedence() -> None:
    """The command line wins over the environment, that over the ini file, that over the default."""
    cli, env, ini = {"k": "1"}, {"ANNMODAL_K": "2"}, {"annmodal_k": "3"}
    assert settings(cli=cli, env=env, ini=ini).k == 1
    assert settings(env=env, ini=ini).k == 2
    assert settings(ini=ini).k == 3
    assert settings().k == 10


def test_switches() -> None:
    """A switch can be turned off in the environment though the ini file turns it on."""
    assert settings(ini={"annmodal_download": "true"}).download
    assert settings(env={"ANNMODAL_DOWNLOAD": "1"}).download
    assert not settings(ini={"annmodal_download": "yes"}, env={"ANNMODAL_DOWNLOAD": "0"}).download
    assert settings(ini={"annmodal_download": "no"}, cli={"download": True}).download


def test_a_switch_with_an_opposite() -> None:
    """The negative flag overrides the ini file; of two flags the last counts."""
    for args, cold in (
        ((), True),
        (("--ann-warm",), False),
        (("--ann-cold", "--ann-warm"), False),
        (("--ann-warm", "--ann-cold"), True),
    ):
        assert settings(cli=dict(given(args)), ini={"annmodal_cold": "true"}).cold is cold
    assert not settings(cli=dict(given(()))).cold


def test_lists() -> None:
    """A list on the command line replaces others; in text, spaces separate and quotes group."""
    text = {"annmodal_impl": "annoy 'faiss-*'\n hnswlib"}
    assert settings(ini=text).impl == ("annoy", "faiss-*", "hnswlib")
    assert settings(ini=text, cli={"impl": ["usearch"]}).impl == ("usearch",)


@pytest.mark.parametrize(("source", "base"), [("cli", HERE), ("env", HERE), ("ini", ROOT)])
def test_paths(source: str, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths start at the current directory, or at the ini file's; names are unchanged."""
    monkeypatch.setenv("HOME", "/home/me")
    texts = {
        "submission": "sub/a.py 'with space.py'",
        "implementations": "~/mine",
        "volume_dir": "vol",
        "dataset": "gist* own.hdf5 https://host/x.hdf5 /abs/y.H5",
    }
    if source == "ini":
        got = settings(ini={f"annmodal_{name}": text for name, text in texts.items()})
    elif source == "env":
        got = settings(env={f"ANNMODAL_{name.upper()}": text for name, text in texts.items()})
    else:
        got = settings(
            cli={
                "submission": ["sub/a.py", "with space.py"],
                "implementations": ["~/mine"],
                "volume_dir": "vol",
                "dataset": texts["dataset"].split(),
            }
        )
    assert got.submission == (f"{base}/sub/a.py", f"{base}/with space.py")
    assert got.implementations == ("/home/me/mine",)
    assert got.volume_dir == f"{base}/vol"
    assert got.dataset == ("gist*", f"{base}/own.hdf5", "https://host/x.hdf5", "/abs/y.H5")


@pytest.mark.parametrize(
    "option", [option for option in OPTIONS if option.is_path], ids=lambda option: option.name
)
@pytest.mark.parametrize("source", ["cli", "env", "ini"])
def test_an_unknown_home_is_an_error(source: str, option: Option) -> None:
    """``~`` without a known home is an error that names the option, for every path option."""
    text = "~no-such-user.hdf5"
    called = {"cli": option.flag, "env": option.env, "ini": option.ini}[source]
    key = {"cli": option.name, "env": option.env, "ini": option.ini}[source]
    value = [text] if option.many and source == "cli" else text
    with pytest.raises(ConfigurationError) as caught:
        settings(**{source: {key: value}})
    assert str(caught.value) == (
        f"{called} {text}: no user is called 'no-such-user.hdf5', so the folder ~no-such-user.hdf5 "
        "is not known. Write the path without ~, or ./~no-such-user.hdf5 for a file "
        "of that name."
    )


def test_a_user_id_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without HOME and an entry in the user database, ``~`` is an error that says so."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    with pytest.raises(ConfigurationError) as caught:
        settings(cli={"submission": ["~/mine.py"]})
    assert str(caught.value) == (
        f"--submission ~/mine.py: HOME is not set and the user id {os.getuid()} has no entry in "
        "the user database, so the folder ~ is not known. Write the path without ~."
    )


def test_a_file_called_as_a_home_would_be(tmp_path: Path) -> None:
    """An existing file named like ``~user`` is used, as in a shell."""
    (tmp_path / "~backup.hdf5").touch()
    assert expanded("~backup.hdf5", tmp_path, "--dataset") == tmp_path / "~backup.hdf5"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cli": {"k": "0"}}, "--ann-k '0': expected a whole number of at least 1"),
        ({"cli": {"max_search_s": "nan"}}, "--ann-max-time 'nan': expected a number above 0"),
        ({"cli": {"clock": "mine"}}, "--ann-clock 'mine': expected auto, worker, parent"),
        ({"env": {"ANNMODAL_K": "x"}}, "ANNMODAL_K 'x': expected a whole number"),
        ({"ini": {"annmodal_download": "maybe"}}, "annmodal_download 'maybe': expected 1 or true"),
        ({"ini": {"annmodal_impl": "it's"}}, 'annmodal_impl "it\'s": No closing quotation'),
        ({"cli": {"modal": True, "download": True}}, "--download is for local runs"),
        ({"cli": {"modal": True, "volume_dir": "v"}}, "--ann-volume-dir is for local runs"),
        ({"cli": {"download": True, "download_only": True}}, "choose one of them"),
    ],
)
def test_refusals(given: dict[str, Any], message: str) -> None:
    """Unusable values are refused with the place where they were set."""
    with pytest.raises(ConfigurationError) as caught:
        settings(**given)
    assert message in str(caught.value)


def test_local_defaults_do_not_forbid_modal() -> None:
    """Local options in the ini file or environment do not conflict with ``--modal``."""
    local = {"annmodal_volume_dir": "v", "annmodal_download": "yes"}
    assert settings(cli={"modal": True}, ini=local).modal
    assert settings(cli={"download_only": True}, ini=local).download_only


def test_nearest_names() -> None:
    """Similar names are suggested, the nearest first; without any there is no suggestion."""
    assert nearest_names("anoy", ["annoy", "hnswlib"]) == "; did you mean 'annoy'?"
    known = ["ROUNDS", "GENERATOR_BOUND"]  # the second has all letters of the name, far apart
    assert nearest_names("ROUND", known) == "; did you mean 'ROUNDS'?"
    assert nearest_names("zzz", ["annoy", "hnswlib"]) == "."
