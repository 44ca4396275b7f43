"""Faults by script: what goes wrong, at which call, how often.

Statuses matter: the client retries DEADLINE_EXCEEDED, UNAVAILABLE, CANCELLED, INTERNAL and UNKNOWN
(three times in general, ninety times for a commit), so a fault meant to be seen needs another
status, or `times` above the retries.
"""

import dataclasses
import re
import threading
from collections.abc import Callable
from typing import Any, Literal

from grpclib.const import Status

When = Literal["started", "input", "output"]


@dataclasses.dataclass
class RpcFault:
    rpc: str
    action: Literal["fail", "delay", "hang", "die", "silence", "cut"]
    nth: int
    times: int
    status: Status = Status.FAILED_PRECONDITION
    message: str = ""
    seconds: float = 0.0
    match: Callable[[Any], bool] | None = None
    seen: int = 0
    fired: int = 0

    def due(self, rpc: str, request: Any) -> bool:
        """Count this call, and tell whether the fault strikes it."""
        if rpc != self.rpc or (self.match is not None and not self.match(request)):
            return False
        self.seen += 1
        if not self.nth <= self.seen < self.nth + self.times:
            return False
        self.fired += 1
        return True


@dataclasses.dataclass
class ContainerFault:
    function: str
    nth: int
    signal: int
    when: When
    log: str | None
    preempt: bool
    times: int
    seen: int = 0
    fired: int = 0


@dataclasses.dataclass
class BuildFault:
    log: str
    match: str | None
    times: int
    fired: int = 0


ALWAYS = 1_000_000_000


class Faults:
    """The script; `plane.faults`. Counting starts when a fault is declared."""

    def __init__(self, refuse: Callable[[], None]) -> None:
        self._rpcs: list[RpcFault] = []
        self._containers: list[ContainerFault] = []
        self._builds: list[BuildFault] = []
        self._refuse = refuse
        self.silent = threading.Event()

    def fail(
        self,
        rpc: str,
        *,
        nth: int = 1,
        times: int = 1,
        status: Status = Status.FAILED_PRECONDITION,
        message: str = "scripted fault",
        match: Callable[[Any], bool] | None = None,
    ) -> RpcFault:
        """Answer the `nth` call of `rpc` (and the `times - 1` after it) with an error status."""
        return self._add(
            RpcFault(rpc, "fail", nth, times, status=status, message=message, match=match)
        )

    def delay(self, rpc: str, seconds: float, *, nth: int = 1, times: int = ALWAYS) -> RpcFault:
        """Answer late."""
        return self._add(RpcFault(rpc, "delay", nth, times, seconds=seconds))

    def hang(self, rpc: str, *, nth: int = 1, times: int = ALWAYS) -> RpcFault:
        """Never answer."""
        return self._add(RpcFault(rpc, "hang", nth, times))

    def server_dies_at(self, rpc: str, *, nth: int = 1) -> RpcFault:
        """Cut every connection and stop listening when the `nth` call of `rpc` arrives."""
        return self._add(RpcFault(rpc, "die", nth, 1))

    def refuse(self) -> None:
        """Stop listening now: the port answers with "connection refused"."""
        self._refuse()

    def cut_at(self, rpc: str, *, nth: int = 1, times: int = ALWAYS) -> RpcFault:
        """Break all connections when a call of `rpc` arrives, and go on listening."""
        return self._add(RpcFault(rpc, "cut", nth, times))

    def silent_from(self, rpc: str, *, nth: int = 1) -> RpcFault:
        """Answer nothing any more, to nobody, from the `nth` call of `rpc` on; accept all."""
        return self._add(RpcFault(rpc, "silence", nth, ALWAYS))

    def kill_container(
        self,
        function: str,
        *,
        nth: int = 1,
        signal: int = 9,
        when: When = "input",
        log: str | None = None,
        preempt: bool = False,
        times: int = 1,
    ) -> ContainerFault:
        """Signal the container at the `nth` moment of this kind in a function.

        Args:
            function: The function's name; "*" for any.
            nth: Which occurrence strikes first.
            signal: What is sent to the container's main process.
            when: As it has started, been given an input, or delivers an output (then lost).
            log: Instead of `when`: as it prints a line that contains this text.
            preempt: The service took the machine away: the input starts anew in another container.
            times: For how many occurrences.
        """
        fault = ContainerFault(function, nth, signal, when, log, preempt, times)
        self._containers.append(fault)
        return fault

    def image_build_fails(
        self, log: str, *, match: str | None = None, times: int = ALWAYS
    ) -> BuildFault:
        """Fail the build of images one of whose lines matches the pattern (None: of any image)."""
        fault = BuildFault(log, match, times)
        self._builds.append(fault)
        return fault

    def clear(self) -> None:
        self._rpcs.clear()
        self._containers.clear()
        self._builds.clear()
        self.silent.clear()

    def _add(self, fault: RpcFault) -> RpcFault:
        self._rpcs.append(fault)
        return fault

    # What the plane asks.

    def rpc_due(self, rpc: str, request: Any) -> list[RpcFault]:
        return [fault for fault in list(self._rpcs) if fault.due(rpc, request)]

    def container_due(
        self, function: str, when: When, line: str | None = None
    ) -> ContainerFault | None:
        for fault in list(self._containers):
            if fault.function not in ("*", function):
                continue
            if fault.log is not None:
                if line is None or fault.log not in line:
                    continue
            elif line is not None or fault.when != when:
                continue
            fault.seen += 1
            if fault.nth <= fault.seen < fault.nth + fault.times:
                fault.fired += 1
                return fault
        return None

    def build_due(self, commands: list[str]) -> BuildFault | None:
        for fault in list(self._builds):
            if fault.fired >= fault.times:
                continue
            if fault.match is None or any(re.search(fault.match, line) for line in commands):
                fault.fired += 1
                return fault
        return None
