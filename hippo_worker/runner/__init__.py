"""The process that trains: forked from a server that has imported torch, and warm from lease to lease."""
