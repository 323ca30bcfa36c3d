"""Exit codes by which a supervisor that does not stay tells why."""

#: Another supervisor holds the home.
EXIT_LOCKED = 75
#: A server that somebody started by hand runs on the home.
EXIT_FOREIGN_SERVER = 76
