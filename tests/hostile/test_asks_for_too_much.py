"""Hands in text that is dear to read: many settings, huge or twisted Python, many files."""

import time

import pytest
from jobs import EXACT
from witnesses import failed, survived

from pytest_annmodal.manifests import manifest, source


def test_more_settings_than_fresh_queries(attack, strict):
    """Its own failure, for no setting could be asked anything; not a fault of the dataset."""
    outcomes = attack(EXACT, settings=range(61))
    assert {failed(outcome).kind for outcome in outcomes} == {"too-many-settings"}
    assert {outcome.blame for outcome in outcomes} == {"submission"}
    assert "asks for 61 search settings of one build" in outcomes[0].message
    assert "at most 60" in outcomes[0].message
    survived(attack)
