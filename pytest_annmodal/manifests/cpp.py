"""Reads a C++ submission from its text: only the header in its comments.

::

    // /// script
    // [tool.annmodal]
    // metrics = ["euclidean"]
    // build.n_lists = [64, 256]
    // search.n_probes = [1, 4, 16]
    // ///
"""

from __future__ import annotations

import re
from pathlib import Path

from pytest_annmodal.distances.metrics import of_layout
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests import header
from pytest_annmodal.model import Implementation

SUFFIX = ".cpp"
ENTRY = "algorithm.cpp"


def is_source(path: Path) -> bool:
    return path.suffix == SUFFIX


def read_text(file: Path, text: str, called: str, *, trusted: bool) -> Implementation:
    """Returns the implementation that a file's header describes.

    Raises:
        ConfigurationError: its header cannot be used.
    """
    head = header.parse(re.sub(r"^//", "#", text, flags=re.MULTILINE)) or header.Header()
    if head.dependencies or head.class_name:
        what = "dependencies" if head.dependencies else "class"
        raise ConfigurationError(f"the header of a C++ file cannot have {what}; remove that key")
    unserved = [name for name in head.metrics if name not in of_layout("floats")]
    if head.dtypes or unserved:
        what = "the key dtypes" if head.dtypes else f"metrics = {unserved[0]!r}"
        raise ConfigurationError(f"C++ gets only rows of float; remove {what} from its header")
    for variant in head.variants:
        for name, value in {**variant.build.kwargs, **variant.search.kwargs}.items():
            if not isinstance(value, (bool, int, float)):
                raise ConfigurationError(
                    f"the parameter {name} is {value!r}; C++ gets only numbers, by "
                    "set_query_arguments(arguments)"
                )
    return head.implementation(name=called, file=file, class_name="", trusted=trusted, style="c++")
