"""Reading stage trees without keeping the engine from deciding for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from hippo_core.engine.tree_survey import TreeSurvey
from hippo_core.engine.tree_views import tree_nodes
from hippo_core.tree_node import TreeNode
from hippo_server.driver import Driver

TRIALS_AT_ONCE = 2500
NODES_AT_ONCE = 1000


async def survey_tree(driver: Driver, project: str, name: str) -> TreeSurvey:
    """What goes through the nodes of a study.

    Raises:
        NotFound: There is no such study.
    """
    survey = TreeSurvey(project, name)
    more = True
    while more:
        more = await driver.current().read(lambda engine: survey.go_on(engine, TRIALS_AT_ONCE))
        await asyncio.sleep(0)
    return survey


async def all_nodes(driver: Driver, project: str, name: str) -> AsyncIterator[tuple[TreeNode, ...]]:
    """All nodes of a study's tree, parents before children, some at a time.

    Raises:
        NotFound: There is no such study.
    """
    survey = await survey_tree(driver, project, name)
    numbers = survey.in_order(survey.traffic)
    for first in range(0, len(numbers), NODES_AT_ONCE):
        part = numbers[first : first + NODES_AT_ONCE]
        yield await driver.current().read(lambda engine, part=part: tree_nodes(engine, survey, part))  # type: ignore[misc]
        await asyncio.sleep(0)
