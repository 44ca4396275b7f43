"""Makes a checkout work without an installation: ``pytest benchmarks/`` in the clone."""

import importlib.metadata

_installed = {entry.name for entry in importlib.metadata.entry_points(group="pytest11")}
pytest_plugins = ["pytester"]
if "annmodal" not in _installed:
    pytest_plugins.append("pytest_annmodal.plugin.hooks")
