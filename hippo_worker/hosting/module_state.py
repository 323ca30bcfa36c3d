"""The states of modules, optimisers and generators, complete where their own ``state_dict`` is not."""

from __future__ import annotations

import random
from collections.abc import Container, Mapping
from typing import Any

import numpy as np
import torch


def extras_of(module: torch.nn.Module, persistent: Container[str]) -> dict[str, Any]:
    """What decides later steps and is not in a module's ``state_dict``.

    Args:
        module: Whose.
        persistent: The names in that ``state_dict``.

    Gradients count: a trainer that adds them up over several steps has state in them. One that clears them at the end
    of its step has smaller checkpoints than one that clears them at its beginning.
    """
    buffers = module.named_buffers(remove_duplicate=False)
    parameters = list(module.named_parameters())
    return {
        "buffers": {name: buffer for name, buffer in buffers if name not in persistent},
        "frozen": [name for name, parameter in parameters if not parameter.requires_grad],
        "gradients": {name: item.grad for name, item in parameters if item.grad is not None},
    }


def restore_extras(module: torch.nn.Module, extras: Mapping[str, Any]) -> None:
    """The inverse of `extras_of`, in place where that is possible."""
    buffers = dict(module.named_buffers(remove_duplicate=False))
    with torch.no_grad():
        for name, saved in extras["buffers"].items():
            buffers[name].copy_(saved)
    frozen, gradients = set(extras["frozen"]), extras["gradients"]
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in frozen)
        saved = gradients.get(name)
        parameter.grad = None if saved is None else in_place(parameter.grad, saved.to(parameter.device))


def restore_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Loads an optimiser exactly, and in place.

    torch casts its state to the parameters' type, also where it was another, and puts new tensors in the place of
    those that the optimiser had: a captured CUDA graph would go on with the old ones.
    """
    groups = optimizer.param_groups
    before = {key: dict(found) for key, found in optimizer.state.items() if isinstance(found, dict)}
    of_groups = [dict(group) for group in groups]
    optimizer.load_state_dict(dict(state))
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    for parameter, number in zip(parameters, numbers, strict=True):
        for key, saved in state["state"].get(number, {}).items():
            current = optimizer.state[parameter][key]
            if isinstance(saved, torch.Tensor):
                exact = saved.to(current.device) if saved.dtype != current.dtype else current
                optimizer.state[parameter][key] = in_place(before.get(parameter, {}).get(key), exact)
    for group, loaded, had in zip(groups, optimizer.param_groups, of_groups, strict=True):
        group.clear()
        group.update({key: in_place(had.get(key), value) for key, value in loaded.items()})
    optimizer.param_groups = groups


def in_place(current: Any, saved: Any) -> Any:
    """Copies a saved tensor into the current one where they are alike, so that its address stays; what to keep."""
    alike = (
        isinstance(current, torch.Tensor)
        and isinstance(saved, torch.Tensor)
        and current.shape == saved.shape
        and current.dtype == saved.dtype
        and current.device == saved.device
        and current.stride() == saved.stride()
    )
    if not alike or current is saved:
        return saved
    with torch.no_grad():
        current.copy_(saved)
    return current


def generator_state(generator: Any) -> Any:
    """The state of a generator of random numbers, as plain data and tensors."""
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    assert type(generator) is random.Random
    return generator.getstate()


def restore_generator(generator: Any, state: Any) -> None:
    """The inverse of `generator_state`, in place."""
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.setstate(state)
