"""Every kind of link mapping, with every type, each way, under everything that happens.

A *cell* is one combination of

- a kind: how the app holds the link (`spec.KINDS`);
- types: which association types the mapping names (`spec.TYPES`);
- a direction: two_way, to_hubspot, to_app;
- an event: what people do, and on which side (`spec.EVENTS`).

`spec` says in a page what a CRM administrator expects of each, without a line of the
engine. A cell is one record in a world; `systems` makes a world of one choice of types,
with every kind, direction and event in it: contacts go both ways, each kind in a sync of
its own, deals to HubSpot and tickets to the app, each with all kinds in one table, which
cannot meet there. `lists` is an app whose reference fields hold several records, which
PostgreSQL itself has not.

A world runs four times: the first sync; what people did; what was missing arrives; and
nothing, which must write nothing. After each, both systems' complete sets of links are
read through HubSpot's own client and SQL. Where a label is mapped, it is then deleted,
and nothing may be lost by that. Combinations that make no sense are refused at set-up,
and that is asserted instead.

`make matrix` plays it under every value of the sandbox's switches that concerns links;
`make test` under the defaults, and under a sample in which every two values meet.
"""

from __future__ import annotations
