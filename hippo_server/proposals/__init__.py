"""Points of samplers that learn: made by child processes, so that none of them can hold up the server.

``making`` asks for what studies want, ``processes`` keeps the children, ``child`` is what runs in one: ``history``
shows a study's trials to Optuna, ``sampling`` makes one point, ``evolution`` is CMA-ES. Samplers of Hippo's own are in
``hippo_core.proposing``.
"""
