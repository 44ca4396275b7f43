"""The pages of docs/reference/: what the tables in the code say, made when the site is built."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pytest_annmodal
from pytest_annmodal import errors, figures
from pytest_annmodal.cli import main
from pytest_annmodal.datasets import catalog
from pytest_annmodal.datasets.generated import GENERATED
from pytest_annmodal.distances import measures, metrics
from pytest_annmodal.doctor.examination import Examination
from pytest_annmodal.page import plots
from pytest_annmodal.reports.columns import COLUMNS
from pytest_annmodal.reports.export import FORMATS
from pytest_annmodal.results import foreign
from pytest_annmodal.settings.config import OPTIONS
from pytest_annmodal.settings.option import Option

ROOT = Path(__file__).parents[1]


def pages() -> dict[str, str]:
    """Every page by the name of its file, without ``.md``."""
    return {name: make() for name, make in MAKERS.items()}


def write(folder: Path) -> None:
    """Write them; a file that would stay the same is left alone, so that it is not built again."""
    folder.mkdir(exist_ok=True)
    for name, text in pages().items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


OPTIONS_HEAD = """\
# Options

Each option has an environment variable and an ini key. The command line goes before the variable, and the
variable before the ini file. A switch takes no value on the command line, and `true` or `false` elsewhere.
`pytest --help` shows the same.
"""
OUTCOMES_HEAD = """\
# Outcomes and errors

