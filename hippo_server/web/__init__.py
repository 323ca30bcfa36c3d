"""HTTP: the dashboard for people, ``/api`` for programs, and whether the server lives, is ready, and what it counts.

How things are added:

**A page**: a module here with ``pages(site) -> tuple[Page, ...]``, which names each path, the roles of each method and
what answers; a template in ``templates/`` that extends ``layout.html`` (of a study: ``study.html``, answered by
``study.show_tab``, with its name in ``study.TABS``); the module in ``app.make_pages``. Then a row each in the golden
table of ``tests/integration/server/test_web.py`` and in ``tests/browser/pages.py``: both fail without.

**A fragment**, which changes by itself while the page is open: an element with an id and ``data-live`` round a block of
that name: ``<div id="list" data-live>{% block list %}...{% endblock %}</div>``. Where something of the page's subject
changed (the block ``subject``; ``studies``, ``workers``, ``study/NUMBER``), the browser fetches the page again with
``?fragment=list``, which renders that block alone. What only one block needs is given as a function that the block
calls, so that no other fragment pays for it. Modules that add something to a fragment listen to ``hippo:replaced``.

**A chart**: a pure function from a ``Selection`` to a ``Chart`` in ``hippo_core/charts``, which the SDK draws, too, and
an entry in ``charts/kinds.py``; ``charts.svg.draw`` draws any ``Chart``. Other drawings are ``markupsafe.Markup`` of
presentation attributes and classes, no styles, colours by the custom properties of ``static/style.css``; in the page
within ``<figure class="chart" tabindex="0">``, with ``data-chart`` where ``charts.js`` is to tell what marks are. A
script of its own comes as ``<script type="module" src="{{ static("NAME.js") }}"></script>`` in the block ``head``.

**An action**: a form with ``method="post"`` and a page for it whose roles are those of the call that it makes through
``site.calls.call``; what the call does is checked, answered once by request id and written down as the command's is.

Everything in templates is escaped. Filters: ``moment``, ``number``, ``percent``, ``time_taken``, ``hyperparameter``,
``segment`` (of a path); macros: ``state``, ``bar``, ``sortable``, ``pager``; globals: ``query`` (this page with other
parameters), ``plural``, ``static`` (the address of a file).
"""
