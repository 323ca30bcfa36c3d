"""What policies ought to decide, told from a caller's record: slow, obvious, and by other means than theirs."""

from fractions import Fraction
from itertools import pairwise
from math import ceil


def ladder(arguments, max_steps, every):
    found, step = [], arguments["min_steps"]
    while ceil(step / every) * every < max_steps:
        found.append(ceil(step / every) * every)
        step *= arguments["reduction_factor"]
    return [*sorted(set(found)), max_steps]


def brackets(caller, arguments, most):
    """By trial: each goes to the bracket that has least of its share of those dealt to as many rungs."""
    dealt, found = {}, {}
    for number, trial in sorted(caller.trials.items()):
        count = len(ladder(arguments, trial.first_max_steps, caller.every))
        s_max = count - 1
        shares = [
            ceil(Fraction(s_max + 1, s + 1) * arguments["reduction_factor"] ** s)
            for s in range(s_max, max(s_max - (most or count), -1), -1)
        ]
        had = dealt.setdefault(count, [0] * len(shares))
        coming = sum(had) + 1
        lacks = [Fraction(share, sum(shares)) * coming - has for share, has in zip(shares, had, strict=True)]
        found[number] = lacks.index(max(lacks))
        had[found[number]] += 1
    return found


def rung_of(caller, arguments, bracket, trial):
    rungs = ladder(arguments, trial.max_steps, caller.every)
    rungs = rungs[min(bracket[trial.number], len(rungs) - 1) :]
    return [step for step in rungs if step > caller.leaves.get(trial.number, 0)]


def better(caller, values):
    """The sum of what constraints are violated by, then the objectives, less being better."""
    count = len(caller.maximize)
    signed = [-value if more else value for value, more in zip(values[:count], caller.maximize, strict=True)]
    return (sum(margin for margin in values[count:] if margin > 0), *signed)


def dominates(one, other):
    """Constrained domination, case by case."""
    if one[0] and not other[0]:
        return False
    if other[0] and not one[0]:
        return True
    if one[0] != other[0]:
        return one[0] < other[0]
    nowhere_worse = not any(a > b for a, b in zip(one[1:], other[1:], strict=True))
    return nowhere_worse and any(a < b for a, b in zip(one[1:], other[1:], strict=True))


def ranked(caller, there, step, compare):
    """The trials at a step in groups that are compared, best first; the order of ``there`` is that of coming."""
    groups = {}
    for trial in there:
        groups.setdefault(trial.models[step] if compare == "models" else trial.number, []).append(trial)
    worth = {
        key: None if group[0].seen[step] is None else better(caller, group[0].seen[step])
        for key, group in groups.items()
    }
    keys = sorted(groups, key=lambda key: groups[key][0].number)
    valued, rest = (
        [key for key in keys if worth[key] is not None],
        [key for key in keys if worth[key] is None],
    )
    if len(caller.maximize) == 1:
        order = sorted(valued, key=lambda key: worth[key])
    else:
        order = []
        while valued:
            front = [
                key for key in valued if not any(dominates(worth[other], worth[key]) for other in valued)
            ]
            order += spread([(worth[key][1:], groups[key][0].number, key) for key in front])
            valued = [key for key in valued if key not in front]
    return [groups[key] for key in [*order, *rest]]


def spread(front):
    """An epsilon-net: each next one is the farthest from all before; ties go to the better one."""
    front = sorted(front)
    spans = [
        (min(column), (max(column) - min(column)) or 1.0)
        for column in zip(*(values for values, _, _ in front), strict=True)
    ]
    place = {
        key: [(value - low) / width for value, (low, width) in zip(values, spans, strict=True)]
        for values, _, key in front
    }
    order = [front[0][2]]
    left = [key for _, _, key in front[1:]]
    while left:
        far = [
            min(sum((a - b) ** 2 for a, b in zip(place[key], place[other], strict=True)) for other in order)
            for key in left
        ]
        order.append(left.pop(far.index(max(far))))
    return order


