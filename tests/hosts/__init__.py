"""Several hosts on one machine: `make hosts` runs the whole mesh on them, and takes them away one by one."""
