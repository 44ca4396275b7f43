"""C++ on Modal: compiled in the submission's own container, beside its header files."""

import shutil
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "cpp" / "buckets"


def test_a_folder_is_compiled_there_and_its_errors_come_back(product):
    """A good C++ folder is measured at all settings; a broken one fails with the line of its error."""
    shutil.copytree(EXAMPLE, product.folder / "buckets")
    product.write("test_it.py", "def test_search(ann_benchmark, case): ann_benchmark(case)\n")
    broken = product.submission("broken/algorithm.cpp", '#include "annmodal.h"\nint x = ;\n')
    ran = product.pytest("--submission=buckets", broken, f"--dataset={product.tiny}", "-v")
    assert ran.counts() == {"passed": 6, "failed": 1}, ran.text
    assert "does not compile (line 2): expected primary-expression before" in ran.words()
    assert "which is not part of the build" in ran.words()
