"""How good a search is per step that it has trained: ``python -m benchmarks.search --help``.

A small network (``network``) is trained for real, once for each history of values (``memo``), and searched on four
spaces (``problems``) by Hippo's policies in the production engine (``ours``) and by Optuna (``peers``). The budget B is
64 trials of full length. What counts is the validation loss of the best trial of *full* length so far; before the first
one there is no result, which ranks behind all results. Steps are *trained* steps, those that nobody had trained before
in this search, for all algorithms alike; beside them the steps of trials are counted, as if each were trained alone.

To compare another policy add a line to ``algorithms.ALGORITHMS``::

    hippo("mine", lambda problem: policies.mine(min_steps=problem.min_steps), samplers.mine),

and try it on seeds that nobody reports on::

    python -m benchmarks.search --space S1 --algorithm mine --seeds 100-104 --slots 1

Losses and searches are kept in ``~/.cache/hippo-bench`` (or ``HIPPO_BENCH_CACHE``). A search is run again when Hippo's
core or this package has changed, and losses are trained anew when the network has. One landed elsewhere can be tried
without a line here: ``--algorithm policies.asha:samplers.bohb`` names a policy and a sampler by their functions.
"""
