"""Runs code at the end: ``atexit``, ``__del__``, ``done``, endless threads."""

from witnesses import measured

LATE = """
    def __init__(self, metric):
        import atexit, weakref
        super().__init__(metric)
        atexit.register(time.sleep, 600)
        weakref.finalize(self, time.sleep, 600)
        threading.Thread(target=threading.Event().wait).start()
        sys.excepthook = sys.unraisablehook = lambda *a: time.sleep(600)
    def __del__(self): time.sleep(600)
    def done(self): {done}
"""


def test_changes_nothing(attack, strict):
    """The measurement is unchanged, and the worker ends at once."""
    for done in (
        "os._exit(9)",
        "os.kill(os.getpid(), 11)",
        "raise SystemExit",
        "print('x' * 10**7)",
    ):
        assert measured(attack(LATE.format(done=done))[0]).recall == 1
