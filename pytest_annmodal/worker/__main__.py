"""``python -m pytest_annmodal.worker``."""

from pytest_annmodal.worker.worker import main

main()
