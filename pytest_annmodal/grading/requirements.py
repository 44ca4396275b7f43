"""Checks whether a submission needs more libraries than the rules allow."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_annmodal.manifests.requirements import DISTRIBUTIONS, missing_requirements
from pytest_annmodal.model import Implementation

if TYPE_CHECKING:
    from packaging.requirements import Requirement

ALWAYS = ("numpy",)  # the harness itself hands over numpy arrays


def refusal(implementation: Implementation, allow: Sequence[str] | None) -> str | None:
    """Returns why this may not run, or None. Without ``allow``, all installed packages may."""
    if implementation.error is not None:
        return None  # it fails later, with a better message
    if allow is None:
        missing = missing_requirements(implementation)
        return (
            f"needs {', '.join(missing)}, which is not installed where submissions are graded"
            if missing
            else None
        )
    for text in implementation.requirements:
        reason = _against(text, allow)
        if reason:
            return reason
    for module in implementation.modules:
        if not _offered(module, allow):
            return f"imports {module}; {_offer(allow)}"
    return None


def _offer(allow: Sequence[str]) -> str:
    names = ", ".join(dict.fromkeys((*ALWAYS, *allow)))
    return f"this grading allows {names} and what comes with Python"


def _against(text: str, allow: Sequence[str]) -> str | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return f"its header's requirement {text!r} cannot be read; {_offer(allow)}"
    if requirement.url:
        return f"its header asks for {text!r}; a requirement may not have a URL"
    offered = [
        known
        for known in map(Requirement, (*ALWAYS, *allow))
        if _canonical(known) == _canonical(requirement)
    ]
    if not offered:
        return f"its header asks for {text!r}; {_offer(allow)}"
    extra = requirement.extras.difference(*(known.extras for known in offered))
    return f"its header asks for the extra {min(extra)!r}; {_offer(allow)}" if extra else None


def _canonical(requirement: Requirement) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(requirement.name)


def _offered(module: str, allow: Sequence[str]) -> bool:
    """Whether a module is of the standard library or of an allowed distribution."""
    import importlib.metadata

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    names = {_canonical(Requirement(text)) for text in (*ALWAYS, *allow)}
    if module in sys.stdlib_module_names:
        return True
    if canonicalize_name(DISTRIBUTIONS.get(module, module)) in names:
        return True
    owners = importlib.metadata.packages_distributions().get(module, [])
    return any(canonicalize_name(owner) in names for owner in owners)