A case gives a [Measurement](names.md) or a Failure. A failure of the implementation fails its test; one of the
infrastructure is an error of its test.
"""


def options() -> str:
    parts = [OPTIONS_HEAD]
    for group, rows in groupby(OPTIONS, key=lambda option: option.group):
        parts.append(f"\n## {_capital(group.partition(': ')[2])}\n")
        parts.append(
            _table(
                ("option, variable, ini key", "meaning"),
                (
                    (
                        "<br>".join(f"`{name}`" for name in (*_flags(row), row.env, row.ini)),
                        _plain(row.help) + _choices(row.choices),
                    )
                    for row in rows
                ),
            )
        )
    return "\n".join(parts)


def _flags(row: Option) -> list[str]:
    return [f"{flag} {row.metavar}" if row.metavar else flag for flag in row.flags]


def _choices(choices: Sequence[str] | None) -> str:
    return f" One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else ""


def figure_table() -> str:
    rows = (
        (
            f"`{row.name}`",
            row.words,
            row.unit or "–",
            row.better,
            f"`{row.threshold}`",
            f"`{row.needs}`" if row.needs else "–",
        )
        for row in figures.FIGURES
    )
    head = ("figure", "what", "unit", "better", "threshold", "needs")
    return (
        "# Figures\n\nWhat is measured of a setting, what its thresholds are called in "
        "`@pytest.mark.ann` and in grading, and the option without which it is not measured. "
        "[How each is measured](../measurement.md).\n\n" + _table(head, rows)
    )


def metric_table() -> str:
    rows = (
        (
            f"`{row.name}`",
            ", ".join(f"`{word}`" for word in row.words),
            _first_sentence(measures.MEASURES[row.name]),
            "yes" if row.by_default else "no",
            ", ".join(f"`{one.name}`" for one in GENERATED.values() if one.metric == row.name)
            or "–",
        )
        for row in metrics.METRICS.values()
    )
    head = ("metric", "also called", "what", "asked of every implementation", "generated dataset")
    return "# Metrics\n\n" + _table(head, rows)


def formats() -> str:
    written = ((f"`{name}`", _first_sentence(write)) for name, write in FORMATS.items())
    columns = ((f"`{column.name}`", column.kind.__name__) for column in COLUMNS)
    read = ((f"`*{ending}`", _first_sentence(reader)) for ending, reader in foreign.READERS.items())
    drawn = ((f"`{kind}`", ", ".join(plots.FORMATS)) for kind in plots.KINDS)
    return "\n".join(
        (
            "# Formats\n",
            "## Written by `annmodal export --format`\n",
            _table(("format", "what"), written),
            "\n## Columns of CSV, JSON and Parquet\n",
            _table(("column", "type"), columns),
            "\n## Drawn by `annmodal plot --kind`\n",
            _table(("kind", "as"), drawn),
            "\n## Results of others that are read\n",
            _table(("file", "what"), read),
        )
    )


def outcomes() -> str:
    kinds = (
        (f"`{error.kind}`", _first_sentence(error), f"`{error.__name__}`")
        for error in _all_of(errors.SubmissionError)
    )
    raised = (
        (f"`{error.__name__}`", _first_sentence(error), f"`{error.__bases__[0].__name__}`")
        for error in _all_of(errors.AnnModalError)
        if not issubclass(error, errors.SubmissionError)
    )
    return "\n".join(
        (
            OUTCOMES_HEAD,
            "## What an implementation can do wrong\n",
            _table(("kind", "what happened", "error"), kinds),
            "\n## What is nobody's fault, or the configuration's\n",
            _table(("error", "what happened", "is a"), raised),
        )
    )


def commands() -> str:
    top = main.parser()
    (subparsers,) = (a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    parts = ["# The command annmodal\n"]
    for row in main.SUBCOMMANDS:
        parts.append(f"## annmodal {row.name}\n\n{_plain(row.description)}\n")
        actions = [a for a in subparsers.choices[row.name]._actions if a.dest != "help"]
        parts.append(
            _table(
                ("argument", "meaning"),
                (
                    (
                        f"`{'`, `'.join(action.option_strings) or action.metavar}`",
                        _plain(action.help or "") + _choices(action.choices),
                    )
                    for action in actions
                ),
            )
        )
    return "\n".join(parts)


def doctor() -> str:
    rows = (
        (f"**{name}**", _first_sentence(check) if check.__doc__ else PROBED[name])
        for name, check in Examination(0).checks.items()
    )
    return (
        "# What annmodal doctor looks at\n\n"
        "`annmodal doctor` examines this machine in ten seconds. ✓ means that figures can be "
        "trusted as far as this goes, ! that they mean less, ✗ that they are not true; the exit "
        "status is then 1.\n\n" + _table(("check", "what"), rows)
    )


PROBED = {
    "floor": "What the harness itself adds to a query.",
    "equal things": "How far apart two equal builds look, asked in turn for some seconds: smaller "
    "differences cannot be seen in one look.",
    "steal": "What a hypervisor gave to others meanwhile.",
    "kernels": "Which instructions the libraries chose for this processor.",
}


def datasets() -> str:
    rows = (
        (
            f"`{row.name}`",
            row.metric or "–",
            _number(row.n_train),
            _number(row.n_queries),
            str(row.dim or "–"),
            figures.size(row.size_bytes),
        )
        for row in catalog.CATALOG.values()
    )
    head = ("dataset", "metric", "vectors", "queries", "dimension", "file")
    return "# The catalogue\n\n[How a dataset is fetched](../datasets.md).\n\n" + _table(head, rows)


def names() -> str:
    parts = [
        "# Public names\n\n`from pytest_annmodal import …` has these; [api.md](../api.md) says what each is for.\n"
    ]
    for name in pytest_annmodal.__all__:
        kind = "autoclass" if inspect.isclass(getattr(pytest_annmodal, name)) else "autofunction"
        if name == "Outcome":  # a union
            parts.append("## Outcome\n\nA `Measurement` or a `Failure`.\n")
            continue
        parts.append(f"## {name}\n\n```{{eval-rst}}\n.. {kind}:: pytest_annmodal.{name}\n```\n")
    return "\n".join(parts)


def changelog() -> str:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    text = re.sub(r"\]\(docs/([^)]*)\)", r"](../\1)", text)
    return re.sub(r"\[([^]]*)\]\((?!https?:|\.\./)[^)]*\)", r"\1", text)  # files beside the site


# What each kind of file to copy is for, and where they lie in this project.
TO_COPY = {
    "An index of your own": ("benchmarks/student.py",),
    "An index in C++": ("examples/cpp/buckets/*",),
    "A library that is not built in": ("examples/libraries/*.py",),
    "Implementations that teach how to measure": ("examples/load/*.py",),
    "A gate for pull requests": ("examples/regression.yml",),
    "The rules of a course": ("examples/class/grading.toml",),
    "A class in CI": ("examples/ci/github/*", "examples/ci/gradescope/*"),
}
LANGUAGES = {".py": "python", ".yml": "yaml", ".toml": "toml", ".cpp": "cpp", ".h": "cpp"}


def files_to_copy() -> str:
    """Whole files: whoever installed the package has no clone to copy them from."""
    parts = ["# Files to copy\n\nWhole as they are here; a clone of this project has them too.\n"]
    for head, globs in TO_COPY.items():
        parts.append(f"## {head}\n")
        for path in (path for glob in globs for path in sorted(ROOT.glob(glob))):
            text = path.read_text(encoding="utf-8").rstrip()
            language = LANGUAGES.get(path.suffix, "sh")
            parts.append(f"`{path.relative_to(ROOT)}`\n\n````{language}\n{text}\n````\n")
    return "\n".join(parts)


MAKERS: dict[str, Callable[[], str]] = {
    "options": options,
    "figures": figure_table,
    "metrics": metric_table,
    "datasets": datasets,
    "formats": formats,
    "outcomes": outcomes,
    "commands": commands,
    "doctor": doctor,
    "names": names,
    "files-to-copy": files_to_copy,
    "changelog": changelog,
}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [
        head,
        ["---"] * len(head),
        *([cell.replace("|", "\\|") for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _all_of(base: type[errors.AnnModalError]) -> Iterator[type[errors.AnnModalError]]:
    for error in base.__subclasses__():
        if error.__module__ == errors.__name__:
            yield error
            yield from _all_of(error)


def _first_sentence(thing: object) -> str:
    """Of its docstring, as Markdown; a reStructuredText role is its last word."""
    text = (inspect.getdoc(thing) or "–").split("\n\n")[0].replace("\n", " ")
    return text.replace("``", "`")


def _plain(text: str) -> str:
    """A help text in Markdown: what it has in quotes stays as it is."""
    return " ".join(text.replace("%%", "%").replace("<", "&lt;").replace("*", "\\*").split())


def _number(value: int | None) -> str:
    return f"{value:,}" if value is not None else "–"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
