"""What parent and worker share: frames on a socket, and the mailbox in shared memory."""
