"""Reads the environment's secrets."""

import re

from witnesses import SECRET, measured, said

from pytest_annmodal.sandbox import isolation
from pytest_annmodal.worker import loading


def test_are_not_among_its_variables(attack, level):
    """It gets only the listed variables, and ``/tmp`` as home."""
    body = """
        def fit(self, X):
            import json
            super().fit(X)
            print(json.dumps(dict(os.environ)))
    """
    variables = said(measured(attack(body, level=level)[0]))
    assert SECRET not in str(variables)
    known = {*isolation.ALLOWED_ENVIRONMENT, *isolation.THREAD_VARIABLES, "HOME", "TMPDIR"}
    known |= {"NUMBA_CACHE_DIR", "PYTHONHASHSEED", "LC_CTYPE", "PWD"}
    known |= {"ANNMODAL_WORKER", loading.FILE_VARIABLE, "LOGNAME", "PYTHONIOENCODING"}
    assert set(variables) <= known
    assert variables["HOME"] == "/tmp"
    assert re.fullmatch("[0-9a-f]+", variables["ANNMODAL_WORKER"])
