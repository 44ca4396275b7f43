"""The table of options, and how text becomes a value."""

from __future__ import annotations

import re

import pytest

from pytest_annmodal.settings.option import is_dataset_file, positive_float, positive_int
from pytest_annmodal.settings.options import OPTIONS


def test_names_are_distinct() -> None:
    """No two options share a name, a flag, a variable or an ini key."""
    for attribute in ("name", "flag", "env", "ini"):
        values = [getattr(option, attribute) for option in OPTIONS]
        assert len(set(values)) == len(values), attribute


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_help_reads_well(option) -> None:
    """Each help text is a sentence, says whether it repeats, and names its default and unit."""
    assert option.help[0].isupper()
    assert option.help.endswith(".")
    assert ("repeatable" in option.help) == option.many
    if option.default not in (None, False):
        shown = re.escape(f"{option.default:g}" if isinstance(option.default, float) else "")
        assert "default" in option.help
        assert re.search(shown, option.help)
    if option.kind is not None:
        assert option.metavar or option.choices
    assert option.group.startswith("ANN benchmarks: ")


def test_numbers() -> None:
    """Whole numbers start at 1; others are finite and above 0."""
    assert positive_int("12") == 12
    assert positive_float("0.5") == 0.5
    for text in ("0", "-1", "1.5", "", " 1", "1e3", "x"):
        with pytest.raises(ValueError, match="whole number"):
            positive_int(text)
    for text in ("0", "-1", "inf", "nan", "", "x"):
        with pytest.raises(ValueError, match="number above 0"):
            positive_float(text)


def test_dataset_files() -> None:
    """A dataset is a file by its ending, unless it is a URL."""
    assert [is_dataset_file(text) for text in ("a.hdf5", "b/c.H5", "http://h/a.hdf5", "gist*")] == [
        True,
        True,
        False,
        False,
    ]
