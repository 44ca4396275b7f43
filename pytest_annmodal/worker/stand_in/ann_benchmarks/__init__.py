"""How a process that an implementation started finds the implementation's module.

The worker makes a package ``ann_benchmarks`` on the spot. A child that is not forked has only the
worker's ``sys.path``, on which this is, and puts the same package in its own place.
"""

import os

from pytest_annmodal.worker import loading

loading.make_importable(os.environ[loading.FILE_VARIABLE])
