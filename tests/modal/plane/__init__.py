"""A loopback control plane: the real `modal` client, command and containers, on 127.0.0.1."""

from .faults import Faults
from .server import Plane
from .state import RpcRecord

__all__ = ["Faults", "Plane", "RpcRecord"]
