"""The table of surprises: unexpected behaviour of libraries, formats and tools.

Notes refer to a row by name (``see surprises: ef-below-k``), and :func:`page` writes
docs/surprises.md. The behaviour was seen with the versions in each row.
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple


class Surprise(NamedTuple):
    """One row.

    Attributes:
        name: its name in notes.
        subject: its heading.
        thought: what one would expect.
        happens: what really happens, with the versions of the libraries.
        harness: what this project does about it.
        shown_by: a command that shows it, run in this project's folder.
    """

    name: str
    subject: str
    thought: str
    happens: str
    harness: str
    shown_by: str


GRAPHS = "hnswlib, and graphs in general"
USEARCH = "usearch"
FAISS = "faiss"
ANNOY = "annoy"
COMPILED = "pynndescent"
OTHERS = "Other libraries"
FORMATS = "Formats"
TOOLS = "pytest and pytest-benchmark"
FIGURES = "Figures"


def _finding(name: str) -> str:
    return f"bash findings/{name}.sh"


SURPRISES: tuple[Surprise, ...] = (
    Surprise(
        "ef-below-k",
        GRAPHS,
        "ef = 10 at k = 100 searches with 10.",
        "hnswlib 0.8.0 and usearch 2.26.6 search with k and still report 10. faiss 1.15.1 searches "
        "with 10: recall 0.20, where ef = 100 finds 0.66.",
        "Settings that the library treats alike are measured once; a note names the value used, "
        "and the JSON has `asked` and `effective`.",
        _finding("effort-below-k"),
    ),
    Surprise(
        "sorted-rows",
        GRAPHS,
        "The order of the rows does not matter.",
        "In the order of their clusters, hnswlib 0.8.0, usearch 2.26.6 and voyager 2.2.3 miss "
        "whole clusters, whatever ef is. faiss shuffles what one `add` gets.",
        "A note, if consecutive rows are less than half as far apart as random ones. "
        "`--ann-subset` and `--ann-queries` draw a random sample.",
        _finding("sorted-rows-split-a-graph"),
    ),
    Surprise(
        "copies",
        GRAPHS,
        "Equal rows are easy: any of them is right.",
        "Copies of one row are linked only to each other. With half of all rows equal, hnswlib "
        "0.8.0 finds 0.40 of the others at ef = 100, and 0.43 at 400.",
        "A note from 10 % of copies on, with the share of true neighbours that they are. "
        "Any of several equally near rows counts as right.",
        _finding("copies-close-a-graph"),
    ),
    Surprise(
        "tiny-products",
        GRAPHS,
        "Inner products order rows of any length.",
        "hnswlib 0.8.0, usearch 2.26.6 and voyager 2.2.3 compute 1 - product in float32: with rows "
        "times 1e-5 nothing is left to compare, and recall falls from 0.97 to 0.03.",
        "A note with the size of the products. The exact search and the truth do not depend on it.",
        _finding("tiny-products-vanish"),
    ),
    Surprise(
        "missing-answers",
        GRAPHS,
        "A query for k neighbours gets k.",
        "A search may reach fewer. hnswlib 0.8.0 raises for the whole batch, faiss 1.15.1 answers "
        "-1. usearch 2.26.6 returns a shorter list for one query, and pads a batch with key 0.",
        "With `short-answers` in the header, missing ids count as misses and a note names the "
        "setting that bounds them; without it, the error names that key.",
        "pytest benchmarks/ --impl 'faiss-ivf[n_list=128,n_probe=1]' --ann-k 100",
    ),
    Surprise(
        "saved-index",
        GRAPHS,
        "A saved index keeps its metric and its ef.",
        "hnswlib 0.8.0 silently loads a file under any space, with ef = 10 and all cores.",
        "Indexes are never loaded from files: each build is new, and its answers are scored.",
        _finding("hnswlib-file-forgets-its-space"),
    ),
    Surprise(
        "one-row-batch",
        USEARCH,
        "A batch of one row is answered as a batch.",
        "usearch 2.26.6 drops the first axis.",
        "The built-in restores it. A submission that does not gets an error with the shapes.",
        _finding("usearch-one-row-loses-its-axis"),
    ),
    Surprise(
        "bytes-as-bits",
        USEARCH,
        "An index of `u8` takes rows of uint8 as numbers.",
        'usearch 2.26.6 reads them as packed bits, unless each call has `dtype="u8"`.',
        "The built-in passes it. A submission that does not has a recall near 0.",
        _finding("usearch-reads-bytes-as-bits"),
    ),
    Surprise(
        "self-reported-size",
        USEARCH,
        "`memory_usage` is the size of the index.",
        "usearch 2.26.6 counts reserved memory: 40 times the index at 2,000 x 16.",
        "The built-in reports the size as a file. `index_bytes` is the growth of the process, or "
        "the self-report if that is larger: then a note has both.",
        _finding("usearch-counts-what-it-reserved"),
    ),
    Surprise(
        "cells-need-rows",
        FAISS,
        "n_list = 128 makes 128 cells, and n_probe = 200 visits 200.",
        "faiss 1.15.1 wants 39 rows per cell, and warns once on stderr. If n_probe exceeds the "
        "number of cells, it visits all of them and reports the larger number.",
        "The built-in makes fewer cells. A note says how many; equal settings are measured once.",
        "pytest benchmarks/ --impl faiss-ivf --dataset digits-64-euclidean",
    ),
    Surprise(
        "far-from-origin",
        FAISS,
        "Distances do not change when all vectors are moved.",
        "In float32 they do. Moved by 1e4, faiss 1.15.1 IVF puts rows into wrong cells: recall "
        "0.06 when they are added at once, 0.996 when 500 at a time. Panorama loses recall too.",
        "A note with the offset, from 100 times the spread on; faiss-ivf is left as it is. "
        "bruteforce first moves all vectors to the mean of the rows, and is exact.",
        _finding("faiss-ivf-off-the-origin"),
    ),
    Surprise(
        "threads-are-everybodys",
        FAISS,
        "`omp_set_num_threads(1)` affects only faiss.",
        "faiss 1.15.1 and scikit-learn 1.9.1 share one OpenMP: it affects scikit-learn too, and "
        "only the Python thread that called it.",
        "The thread variables are set before anything is imported, and the worker is pinned.",
        _finding("faiss-threads-are-everybodys"),
    ),
    Surprise(
        "query-length",
        ANNOY,
        "A ranking by inner product does not depend on the query's length.",
        "annoy 1.17.3's `dot` does: recall 0.87, 0.41, 0.18 for queries of length 1, 0.1, 0.001.",
        "The built-in scales each query to ten times the rows' length. A submission's queries are "
        "left as they are.",
        _finding("annoy-dot-depends-on-query-length"),
    ),
    Surprise(
        "seed-and-jobs",
        ANNOY,
        "A seed fixes the index.",
        "Only for one number of jobs: annoy 1.17.3 answers differently with 1 and with 2.",
        "The number of threads is shown with every figure.",
        _finding("annoy-answers-depend-on-jobs"),
    ),
    Surprise(
        "compiles-itself",
        COMPILED,
        "Build time is the time to build the index.",
        "pynndescent 0.7.0 compiles for tens of seconds in the constructor of every process, "
        "even with a cache.",
        "`warm_up_build = true` in a header builds a small index before timing; a note says how "
        "long that took.",
        _finding("pynndescent-compiles-in-every-process"),
    ),
    Surprise(
        "fills-up",
        COMPILED,
        "Asked for more rows than it reaches, it answers fewer.",
        "pynndescent 0.7.0 repeats one row, at an infinite distance, or at 1 for cosine.",
        "The built-in answers -1 for them: misses, and a note names `n_neighbors`.",
        _finding("pynndescent-fills-up-with-one-row"),
    ),
    Surprise(
        "padding",
        OTHERS,
        "Neighbours that were not found are left out.",
        "scalable-vs 0.5.0 answers row 0 at distance 0.0, scann-core 0.2.1 row 0 with NaN, "
        "zvec 0.8.0 and faiss 1.15.1 answer -1, rabitqlib 0.7.1 and alayalite 1.0.4 4294967295. "
        "pyvsag 0.18.5 leaves uninitialised memory there.",
        "Distances are computed here and never taken from an answer. Repeated row 0 at the end of "
        "an answer is reported as padding.",
        _finding("svs-pads-with-row-zero"),
    ),
    Surprise(
        "half-precision",
        OTHERS,
        "An index that is not quantised keeps float32.",
        "kannolo 0.15.1 keeps half precision: recall is 1.0 at scale 1, and 0.01 with rows times "
        "1e5 or 1e-8.",
        "Recall shows it. `examples/libraries/kannolo_hnsw.py` moves rows to their mean and to a "
        "scale of 1.",
        _finding("kannolo-keeps-half-precision"),
    ),
    Surprise(
        "no-graph-yet",
        OTHERS,
        "Rows that are inserted are in the graph.",
        "zvec 0.8.0 compares all rows until `optimize()`: recall 1.0 at any ef, and an exact "
        "search's latency.",
        "The index is measured as `fit` leaves it. `examples/libraries/zvec_hnsw.py` optimises it "
        "in `fit`.",
        _finding("zvec-is-exact-until-optimised"),
    ),
    Surprise(
        "built-later",
        OTHERS,
        "An index that is called finished is used.",
        "milvus-lite 3.2.2 says Finished, with all rows, seconds before its HNSW graph is built: "
        "until then every search is exact. IVF_PQ is never built, and called Finished too.",
        "Rounds of the same queries are compared: a note has two recalls that differ by more "
        "than chance. An index that changes before or after all rounds is not noticed: let `fit` "
        "wait until it is there.",
        _finding("milvus-lite-finished-before-it-indexes"),
    ),
    Surprise(
        "queries-with-a-step",
        OTHERS,
        "A numpy view holds the numbers that it shows.",
        "pyvsag 0.18.5 ignores the view's strides and reads consecutive numbers: it finds "
        "neighbours of another point.",
        "Queries are passed one by one, as contiguous float32.",
        _finding("pyvsag-takes-every-row-for-contiguous"),
    ),
    Surprise(
        "hdf5-filters",
        FORMATS,
        "An HDF5 file that opens can be read.",
        "With Blosc, Zstd, LZ4 and others, h5py 3.16 opens it, but cannot read it and names "
        "neither filter nor package.",
        "The error names the filter and hdf5plugin, which is used if it is installed.",
        "pytest tests/unit/test_hdf5_storage.py -k filter",
    ),
    Surprise(
        "hdf5-bfloat16",
        FORMATS,
        "dtype `<f4` has four bytes.",
        "h5py 3.16 reports a two-byte bfloat16 as `<f4`.",
        "The stored size is checked before mapping; bfloat16 is converted.",
        _finding("hdf5-bfloat16-looks-like-float32"),
    ),
    Surprise(
        "hdf5-missing-parts",
        FORMATS,
        "Reading missing data is an error.",
        "Virtual and external arrays of HDF5 2.0 read as zeros if their parts are missing.",
        "Datasets in several files are refused, with how to write one file.",
        _finding("hdf5-missing-parts-read-as-zeros"),
    ),
    Surprise(
        "parquet-nulls",
        FORMATS,
        "`flatten()` keeps every row.",
        "pyarrow 26.0.1 drops null rows, so every later row gets a smaller number.",
        "`annmodal import` refuses rows with nulls, and names them.",
        _finding("parquet-null-rows-vanish"),
    ),
    Surprise(
        "safetensors-order",
        FORMATS,
        "Saved numbers are those of the array.",
        "safetensors 0.8.0 saves other numbers if the array is not in C order.",
        "A stored truth is checked against distances computed from the rows.",
        _finding("safetensors-saves-other-numbers"),
    ),
    Surprise(
        "benchmark-off",
        TOOLS,
        "`--benchmark-json` writes a file, or the run fails.",
        "pytest-benchmark 5.3.1 switches itself off if PYTEST_XDIST_WORKER is inherited, or "
        "with `--dist=load`: no file, no comparison, exit status 0.",
        "An error if a result was requested; else a line says so.",
        _finding("benchmark-off-by-an-inherited-variable"),
    ),
    Surprise(
        "compare-fail",
        TOOLS,
        "A missed `--benchmark-compare-fail` fails the run after its tables.",
        "pytest-benchmark 5.3.1 raises in the middle of the summary: the rest is missing.",
        "The tables are shown all the same, and the exit status is 1.",
        _finding("compare-fail-hides-other-tables"),
    ),
    Surprise(
        "reruns",
        TOOLS,
        "A rerun replaces the failed measurement.",
        "With pytest-rerunfailures, pytest-benchmark 5.3.1 keeps both under one name.",
        "A test that runs again is measured again, and the table numbers the measurements.",
        _finding("reruns-keep-the-failed-measurement"),
    ),
    Surprise(
        "ini-file-elsewhere",
        TOOLS,
        "`--dataset FILE` and `--dataset=FILE` are the same.",
        "pytest 9.2.0 takes a path after a space as a place to look for its ini file: the "
        "project's own may not be read.",
        "A line below the tables names the file that was not read, and what to write instead.",
        _finding("option-values-choose-the-ini-file"),
    ),
    Surprise(
        "p99-unstable",
        FIGURES,
        "p99 of a few thousand latencies is stable enough for a threshold.",
        "With 1 % of stragglers at ten times, equal code differs by more than 2 x in 4 of 10 runs.",
        "A threshold on p99 is marked *unstable* below 10,000 latencies, or with more than 0.3 % "
        "of stragglers, with its spread between rounds. Prefer p95.",
        "pytest tests/unit/test_stability.py",
    ),
    Surprise(
        "dependent-sessions",
        FIGURES,
        "A 95 % interval is wrong in 5 % of cases.",
        "If sessions depend on each other (lag-1 correlation 0.5), Student's t is wrong in "
        "24 %; if they are skewed, in up to 20 %.",
        "The interval of `--ann-baseline` is widened for both; if it is then too wide, the verdict "
        "is *cannot tell*, with the reason. docs/measurement.md has the rates.",
        "python -m benchmarks.error_rates",
    ),
)
INTRODUCTION = """\
# Surprises

