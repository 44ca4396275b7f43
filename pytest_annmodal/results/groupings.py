"""The words of pytest-benchmark's option ``--benchmark-group-by``."""

GROUPINGS = ("group", "name", "fullname", "func", "fullfunc", "param")
BY_PARAMETER = "param:"  # and the parameter's name
