"""The dashboard's charts: those of ``hippo_core.charts``, drawn as SVG by the server.

``kinds`` names them; ``study_data`` gathers what they are of; ``svg`` draws any chart, with ``scales``; ``rows`` tells
the same as a table.
"""