def halving(caller, arguments, compare="trials", most=1, synchronous=False):
    """By trial, how far it is to be trained now, by promotion."""
    bracket = brackets(caller, arguments, most)
    rungs = {number: rung_of(caller, arguments, bracket, trial) for number, trial in caller.trials.items()}
    wanted, heading = {}, {}
    for number, trial in caller.trials.items():
        starts = not trial.ended and (not trial.asked or (trial.retried and trial.asked > trial.deepest))
        if starts:
            wanted[number] = next(rung for rung in rungs[number] if rung > trial.deepest)
        aim = wanted.get(number, trial.asked)
        if not trial.ended and trial.deepest < aim < rungs[number][-1]:
            heading[number] = aim
    starting = set(wanted)
    for which in sorted(set(bracket.values())):
        promoted_below = False
        steps = {
            step
            for number, trial in caller.trials.items()
            if bracket[number] == which
            for step in trial.seen
            if step < rungs[number][-1]
        }
        for step in sorted(steps):
            there = [
                trial
                for number, trial in caller.trials.items()
                if bracket[number] == which and step in trial.seen and step < rungs[number][-1]
            ]
            there.sort(key=lambda trial: entered_at(caller, trial.number, step))
            groups = ranked(caller, there, step, compare)
            count = len(groups) // arguments["reduction_factor"]
            if synchronous:
                count = max(1, count)
                if promoted_below or any(
                    aim <= step for number, aim in heading.items() if bracket[number] == which
                ):
                    break
            for group in groups[:count]:
                for trial in group:
                    ready = not trial.ended and trial.number not in starting and trial.seen[step] is not None
                    if ready and trial.asked == step:
                        wanted[trial.number] = next(rung for rung in rungs[trial.number] if rung > step)
                        promoted_below = True
    return wanted


def last_promotions(caller, arguments, compare="trials", most=1):
    """By trial, how far it goes where nothing is open: one rung, for the best of a bracket that came to no end."""
    bracket, found = brackets(caller, arguments, most), {}
    for which in set(bracket.values()):
        ours = [trial for number, trial in caller.trials.items() if bracket[number] == which and trial.seen]
        valued = [trial for trial in ours if trial.seen[trial.deepest] is not None]
        if any(trial.done for trial in valued):
            continue
        ready = [trial for trial in valued if not trial.ended and trial.asked < trial.max_steps]
        step = max((trial.deepest for trial in ready), default=0)
        there = [trial for trial in ours if step in trial.seen and step < trial.max_steps]
        there.sort(key=lambda trial: entered_at(caller, trial.number, step))
        groups = [
            [trial for trial in group if trial in ready and trial.deepest == step]
            for group in ranked(caller, there, step, compare)
        ]
        for trial in next(filter(None, groups), []):
            rungs = rung_of(caller, arguments, bracket, trial)
            found[trial.number] = next(rung for rung in rungs if rung > max(step, trial.asked))
    return found


def entered_at(caller, number, step):
    """When a trial came to stand in a rung: observed there, and with a limit beyond it."""
    limit, observed = 0, False
    for index, (name, arguments) in enumerate(caller.durable):
        if arguments[0] == number:
            limit = arguments[1] if name == "added" else limit
            observed = observed or (name == "observed" and arguments[1] == step)
            if observed and limit > step:
                return index
    raise AssertionError("it is not there")


def observed_at(caller, number, step):
    return next(
        index
        for index, (name, arguments) in enumerate(caller.durable)
        if name == "observed" and arguments[:2] == (number, step)
    )


