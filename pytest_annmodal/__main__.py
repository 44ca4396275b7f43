"""``python -m pytest_annmodal`` is the command ``annmodal``."""

import sys

from pytest_annmodal.cli.main import main

sys.exit(main())
