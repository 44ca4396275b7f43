"""Keeps pytest from using a submission as configuration, conftest file, test or module."""
