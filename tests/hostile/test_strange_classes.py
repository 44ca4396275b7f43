"""A class with a hostile metaclass, attributes or constructor."""

import pytest
from witnesses import measured

CLASSES = {
    "every attribute": "class Index(Exact):\n    def __getattr__(self, name): return lambda *a, **k: 0\n",
    "no attribute": "class Index(Exact):\n    def __getattribute__(self, name): raise RuntimeError(name)\n",
    "endless attributes": "class Index(Exact):\n    def __getattr__(self, name): return getattr(self, name + 'x')\n",
    "calls that are none": "class M(type):\n    def __call__(cls, *a, **k): return 5\nclass Index(Exact, metaclass=M): pass\n",
    "an attribute that exits": "class M(type):\n    def __getattr__(cls, name): os._exit(0)\nclass Index(Exact, metaclass=M):\n    def __getattr__(self, name): os._exit(0)\n",
    "a signature that lies": "class Index(Exact):\n    __signature__ = 5\n    __init__ = 7\n",
    "slots": "class Index(Exact):\n    __slots__ = ()\n    def __hash__(self): raise TypeError\n    def __bool__(self): raise TypeError\n    def __eq__(self, o): raise TypeError\n",
    "a module in its place": "import sys\nsys.modules[__name__] = None\nclass Index(Exact): pass\n",
}


@pytest.mark.parametrize("how", CLASSES)
def test_is_an_outcome(attack, strict, how):
    """It is measured, or fails itself; the grader is not affected."""
    from jobs import PRELUDE

    outcome = attack(PRELUDE + CLASSES[how])[0]
    if hasattr(outcome, "blame"):
        assert outcome.blame == "submission"
        assert outcome.kind in {"raised", "crashed", "invalid-result"}
    else:
        assert measured(outcome).recall <= 1
