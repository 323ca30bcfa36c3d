"""Imports what every trainer needs, for a process that others are forked from; does nothing else.

torch imports its compiler when the first optimiser is made, a second or two for each process unless it is there
already. Importing starts no thread, runs no operation and touches no GPU (a test holds it to that).
"""

import torch
import torch._dynamo

from hippo_worker.hosting import host

__all__ = ["host", "torch"]
