"""What parent and worker must agree on: frames on a socket, and the mailbox in shared memory."""
