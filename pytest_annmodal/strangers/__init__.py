"""Keeps pytest from reading what was handed in as configuration, conftest, test or module."""
