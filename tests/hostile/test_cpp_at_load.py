"""C++ that runs at loading: a static constructor."""

from __future__ import annotations

import json

import cpp_sources
import pytest
from jobs import failed, measured, write
from witnesses import SECRET

# What it can see, printed as JSON when the library is loaded.
CONSTRUCTOR = """
#include <cstdlib>
#include <unistd.h>
struct Early {
  Early() {
    std::printf("{\\"data\\": %d, \\"secret\\": %d, \\"written\\": %d}\\n",
                access("DATASET", R_OK) == 0, std::getenv("GRADER_TOKEN") != nullptr,
                std::fopen("HERE/witness", "w") != nullptr);
  }
} early;
"""


def test_is_confined(dataset, tmp_path, strict):
    """A static constructor runs in the sandbox, with a query's rights."""
    folder = tmp_path / "handed-in"
    folder.mkdir()
    before = CONSTRUCTOR.replace("DATASET", str(dataset)).replace("HERE", str(folder))
    source = write(folder / "algorithm.cpp", cpp_sources.index(before=before))
    (found,) = cpp_sources.run(
        dataset, source, isolation="strict", implementation={"folder": str(folder)}
    )
    assert measured(found).recall == 1
    seen = json.loads(found.log_tail.splitlines()[0])
    assert seen == {"data": 0, "secret": 0, "written": 0}
    assert [path.name for path in folder.iterdir()] == ["algorithm.cpp"]
    assert SECRET not in str(found)


@pytest.mark.parametrize(
    ("level", "does", "words"),
    [
        ("strict", "std::exit(0)", "exited with status 0"),
        ("process", "std::exit(0)", "exited with status 0"),
        ("strict", "for (;;) pause()", "took longer"),
    ],
    indirect=["level"],
)
def test_that_ends_or_crashes_it(dataset, tmp_path, level, does, words):
    """A constructor that exits or never ends is a failure while loading."""
    before = "#include <cstdlib>\n#include <unistd.h>\nstruct Early { Early() { DOES; } } early;"
    text = cpp_sources.index(before=before.replace("DOES", does))
    source = write(tmp_path / "algorithm.cpp", text)
    (found,) = cpp_sources.run(dataset, source, isolation=level, phase_timeout_s=2.0)
    assert words in failed(found).message
