"""The messages shown while a dataset is looked up, fetched and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

OnProgress = Callable[[int, int | None], None]  # bytes done; total bytes, or None if unknown

# Every message about a dataset and its volume, by key.
LINES: Mapping[str, str] = {
    "checking": "📦 Checking for dataset in volume '{volume}'...",
    "reloaded": "   ✓ Reloaded volume to check for latest changes",
    "not-reloaded": "Note: Volume reload skipped ({reason})",
    "waiting": "   Waiting for another run that is fetching it...",
    "found": "✅ Dataset '{name}' found in volume '{volume}'!",
    "cached": "   Using cached dataset (no download needed)",
    "path": "   Path: {path}",
    "in-place": "✅ Dataset '{name}': using your file where it is (no download needed)",
    "verifying": "   Verifying a file that has no stamp yet: {path}",
    "changed": "   Verifying a file that has changed since it was checked: {path}",
    "outdated": "   Verifying again a file that an earlier version checked less: {path}",
    "not-stamped": "Note: Volume is read-only, the check of '{name}' cannot be recorded ({reason})",
    "set-aside": "⚠️  Dataset '{name}' is damaged and was set aside as {aside}: {reason}",
    "missing": "⚠️  Dataset '{name}' not found in volume '{volume}'",
    "download": "   Downloading now (this is a ONE-TIME operation)...",
    "copy": "   Copying it from the installed package (this is a ONE-TIME operation)...",
    "generate": "   Generating it now (this is a ONE-TIME operation)...",
    "import": "   Importing it now (this is a ONE-TIME operation)...",
    "importing": "📥 Importing {name} from {files}",
    "metric": "   Metric: {metric}. To choose another, end the file's name in it "
    "(vectors-angular.fvecs), or run `annmodal import NAME --train FILE --metric METRIC`.",
    "commit": "   Using commit {commit}",
    "downloading": "📥 Downloading {name} from {url}",
    "saving": "   Saving to volume: '{volume}' at path: {path}",
    "event": "   {text}",
    "downloaded": "✅ Downloaded and verified:",
    "written": "✅ Written and verified:",
    "train": "   Train: ({n_train}, {dim})",
    "test": "   Test: ({n_queries}, {dim})",
    "committing": "💾 Committing dataset to volume '{volume}'...",
    "persisted": "✅ Dataset '{name}' persisted to volume!",
    "future": "   Future runs will use the cached version (no download needed)",
}


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Callbacks for what happens to a dataset's file.

    Attributes:
        line: called with each message.
        progress: called with the bytes done and the total bytes, or None if unknown.
    """

    line: Callable[[str], None] = _nothing
    progress: OnProgress = _nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """Reports messages of the table, by key, about one dataset in one volume."""

    reporter: Reporter = Reporter()
    name: str = ""
    volume: str = ""
    path: object = ""

    def tell(self, *keys: str, **facts: object) -> None:
        known = {"name": self.name, "volume": self.volume, "path": self.path, **facts}
        for key in keys:
            self.reporter.line(LINES[key].format(**known))
