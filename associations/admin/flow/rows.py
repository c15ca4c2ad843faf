"""Map your fields (H): the rows of step 2, each a mapping with its switch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from associations.admin.flow.base import Page
from associations.admin.flow.fields import named
from associations.drafts.trees import usual_fields
from associations.drafts.wording import arrow
from associations.setup.spec import FieldSpec
from connections.models import ConnectedApp
from connections.records import Side

Json = dict[str, Any]
EDIT_FIELD = "field"  # the button of one mapping, whose place stands after a colon


def conflicts(app: ConnectedApp) -> list[tuple[str, str]]:
    return [
        ("hubspot", "HubSpot wins"),
        ("app", f"{app.name} wins"),
        ("latest", "The latest change wins"),
        ("review", "A person decides"),
    ]


def seeds(app: ConnectedApp) -> list[tuple[str, str]]:
    """Whose values a field that is mapped later begins with; the first unless chosen."""
    return [
        ("hubspot", "HubSpot's"),
        ("app", f"{app.name}'s"),
        ("", "As conflicts are resolved"),
    ]


def pair_of(tree: Json) -> tuple[Any, Any]:
    """What tells one field mapping from another."""
    return tree.get("hubspot"), tree.get("app")


class FieldRows(Page):
    """A page over the mappings in use, those switched off, and the usual ones."""

    def rows(self) -> Iterator[Json]:
        fields = self.draft.tree.get("fields") or []
        taken = {pair_of(f) for f in (*fields, *self.draft.off)}
        used = [{name for pair in taken if (name := pair[at])} for at in (0, 1)]
        for at, tree in enumerate(fields):
            yield {
                "key": f"on-{at}",
                "at": at,
                "tree": tree,
                "on": True,
                "usual": False,
            }
        for at, tree in enumerate(self.draft.off):
            yield {"key": f"off-{at}", "tree": tree, "on": False, "usual": False}
        if len(self.look.objects) < len(Side):
            return
        for tree in usual_fields(self.app, self.draft.tree, self.look.objects):
            if tree["hubspot"] not in used[0] and tree["app"] not in used[1]:
                key = f"usual-{tree['hubspot']}={tree['app']}"
                yield {"key": key, "tree": tree, "on": False, "usual": True}

    def switch(self, tree: Json) -> None:
        """Take mappings on and off as their switches say."""
        on = set(self.request.POST.getlist("on"))
        rows = list(self.rows())
        for row in rows:
            self._seed(row)
        tree["fields"] = [row["tree"] for row in rows if row["key"] in on]
        self.draft.off = [
            row["tree"] for row in rows if row["key"] not in on and not row["usual"]
        ]

    def _seed(self, row: Json) -> None:
        """Take over whose values a field begins with that a sync at work has not yet."""
        seed = self.request.POST.get(f"seed-{row['key']}")
        if not self._is_later(row["tree"]) or seed not in dict(seeds(self.app)):
            return
        row["tree"] = {k: v for k, v in row["tree"].items() if k != "seed"}
        if seed:
            row["tree"]["seed"] = seed

    def _is_later(self, tree: Json) -> bool:
        """Whether a sync at work has pairs for which a mapping would be new."""
        held = self.held_fields
        return held is not None and pair_of(tree) not in held

    def edit_url(self, at: int, tree: Json) -> str:
        """The page of a mapping; where it was switched off, its row.

        Args: at, its place when the page was shown; tree, what is about to be saved, in
            which others may be gone.
        """
        held = self.draft.tree.get("fields") or []
        pairs = [pair_of(field) for field in tree["fields"]]
        wanted = pair_of(held[at]) if at < len(held) else None
        if wanted not in pairs:
            return self.url("configure") + "#fields"
        return f"{self.url('field')}?at={pairs.index(wanted)}"

    # What is shown ----------------------------------------------------------------------

    def shown_rows(self, *, bound: bool) -> list[Json]:
        """Args: bound, whether the switches are those that were sent."""
        return [self._shown_row(row, bound) for row in self.rows()]

    def _shown_row(self, row: Json, bound: bool) -> Json:
        tree, at, posted = row["tree"], row.get("at"), self.request.POST
        spec = FieldSpec("", **tree)
        own = str(self.draft.tree.get("direction", "two_way"))
        seed = spec.seed or ("" if row["on"] else seeds(self.app)[0][0])
        return {
            **row,
            "on": row["key"] in posted.getlist("on") if bound else row["on"],
            "hubspot": self.label(Side.HUBSPOT, spec.hubspot),
            "app": self.label(Side.APP, spec.app),
            "arrow": arrow(spec.direction or own),
            "conflict": dict(conflicts(self.app)).get(spec.conflict, ""),
            "values": len(spec.values),
            "seed": posted.get(f"seed-{row['key']}", seed) if bound else seed,
            "seeds": seeds(self.app) if self._is_later(tree) else (),
            "edit": f"{EDIT_FIELD}:{at}" if at is not None else "",
            "problems": self.look.under(f"fields[{at}]") if at is not None else [],
        }

    def label(self, side: Side, name: str) -> str:
        obj = self.obj(side)
        found = obj.field(name) if obj else None
        return named(name, found.label) if found else name
