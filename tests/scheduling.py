"""How the tests are shared out among the workers of pytest-xdist."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

# Long tests that share nothing. Everywhere else the tests of a module stay together: what a module
# sets up once, for all its tests, would be set up by each worker.
ONE_BY_ONE = (
    "tests/hostile/",
    "tests/plugin/",
    "tests/modal/test_plane_",
    "tests/modal/test_product_silence.py",
    "tests/unit/test_accidents.py",
)


class ByModule(LoadScopeScheduling):
    """Whole modules first, those of many tests before others; then tests one by one."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(ONE_BY_ONE) else nodeid.partition("::")[0]