def stopping_verdicts(caller, arguments, compare="trials", most=1):
    """By trial, at the rung where it is: whether it goes on, judged by those who had come when it came.

    Only for callers that raise no limits.
    """
    bracket = brackets(caller, arguments, most)
    found = {}
    for number, trial in caller.trials.items():
        rungs = rung_of(caller, arguments, bracket, trial)
        step = trial.deepest
        if not step or step >= rungs[-1] or trial.seen[step] is None:
            continue
        when = observed_at(caller, number, step)
        there = [
            other
            for other in caller.trials.values()
            if bracket[other.number] == bracket[number]
            and step in other.seen
            and observed_at(caller, other.number, step) <= when
        ]
        there.sort(key=lambda other: observed_at(caller, other.number, step))
        groups = ranked(caller, there, step, compare)
        best = groups[: max(1, len(groups) // arguments["reduction_factor"])]
        found[number] = any(trial in group for group in best)
    return found


def curves(caller):
    """By trial: its evaluations as (step, (violation, value)), less is better, up to where it is known."""
    found = {}
    for number, trial in caller.trials.items():
        found[number] = []
        for step in range(caller.every, trial.evaluated + 1, caller.every):
            values = caller.values(number, step)
            if values is not None:
                found[number].append((step, better(caller, values)))
    return found


def lags(caller, number, share, min_steps, min_trials):
    """Whether a trial lags behind those that were evaluated at the same step by now."""
    known, step = curves(caller), caller.trials[number].evaluated
    curve = known[number]
    if not curve or not min_steps <= step < caller.trials[number].asked:
        return False
    averages = sorted(
        tuple(sum(value[which] / len(part) for _, value in part) for which in (0, 1))
        for other, whole in known.items()
        if other != number and any(at == step for at, _ in whole)
        for part in [[each for each in whole if each[0] <= step]]
    )
    if len(averages) < min_trials:
        return False
    place = share * (len(averages) - 1)
    low, high = averages[int(place)], averages[min(int(place) + 1, len(averages) - 1)]
    cut_off = tuple(
        one if place == int(place) or one == other else one + (other - one) * (place - int(place))
        for one, other in zip(low, high, strict=True)
    )
    return min(value for _, value in curve) > cut_off


def patience(caller, evaluations, min_change, min_steps):
    """By trial: how far it is to be trained now, or None: it is done."""
    found, known = {}, curves(caller)
    for number, trial in caller.trials.items():
        if trial.ended:
            continue
        since, best = caller.every, None
        for step, value in known[number]:
            if (
                best is None
                or value[0] < best[0]
                or (value[0] == best[0] and value[1] < best[1] - min_change)
            ):
                since, best = step, value
        last = max(since + evaluations * caller.every, ceil(min_steps / caller.every) * caller.every)
        asked = trial.deepest if trial.retried else trial.asked
        if min(last, trial.max_steps) > asked:
            found[number] = min(last, trial.max_steps)
        elif last < trial.max_steps and trial.deepest >= last and trial.state != "cut":
            found[number] = None
    return found


def too_bad(caller, number, threshold, min_steps):
    """Whether a trial was ever worse than a threshold."""
    worst = -threshold if caller.maximize[0] else threshold
    return any(
        violated or value > worst for step, (violated, value) in curves(caller)[number] if step >= min_steps
    )


def pasha_last_rung(caller, arguments):
    """The last rung for the time being, from the order in which trials came. Only for one limit, never raised."""
    rungs = ladder(arguments, next(iter(caller.trials.values())).max_steps, caller.every)
    top, epsilon, there = 1, 0.0, []
    value = {}
    for name, call in caller.durable:
        if name != "observed":
            continue
        number, step, values, _ = call
        if top >= len(rungs) - 1 or step != rungs[top] or values is None:
            continue
        there.append(number)
        for at in range(caller.every, step + 1, caller.every):
            value[number, at] = better(caller, caller.values(number, at))
        gaps = sorted(
            abs(value[a, step][1] - value[b, step][1])
            for index, a in enumerate(there)
            for b in there[:index]
            if value[a, step][0] == value[b, step][0]
            and crosses_twice(
                [
                    (value[a, at] > value[b, at]) - (value[a, at] < value[b, at])
                    for at in range(caller.every, step + 1, caller.every)
                ]
            )
        )
        if gaps:
            place = 0.9 * (len(gaps) - 1)
            low, high = gaps[int(place)], gaps[min(int(place) + 1, len(gaps) - 1)]
            epsilon = low + (high - low) * (place - int(place))
        at_top = sorted(there, key=lambda each: (value[each, step], each))
        below = sorted(there, key=lambda each: (value[each, rungs[top - 1]], each))
        stable = all(
            violated == theirs and abs(ours - others) <= epsilon
            for one, other in zip(at_top, below, strict=True)
            for violated, ours in [value[one, rungs[top - 1]]]
            for theirs, others in [value[other, rungs[top - 1]]]
        )
        if not stable:
            top, there = top + 1, []
    return rungs[top]


def crosses_twice(differences):
    """Whether, ties aside, the last sign is found before another one."""
    signs = [difference > 0 for difference in differences if difference]
    if not differences or not differences[-1]:
        return False
    changes = sum(1 for one, other in pairwise(signs) if one != other)
    return changes >= 2
