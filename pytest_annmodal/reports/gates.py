"""Shows a gate's findings, one block for each job, on the terminal and in Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_annmodal.finding import (
    BETTER,
    CANNOT_TELL,
    CONFIDENCE,
    NO_CHANGE,
    NOT_GATED,
    WORSE,
    Finding,
    Gated,
    Word,
)
from pytest_annmodal.reports import escape

# The order of a block's lines: verdicts that need an action come first.
WORDS: tuple[Word, ...] = (WORSE, CANNOT_TELL, BETTER, NO_CHANGE, NOT_GATED)
COLORS: Mapping[Word, str] = {WORSE: "31", CANNOT_TELL: "33", BETTER: "32"}
WIDTH = max(map(len, WORDS))
INDENT = " " * (WIDTH + 4)
NARROWEST = 50
UNBOUNDED = 160


@dataclass(slots=True, kw_only=True)
class Block:
    """All findings of one job."""

    job: str
    baseline: str
    findings: list[Finding] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    advice: dict[str, None] = field(default_factory=dict)

    @property
    def ordered(self) -> list[Finding]:
        return sorted(self.findings, key=lambda finding: WORDS.index(finding.word))

    @property
    def controls(self) -> str:
        """The changes of the baseline's own copy, figure by figure."""
        shown = (
            f"{finding.row.name} {_signed(control.change)} "
            f"({_signed(control.low)} to {_signed(control.high)})"
            for finding in self.findings
            if (control := finding.control) is not None
        )
        return ", ".join(shown)


def blocks(found: Iterable[tuple[str, Gated]]) -> list[Block]:
    """Returns one block for each job, in their order; repeated findings are shown once.

    Args:
        found: a job's name, and the findings of one of its cases.
    """
    made: dict[tuple[str, str], Block] = {}
    for job, gated in found:
        block = made.setdefault((job, gated.baseline), Block(job=job, baseline=gated.baseline))
        for finding in gated.findings:
            _add(block.findings, finding)
        block.notes.update(dict.fromkeys(gated.notes))
        block.advice.update(dict.fromkeys(gated.advice))
    return [block for block in made.values() if block.findings or block.notes]


def _add(findings: list[Finding], new: Finding) -> None:
    """Adds a finding, or joins it with an equal one of another setting."""
    for number, known in enumerate(findings):
        alike = new.why and not new.has_values and not known.has_values
        if alike and (known.figure, known.word, known.why) == (new.figure, new.word, new.why):
            if new.at and new.at != known.at:
                findings[number] = replace(known, at=f"{known.at}, {new.at.removeprefix('at ')}")
            return
    findings.append(new)


def terminal(block: Block, *, width: int | None, color: bool) -> Iterator[str]:
    """Yields the lines of a block: the verdicts, the control, notes, and what to do."""
    room = max(width or UNBOUNDED, NARROWEST)
    yield _line(f"{block.job} against {block.baseline}", "1", color)
    for finding in block.ordered:
        yield from _wrapped(finding.word, _said(finding), room, COLORS.get(finding.word, ""), color)
    if block.controls:
        text = f"{block.baseline} beside its own copy: {block.controls}"
        yield from _wrapped("control", text, room, "", color)
    for note in block.notes:
        yield from _wrapped("note", note, room, "", color)
    for advice in block.advice:
        yield from _wrapped("to do", advice, room, "", color)


def _wrapped(word: str, text: str, room: int, style: str, color: bool) -> Iterator[str]:  # noqa: FBT001
    lines = textwrap.wrap(
        escape.printable(text), room - len(INDENT), break_long_words=False, break_on_hyphens=False
    )
    for number, line in enumerate(lines or [""]):
        start = f"  {word:{WIDTH}}  " if number == 0 else INDENT
        yield _line(f"{start}{line}", style, color)


def _line(text: str, style: str, color: bool) -> str:  # noqa: FBT001
    safe = escape.told(escape.printable(text))
    return f"\x1b[{style}m{safe}\x1b[0m" if color and style else safe


def _said(finding: Finding) -> str:
    """Returns ``speed at recall 0.95: 4.1 % slower (99 %: 3.2…5.0 %); allowed 3.0 %; …``."""
    if not finding.has_values:
        return f"{finding.name}: {finding.why}"
    parts = [f"{finding.name}: {finding.brief}"]
    if finding.why:
        parts.append(finding.why)
    elif finding.bound is not None:
        parts.append(f"allowed {finding.amount(finding.bound)}")
    if finding.low is None:
        return "; ".join(parts)
    counted = "build" if finding.figure == "recall" else "session"
    parts.append(f"{finding.sessions} {counted}{'' if finding.sessions == 1 else 's'}")
    return "; ".join(parts)


def _signed(change: float) -> str:
    return f"{100 * change:+.1f} %"


def markdown(found: Sequence[Block]) -> str:
    """Returns Markdown for a comment on a pull request, with worse findings first."""
    if not found:
        return ""
    words = [finding.word for block in found for finding in block.findings]
    head = next((word for word in WORDS if word in words), NO_CHANGE)
    lines = [f"## Gate: {head}", ""]
    for block in found:
        job, baseline = escape.markdown(block.job), escape.markdown(block.baseline)
        lines += [f"**{job}** against **{baseline}**", ""]
        lines.append(f"| verdict | figure | change | {CONFIDENCE} | allowed | |")
        lines.append("|---" * 6 + "|")
        lines += [_markdown_row(finding) for finding in block.ordered]
        items = [f"control: {block.controls}"] if block.controls else []
        items += [
            *map(escape.markdown, block.notes),
            *(f"to do: {advice}" for advice in block.advice),
        ]
        lines += ["", *(f"- {text}" for text in items), ""]
    return "\n".join(lines)


def _markdown_row(finding: Finding) -> str:
    bound = "" if finding.bound is None else finding.amount(finding.bound)
    change = finding.difference if finding.has_values else ""
    word = f"**{finding.word}**" if finding.word in {WORSE, CANNOT_TELL} else finding.word
    interval = finding.interval().strip(" ()").removeprefix(f"{CONFIDENCE}: ")
    name, why = escape.markdown(finding.name), escape.markdown(finding.why)
    return f"| {' | '.join((word, name, change, interval, bound, why))} |"
