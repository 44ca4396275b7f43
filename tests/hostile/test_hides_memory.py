"""Holds its index where its size is hard to see, or reports a false size."""

import pytest
from witnesses import MEGABYTE, measured, said

SIZE = 40 * MEGABYTE
HIDDEN = {
    "set aside by the constructor": "def __init__(self, metric):\n    super().__init__(metric)\n    self.b = np.ones({n}, np.uint8)",
    "after the build": "kept = None\ndef query(self, v, k):\n    if self.kept is None: self.kept = np.ones({n}, np.uint8)\n    return self.near(v, k)",
    "in a file": "def fit(self, X):\n    super().fit(X)\n    open('/dev/shm/index', 'wb').write(bytes({n}))",
    "in two processes": """
def fit(self, X):
    import mmap
    super().fit(X)
    with open("/dev/shm/index", "wb+") as file:
        file.truncate({n})
        self.b = mmap.mmap(file.fileno(), {n})
    for at in range(0, {n}, 4096): self.b[at] = 1
    if os.fork() == 0:
        sum(self.b[::4096])
        threading.Event().wait()
    time.sleep(0.2)""",
    "in sockets": """
def fit(self, X):
    import socket
    super().fit(X)
    self.ends, put = [], 0
    while put < {n}:
        self.ends += (pair := socket.socketpair())
        pair[0].setblocking(False)
        pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**22)
        try:
            while True: put += pair[0].send(bytes(2**16))
        except OSError: pass
        if len(self.ends) > 230: break
    self.put = put""",
    "in pipes": """
def fit(self, X):
    import fcntl
    super().fit(X)
    self.ends, put = [], 0
    while put < {n}:
        self.ends += (ends := os.pipe())
        os.set_blocking(ends[1], False)
        fcntl.fcntl(ends[1], 1031, 2**20)
        try:
            while True: put += os.write(ends[1], bytes(2**16))
        except OSError: pass
        if len(self.ends) > 230: break
    self.put = put""",
    "in connections that nobody accepts": """
def fit(self, X):
    import socket
    super().fit(X)
    self.server, self.put = socket.socket(socket.AF_UNIX), 0
    self.server.bind("/tmp/s")
    self.server.listen(4096)
    while self.put < {n}:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("/tmp/s")
            client.setblocking(False)
            try:
                while True: self.put += client.send(bytes(2**16))
            except OSError: pass""",
    "in datagrams of senders that are gone": """
def fit(self, X):
    import socket
    super().fit(X)
    self.ends, self.put = [], 0
    while self.put < {n}:
        self.ends.append(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.ends[-1].bind(path := f"/tmp/{{len(self.ends)}}")
        try:
            while True:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                    sender.setblocking(False)
                    self.put += sender.sendto(bytes(150_000), path)
        except OSError: pass""",
    "in names of files": """
def fit(self, X):
    super().fit(X)
    self.put = 0
    while self.put < {n} // 5:
        os.close(os.open(f"/tmp/{{self.put:0200}}", os.O_CREAT))
        self.put += 200""",
    "in page tables": """
def fit(self, X):
    import mmap
    super().fit(X)
    size = {n} // 4096 * 2**21
    self.b = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, mmap.PROT_READ)
    self.b.madvise(15)  # no huge pages
    for at in range(0, size, 2**21): self.b[at]""",
    "in a child": """
def fit(self, X):
    super().fit(X)
    ours, theirs = os.pipe()
    if os.fork() == 0:
        kept = np.ones({n}, np.uint8)
        os.write(theirs, b"x")
        threading.Event().wait()
    os.read(ours, 1)""",
}


@pytest.mark.parametrize("how", HIDDEN)
def test_is_counted(attack, strict, how):
    """At least nine tenths of the index count; a self-report cannot lower it."""
    body = (
        HIDDEN[how].format(n=SIZE)
        + f"""
def get_memory_usage(self):
    print(getattr(self, "put", {SIZE}))
    return 1
"""
    )
    outcome = measured(attack(body)[0])
    put = said(outcome)
    assert outcome.index_bytes >= 0.9 * put


