"""Keeps the programs running.

supervisord does what process supervision asks for: it starts programs, restarts what dies with growing delays, keeps
and rotates a log file for each, and stops them in reverse order, first asking, then killing the process group. Of the
maintained libraries it alone offers all of that and a way to be told what to do from outside (a private unix socket):
honcho ends everything when one program ends; circus keeps an unauthenticated TCP port open. What it does not know is
readiness: the launcher starts the programs through it one stage after the other, and asks each whether it is ready.

Nothing is left behind when a process is killed: programs are tethered to supervisord, and supervisord to `mailmesh up`.
"""
