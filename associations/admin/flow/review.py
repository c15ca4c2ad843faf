"""Step 4: review, preview, test with a few, and save (H)."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse

from associations.admin.flow.base import STEPS, Page, address, step_of
from associations.drafts.forecast import (
    LEAST_A_DAY,
    forecast,
    quiet_month,
    quota_of_app,
    used_today,
)
from associations.drafts.publishing import Refused, publish
from associations.drafts.rehearsing import forget, queue_preview
from associations.drafts.rereading import read_again
from associations.drafts.trees import tree_of
from associations.drafts.wording import sentences
from associations.setup.differing import differences
from connections import audit
from connections.admin.base import page_url
from syncs import services
from syncs.models import ObjectSync, SyncRun
from syncs.models.choices import Status, Trigger

FEW = 5
MOST_FEW = 100
ENDED_WELL = (Status.SUCCEEDED, Status.PARTIAL)


class FewForm(forms.Form):
    few = forms.IntegerField(min_value=1, max_value=MOST_FEW, initial=FEW)


class ReviewPage(Page):
    step = "review"
    template = "crosslink/flow/review.html"

    def get(self) -> HttpResponse:
        return self._shown(FewForm())

    def post(self) -> HttpResponse:
        do = {
            "preview": self._preview,
            "test": self._test,
            "save": self._save,
            "draft": self._leave,
            "measure": self._measure,
        }.get(self.request.POST.get("go", ""))
        if do is None:
            return self.go("review")
        try:
            return do()
        except Refused as exc:
            for problem in exc.problems:
                messages.error(self.request, problem.text)
        except services.RunError as exc:
            messages.error(self.request, f"{exc.code}: {exc.message} {exc.remedy}")
        return self.go("review")

    # What can be done -------------------------------------------------------------------

    def _preview(self) -> HttpResponse:
        """Plan without writing: a new sync as it is stored, off; else on a copy."""
        if self.draft.new:
            with transaction.atomic():
                sync = publish(self.draft, on=False)
                run = self._start(sync, dry_run=True)
            self._note("preview", run=run.pk)
        else:
            if self.look.problems:
                raise Refused(self.look.problems)
            user = getattr(self.request.user, "pk", None)
            self._note("preview", run=None)
            queue_preview(self.draft.pk, user)
        return self.go("review", "#preview")

    def _test(self) -> HttpResponse:
        """Really run a few records; the schedule leaves the sync alone until it is saved."""
        form = FewForm(self.request.POST)
        if not form.is_valid():
            return self._shown(form)
        before = self._stored()
        with transaction.atomic():
            sync = publish(self.draft, on=not self.draft.new)
            services.pause(sync)
            if before:
                self._log(sync, before, paused=True)
            run = self._start(sync, limit=form.cleaned_data["few"])
        self._note("test", run=run.pk)
        return self.go("review", "#test")

    def _save(self) -> HttpResponse:
        draft, back = self.draft, self.draft.back
        before = self._stored()
        forget(draft)
        with transaction.atomic():
            sync = publish(draft, on=True)
            # The schedule goes on, too, where a test paused it.
            ObjectSync.objects.filter(pk=sync.pk).update(paused=False)
            run = self._start(sync, wait=True)
            self._log(sync, before, paused=False)
            draft.delete()
        self.say(f"{sync.name} is saved, and its run {run.pk} is queued.")
        if back is not None:
            return HttpResponseRedirect(address(back, "configure") + "#references")
        return HttpResponseRedirect(page_url(run))

    def _stored(self) -> dict[str, Any]:
        """The set-up that an edit replaces; nothing of a sync that is new."""
        draft = self.draft
        if draft.new or draft.sync is None:
            return {}
        return tree_of(draft.sync) | {"paused": draft.sync.paused}

    def _log(self, sync: ObjectSync, before: dict[str, Any], *, paused: bool) -> None:
        """Keep who saved it, and what of it was and is otherwise."""
        said = "Set up" if self.draft.new else "Edited"
        text = f"{said} in the set-up flow, revision {sync.revision}."
        if not self.draft.new:
            stored = ObjectSync.objects.select_related("app__hubspot").get(pk=sync.pk)
            lines = differences(before, tree_of(stored) | {"paused": paused})
            text = f"{text} {'; '.join(lines or ['Nothing changed'])}."
        audit.keep(self.request.user, [sync], text, added=self.draft.new)

    def _leave(self) -> HttpResponse:
        self.draft.step = "review"
        self.draft.save(update_fields=["step", "updated_at"])
        self.say(f"{self.draft.name} is saved as a draft. It does nothing yet.")
        return HttpResponseRedirect(
            reverse("admin:connections_connectedapp_syncs", args=[self.app.pk])
        )

    def _start(self, sync: ObjectSync, **how: Any) -> SyncRun:
        user: Any = self.request.user
        run = services.start(syncs=[sync], trigger=Trigger.ADMIN, user=user, **how)
        services.enqueue(run)
        return run

    def _note(self, what: str, **found: Any) -> None:
        self.draft.findings = self.draft.findings | {what: found}
        self.draft.save(update_fields=["findings"])

    def _measure(self) -> HttpResponse:
        self.measured()
        return self.go("review", "#forecast")

    # What is shown ----------------------------------------------------------------------

    def _run(self, what: str) -> tuple[SyncRun | None, SyncRun | None]:
        """The last preview or test: its run, and the part of this sync in it."""
        pk = (self.draft.findings.get(what) or {}).get("run")
        run = SyncRun.objects.filter(pk=pk).first() if pk else None
        part = run.children.select_related("sync").first() if run else None
        return run, part

    def _shown(self, form: FewForm) -> HttpResponse:
        preview, part = self._run("preview")
        test, tested = self._run("test")
        noted = self.draft.findings.get("preview")
        refused = (noted or {}).get("refused", "")
        waits = noted is not None and preview is None and not refused
        again = read_again(self.draft, self.look)
        planned = part if part is not None and part.status in ENDED_WELL else None
        problems = [
            {
                "text": p.text,
                "url": self.url(step_of(p)),
                "step": dict(STEPS)[step_of(p)],
            }
            for p in self.look.problems
        ]
        return self.show(
            form=form,
            problems=problems,
            sentences=list(sentences(self.look, self.app)),
            costs=forecast(self.draft, self.look, planned, rereads=again.sides),
            counts=self.draft.findings.get("counts") or {},
            from_preview=planned is not None,
            used_today=used_today(self.draft),
            app_quota=quota_of_app(self.draft, self.look),
            quiet_month=quiet_month(self.look),
            day=LEAST_A_DAY,
            again=again,
            runs=[
                {"what": "preview", "run": preview, "part": part, "work": _work(part)},
                {"what": "test", "run": test, "part": tested, "work": _work(tested)},
            ],
            waits=waits,
            refused=refused,
            live=waits or any(r is not None and r.open for r in (preview, test)),
        )


def _work(part: SyncRun | None) -> list[tuple[str, int, int]]:
    """What a run did or would do: (what, in HubSpot, in the app)."""
    if part is None:
        return []
    counters = part.counters
    links = counters.get("associations", {})
    rows = [
        ("Records created", counters.get("created", {})),
        ("Records updated", counters.get("updated", {})),
        ("Records archived", counters.get("archived", {})),
        ("Links added", links.get("added", {})),
        ("Links removed", links.get("removed", {})),
        ("Links changed", links.get("changed", {})),
    ]
    return [(what, int(n.get("hubspot", 0)), int(n.get("app", 0))) for what, n in rows]
