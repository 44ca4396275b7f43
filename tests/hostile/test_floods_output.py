"""Prints without end."""

from witnesses import MEGABYTE, failed


def test_is_a_limit(attack, level):
    """Endless output is a limit violation; its end is kept, without control characters."""
    for method in ("fit(self, X)", "query(self, v, k)"):
        body = f"def {method}:\n    while True: os.write(2, b'\\x1b[2J' * 20000)"
        failure = failed(attack(body, level=level, output_bytes=MEGABYTE)[0])
        assert failure.kind == "limit"
        assert failure.message.startswith("printed more than 1,048,576 bytes")
        assert "\x1b" not in failure.evidence["log_tail"]
        assert len(failure.evidence["log_tail"]) < 100_000
