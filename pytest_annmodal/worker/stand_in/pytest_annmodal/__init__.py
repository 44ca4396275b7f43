"""The harness' package for an interpreter in which it is not installed, and nothing beside it.

A folder of site-packages on ``sys.path`` would bring all other libraries of the harness along.
"""

from pathlib import Path

__path__ = [str(Path(__file__).parents[3])]
