"""C++ submissions: their header, their compilation in the sandbox, their face in the worker."""
