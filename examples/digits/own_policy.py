"""A policy of one's own: successive halving on a moving average, so that one lucky evaluation decides nothing."""

import hippo_client as hippo


class SmoothedHalving(hippo.Policy):
    """At steps first, first * factor, ... the best 1/factor of the trials there go on, as soon as they are known."""

    def setup(self, first=3, factor=3, window=3):
        self.first, self.factor, self.window = first, factor, window

    def decide(self):
        for trial in self.trials.values():
            if trial.rests and trial.step == 0:
                yield hippo.Extend(trial.number, self.rung_above(0, trial), "every trial begins")
        for step in sorted({trial.step for trial in self.trials.values() if trial.step}):
            there = [trial for trial in self.trials.values() if step in trial.scores]
            there.sort(key=lambda trial: (-self.smoothed(trial, step), trial.number))
            best = there[: len(there) // self.factor]
            for place, trial in enumerate(best, start=1):
                if trial.rests and trial.step == step:
                    reason = f"place {place} of {len(there)} at step {step}: {self.smoothed(trial, step):.4g}"
                    yield hippo.Extend(trial.number, self.rung_above(step, trial), reason)

    def finish(self):
        """Where nobody has come to the end, the best of those who came furthest goes on."""
        resting = [trial for trial in self.trials.values() if trial.rests and trial.scores]
        if resting and not any(trial.done for trial in self.trials.values()):
            best = max(
                resting, key=lambda trial: (trial.step, self.smoothed(trial, trial.step), -trial.number)
            )
            yield hippo.Extend(best.number, best.max_steps, "the best of those who came furthest")

    def smoothed(self, trial, step):
        """The mean of the last evaluations up to a step; more is better, whichever way the study goes."""
        last = [score for each, score in sorted(trial.scores.items()) if each <= step][-self.window :]
        return sum(last) / len(last)

    def rung_above(self, step, trial):
        rung = self.first
        while rung <= step:
            rung *= self.factor
        return min(self.context.round_up(rung), trial.max_steps)
