"""The programs of the stack: how each is prepared, started, found ready and stopped."""
