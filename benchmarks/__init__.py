"""Speed, measured as ratios in one run; nothing here is asserted in a test.

``make bench`` measures the subjects of ``benchmarks.subjects``, prints them, and keeps JSON and pictures in
``benchmarks/results``; ``make bench-compare`` lays two runs side by side; ``docs/write_performance.py`` publishes one.
A subject is a module, or a package, with ``measure()``, which yields each ``Figure``, ``Curve`` or ``Drawing`` as soon
as it is known, and removes what it started when it is closed or fails. What it needs and does not measure, such as
peers' environments, is made by its ``prepare()``, if it has one, for which there is no limit. Every round's value is
given, and what is compared is measured in turn, so that a busy minute falls on both.

Not subjects, as they measure what searches find or who is given slots, and not speed: ``day``, ``early_stopping``,
``samplers`` and ``search`` (``make bench-search``). They print tables of their own, which pages show.
"""
