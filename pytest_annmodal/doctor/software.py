"""Checks of software: sandbox, compiler, libraries and their kernels, pytest's plugins."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Mapping

from pytest_annmodal.doctor.finding import Finding, bad, doubtful, good
from pytest_annmodal.manifests.manifest import builtin, missing_requirements
from pytest_annmodal.manifests.requirements import installed
from pytest_annmodal.sandbox import isolation
from pytest_annmodal.worker.cpp import compiler

# In a process of its own, since a library may crash or hang while it is imported.
KERNELS = """\
import json
found = {}
try:
    import threadpoolctl, numpy
    for pool in threadpoolctl.threadpool_info():
        found["numpy"] = f"{pool['internal_api']} {pool.get('architecture', '')}".strip()
        break
except ImportError: pass
try:
    import faiss
    found["faiss"] = faiss.get_compile_options().split()[-1]
except (ImportError, AttributeError, IndexError): pass
try:
    from usearch.index import Index
    found["usearch"] = Index(ndim=64).hardware_acceleration
except (ImportError, AttributeError): pass
print(json.dumps(found))
"""
LEAST_S = 0.1
DEPENDS = "Speed depends on them: compare with machines that have the same."
# The option of each of pytest's plugins that disturbs measurements, and how.
PLUGINS: Mapping[str, tuple[str, str]] = {
    "pytest-xdist": ("-n", "runs benchmarks in parallel, on the same cores"),
    "pytest-parallel": ("--workers", "runs benchmarks in parallel, on the same cores"),
    "pytest-rerunfailures": ("--reruns", "repeats a test until its threshold is met by luck"),
    "pytest-timeout": ("--timeout", "ends a test in the middle of a build"),
}
NO_PLUGINS = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"


def sandbox() -> Finding:
    """Finds the best level of isolation that works, by trying."""
    level = isolation.strongest()
    if level == "bubblewrap":
        return good(
            "bubblewrap, the best level",
            "A submission sees no other files, no network and no other processes.",
            level=level,
        )
    why = isolation.why_no_bubblewrap()
    return doubtful(
        f"'{level}' is the best level that works: {why}",
        "A submission could read files, even the true neighbours: do not grade submissions of "
        "others here. Your own code can be measured as usual.",
        "Mend the problem named here; docs/security.md describes each level.",
        level=level,
        why=why,
    )


def cpp_compiler() -> Finding:
    """Checks for a C++ compiler, which C++ submissions, annoy and hnswlib need."""
    why = compiler.missing()
    if why is None:
        return good(
            compiler.version(),
            "C++ submissions are compiled here, for this machine's processor.",
            compiler=compiler.version(),
        )
    return doubtful(
        "no C++ compiler",
        "C++ submissions fail, and pip cannot build annoy and hnswlib.",
        compiler.INSTALL,
        compiler=None,
    )


def libraries() -> Finding:
    """Checks the packages that the built-in implementations need."""
    rows = builtin()
    versions = {name: found for row in rows for name, found in installed(row).items()}
    missing = sorted({text for row in rows for text in missing_requirements(row)})
    without = [row.name for row in rows if missing_requirements(row)]
    found = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    if "numpy" in " ".join(missing):
        return bad(found, "Nothing can be measured.", "pip install pytest-annmodal", **versions)
    if without:
        return doubtful(
            found,
            f"Left out: {', '.join(without)}.",
            f"pip install {' '.join(repr(text) for text in missing)}",
            **versions,
        )
    return good(found, "Every built-in implementation can run.", **versions)


def kernels(limit_s: float) -> Finding:
    """Shows which instructions the libraries chose for this processor.

    Args:
        limit_s: longest time for importing them.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", KERNELS],
            capture_output=True,
            text=True,
            timeout=max(limit_s, LEAST_S),
            check=True,
        )
        found = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return good("not checked: there was no time left to import all libraries", DEPENDS)
    except (subprocess.SubprocessError, ValueError) as error:
        return doubtful(
            f"a library ended the process that imported it: {error}",
            "Its benchmarks fail too.",
            "Run pytest with --impl NAME for each of them, and read the errors.",
        )
    return good(
        ", ".join(f"{name}: {kernel}" for name, kernel in found.items()) or "no library found",
        DEPENDS,
        **found,
    )


def plugins() -> Finding:
    """Checks for plugins of pytest that can disturb a measurement."""
    there = sorted(name for name in PLUGINS if _version(name))
    asked = os.environ.get("PYTEST_ADDOPTS", "").split()
    active = [name for name in there if any(word.startswith(PLUGINS[name][0]) for word in asked)]
    figures = {"there": there, "active": active}
    if os.environ.get(NO_PLUGINS):
        return doubtful(
            f"{NO_PLUGINS} is set",
            "pytest loads neither pytest-benchmark nor this plugin, so nothing is measured.",
            f"unset {NO_PLUGINS}, or add: -p benchmark -p annmodal",
            **figures,
        )
    words = "; ".join(f"{name} {PLUGINS[name][0]} {PLUGINS[name][1]}" for name in active or there)
    if active:
        return doubtful(words, "Figures will be wrong.", "unset PYTEST_ADDOPTS", **figures)
    if not there:
        return good("none that disturbs", "No other plugin affects measurements.", **figures)
    return good(words, "They do so only with these options: leave them out.", **figures)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
