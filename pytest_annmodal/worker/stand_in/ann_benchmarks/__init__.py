"""Lets a process that an implementation started find the implementation's module.

The worker makes the package ``ann_benchmarks`` at run time. A child that is not forked has only the
worker's ``sys.path``; there it finds this file, which makes the same package and takes its place.
"""

import os

from pytest_annmodal.worker import loading

loading.make_importable(os.environ[loading.FILE_VARIABLE])
