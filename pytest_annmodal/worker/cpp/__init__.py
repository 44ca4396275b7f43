"""C++ submissions: their header, their compilation in the sandbox, their adapter class."""
