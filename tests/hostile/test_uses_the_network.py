"""Connects to a server on this machine."""

import select
import socket

from witnesses import measured, said


def test_the_network_cannot_be_reached(attack, level):
    """There is no network in the sandbox, and network sockets are refused."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        body = f"""
            def fit(self, X):
                import json, socket
                super().fit(X)
                made = []
                ways = [(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", {server.getsockname()[1]})),
                        (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 53)), (40, 1, (2, 1024)),
                        (16, socket.SOCK_RAW, (0, 0))]
                for family, kind, address in ways:
                    try:
                        one = socket.socket(family, kind)
                        one.settimeout(1)
                        one.connect(address)
                        made.append(family)
                    except OSError: pass
                print(json.dumps(made))
        """
        assert said(measured(attack(body, level=level)[0])) == []
        assert not select.select([server], [], [], 0)[0]
