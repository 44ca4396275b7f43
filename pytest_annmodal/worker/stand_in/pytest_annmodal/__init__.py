"""The harness's package alone, for an interpreter in which it is not installed.

A site-packages folder on ``sys.path`` would also add all other libraries of the harness.
"""

from pathlib import Path

__path__ = [str(Path(__file__).parents[3])]
