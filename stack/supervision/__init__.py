"""Keeps the programs running.

supervisord does the work of process supervision: it starts programs, restarts dead ones with growing delays, keeps
and rotates a log file for each, and stops them in reverse order, first asking, then killing the process group. Of the
maintained libraries it alone offers all of that and takes commands from outside (by a private unix socket):
honcho ends everything when one program ends; circus keeps an unauthenticated TCP port open. It does not know
readiness: the launcher starts the programs through it one stage after the other, and asks each whether it is ready.

Nothing is left behind when a process is killed: programs are tethered to supervisord, and supervisord to `mailmesh up`.
"""