Libraries, formats and test tools that behave otherwise than one would expect. Notes in the output
refer to a row: `see surprises: ef-below-k`. Run the commands in this project's folder. This page
is written by `python -m pytest_annmodal.surprises > docs/surprises.md`."""
_NAMES = {row.name for row in SURPRISES}


def see(name: str) -> str:
    """Returns ``(see surprises: ef-below-k)``.

    Raises:
        KeyError: no row has that name.
    """
    if name not in _NAMES:
        raise KeyError(name)
    return f"(see surprises: {name})"


def noted(name: str, text: str) -> str:
    """Returns a note with a reference to its row."""
    return f"{text} {see(name)}"


def named_in(note: str) -> str:
    """Returns the reference at the end of a note, or ""."""
    _, mark, rest = note.rpartition("(see surprises: ")
    return mark + rest


def page() -> str:
    """Returns the text of docs/surprises.md."""
    parts = [INTRODUCTION]
    for subject, rows in groupby(SURPRISES, key=lambda row: row.subject):
        parts.append(f"\n## {subject}\n")
        parts.append("| | one would expect | what happens | what the harness does | shown by |")
        parts.append("|---|---|---|---|---|")
        parts += [_line(row) for row in rows]
    return "\n".join(parts) + "\n"


def _line(row: Surprise) -> str:
    cells = (row.thought, row.happens, row.harness, f"`{row.shown_by}`")
    return f"| **{row.name}** | {' | '.join(cells)} |"


if __name__ == "__main__":
    print(page(), end="")
