"""What a template process and its parent agree on: requests for a copy, and how a copy ended.

The parent imports it before numpy, so that it can start the template first.
"""

from __future__ import annotations

import struct

SIZE = struct.Struct("<I")  # of a request, in bytes
STATUS = struct.Struct("<ii")  # a copy's process id and exit status
RUNNING = -1000  # not an exit status: the copy runs, in its own process group
GIVEN = ("mailbox", "train", "socket", "output", "control")  # descriptors, in this order
