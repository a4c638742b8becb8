"""Everything on one machine: the programs mailmesh runs on, their supervision, and the `mailmesh` command line."""