def test_the_peak_is_of_all_together(attack, strict):
    """The peak covers all processes together."""
    body = f"""
        def fit(self, X):
            super().fit(X)
            ours, theirs = os.pipe()
            for _ in range(4):
                if os.fork() == 0:
                    kept = np.ones({SIZE}, np.uint8)
                    os.write(theirs, b"x")
                    threading.Event().wait()
            for _ in range(4): os.read(ours, 1)
    """
    assert measured(attack(body)[0]).peak_rss_bytes >= 4 * SIZE


def test_a_page_in_a_pipe(attack, level):
    """``vmsplice``, which keeps a huge page for a byte in a pipe, is refused."""
    body = """
        def fit(self, X):
            super().fit(X)
            assert ctypes.CDLL(None).vmsplice(os.pipe()[1], None, 0, 0) == -1
    """
    measured(attack(body, level=level)[0])


def test_descriptors_on_their_way_count_as_all_they_may_lead_to(attack, strict):
    """Descriptors in a socket's queue count as everything that they may refer to."""
    body = """
        def fit(self, X):
            import socket
            super().fit(X)
            self.ends = socket.socketpair()
            hidden = socket.socketpair()
            hidden[0].setblocking(False)
            try:
                while True: hidden[0].send(bytes(2**16))
            except OSError: pass
            socket.send_fds(self.ends[0], [b"x"], [end.fileno() for end in hidden])
            for end in hidden: end.close()
    """
    assert measured(attack(body)[0]).index_bytes > SIZE


def test_letting_go_of_the_training_vectors_makes_no_room(attack, strict, small_dataset):
    """Releasing the training vectors lowers no size, since they never count."""
    body = """
        def fit(self, X):
            import mmap
            self.X = np.array(X)
            self.kept = np.ones({n}, np.uint8)
            memory = X
            while not isinstance(memory, mmap.mmap): memory = memory.base if hasattr(
                memory, "base") else memory.obj
            memory.madvise(mmap.MADV_DONTNEED)
        def query(self, v, k): return np.arange(k)
    """
    path = small_dataset("wide-1024-euclidean", n_train=3000, n_queries=5, dim=1024)
    held = 2400 * 1024 * 4  # a fifth of them are held out as fresh queries
    size = 10 * MEGABYTE
    outcome = measured(attack(body.format(n=size), path=path, n_queries=5)[0])
    assert outcome.index_bytes >= 0.9 * (held + size)


def test_an_honest_index_is_not_charged_for_others(honest, strict):
    """Queries, mailbox and train do not count."""
    assert honest.index_bytes < 2 * MEGABYTE


@pytest.mark.parametrize(
    "claim",
    [
        "float('nan')",
        "float('inf')",
        "-1",
        "10**400",
        "10**30",
        "'9' * 5000",
        "type('S', (str,), {'__float__': lambda s: 1 / 0})('5')",
        "[1]",
        "True",
        "1e-300",
    ],
)
def test_invalid_self_reports_are_ignored(attack, strict, claim):
    """Invalid self-reports are ignored, and all figures stay finite."""
    outcome = measured(attack(f"def get_memory_usage(self): return {claim}")[0])
    assert 0 <= outcome.index_bytes < 2**50
    assert outcome.reported_index_bytes in {None, 0, 1}


def test_giving_back_what_the_harness_has_freed_makes_no_room(attack, strict):
    """Trimming the heap lowers no size."""
    body = f"""
        def fit(self, X):
            ctypes.CDLL(None).malloc_trim(0)
            super().fit(X)
            self.kept = np.ones({SIZE}, np.uint8)
    """
    assert measured(attack(body)[0]).index_bytes >= SIZE
