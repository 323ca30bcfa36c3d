"""The table of protections is of the code as it is."""

from __future__ import annotations

import pytest

from tests.simulation.mutations import MUTATIONS, Mutation, exchanged


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.protection)
def test_a_protection_can_be_taken_out(mutation: Mutation) -> None:
    """Its words stand once in its module, which is a module without them, too."""
    compile(exchanged(mutation), mutation.module, "exec")
