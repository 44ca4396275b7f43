"""C++ that attacks through the compiler: includes of foreign files and of endless ones."""

import os

import cpp_sources
import pytest
from jobs import failed, measured, write

from pytest_annmodal.jobs import compiling
from pytest_annmodal.manifests import manifest


def _compiled(dataset, source, **options):
    (found,) = cpp_sources.run(
        dataset, source, **{"isolation": "strict", "phase_timeout_s": 20.0, **options}
    )
    return found


def test_files_of_others(dataset, tmp_path, strict):
    """Files outside the sandbox cannot be included, so no error message quotes them.

    The assembler names each file. The preprocessor names the first, and can be asked for the
    others, which it then leaves out silently (gcc 12).
    """
    secret = write(tmp_path / "truth.txt", "the secret words")
    folder = tmp_path / "handed-in"
    folder.mkdir()
    paths = ("/etc/passwd", str(secret), "../truth.txt")
    asked = "".join(f'#if __has_include("{path}")\n#error "seen"\n#endif\n' for path in paths[1:])
    embedded = "".join(f'asm(".incbin \\"{path}\\"");\n' for path in paths)
    for text, n_missing in ((asked + f'#include "{paths[0]}"\n', 1), (embedded, len(paths))):
        source = write(folder / "algorithm.cpp", text)
        failure = failed(_compiled(dataset, source, implementation={"folder": str(folder)}))
        assert failure.kind == "compile"
        said = failure.message + str(failure.evidence["traceback"])
        assert "No such file" in failure.message or "file not found" in failure.message
        assert said.count("No such file") + said.count("file not found") >= n_missing
        for words in ("seen", "root:", "secret words"):
            assert words not in str(failure)


ENDLESS = {
    "zeros": '#include "/dev/zero"\n',
    "itself": '#include "algorithm.cpp"\n',
    "templates": (
        "constexpr int f(int n) { return n < 2 ? n : f(n - 1) + f(n - 2); }\n"
        "template <int n> struct T { int a = T<2 * n>().a + T<2 * n + 1>().a; };\n"
        "template <> struct T<(1 << 29)> { int a = 0; };\nint x = T<1>().a;\n"
    ),
}


@pytest.mark.parametrize(
    ("level", "what"),  # there is no such device at the strict level; the compiler is the same
    [("strict", "zeros"), ("process", "zeros"), ("strict", "itself"), ("process", "templates")],
    indirect=["level"],
)
def test_without_end(dataset, tmp_path, level, monkeypatch, what):
    """The compiler's time, memory and output have limits."""
    monkeypatch.setattr(compiling, "COMPILE_S", 20.0)
    source = write(tmp_path / "algorithm.cpp", ENDLESS[what] + cpp_sources.EXACT)
    failure = failed(_compiled(dataset, source, isolation=level))
    assert (failure.kind, failure.blame) == ("compile", "submission")
    assert len(str(failure)) < 50_000


def test_a_link_out_of_the_folder(tmp_path, strict):
    """Links, pipes and binary files are never compiled."""
    folder = tmp_path / "handed-in"
    folder.mkdir()
    source = write(folder / "algorithm.cpp", cpp_sources.EXACT)
    (folder / "mine.h").symlink_to("/etc/passwd")
    (found,) = manifest.read_submission(folder)
    assert (
        found.error
        == f"{folder}: 'mine.h' is a link, which is not followed; hand in the file itself"
    )
    (folder / "mine.h").unlink()
    source.unlink()
    os.mkfifo(source)
    (found,) = manifest.read_submission(folder)
    assert "'algorithm.cpp' is not a regular file" in found.error
    source.unlink()
    source.write_bytes(b"// caf\xe9\n")
    (found,) = manifest.read_submission(folder)
    assert "line 1 is not UTF-8 text (byte 0xe9)" in found.error


def test_odd_names(dataset, tmp_path, strict):
    """Odd file names work, and errors find their line."""
    source = write(
        tmp_path / "-o @x $(touch x)\n\udcff.cpp", cpp_sources.EXACT.replace("int dim", "\nint dim")
    )
    (found,) = manifest.read_submission(source)
    assert found.error is None
    assert measured(_compiled(dataset, source)).recall == 1
    failure = failed(_compiled(dataset, write(source, "\n\nint x = ;\n")))
    assert failure.message.startswith("does not compile (line 3): expected")
    assert not (tmp_path / "x").exists()
