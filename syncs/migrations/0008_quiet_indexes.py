"""Indexes that lists, searches and pruning go by, made while others write."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

from connections.migrating import AddIndexQuietly, DropColumnIndex, RemoveIndexQuietly


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("syncs", "0007_undo"),
    ]

    operations = [
        AddIndexQuietly(
            model_name="change",
            index=models.Index(fields=["run", "id"], name="change_run"),
        ),
        AddIndexQuietly(
            model_name="change",
            index=models.Index(fields=["sync", "id"], name="change_sync"),
        ),
        AddIndexQuietly(
            model_name="change",
            index=models.Index(
                condition=models.Q(("error_code", ""), _negated=True),
                fields=["error_code", "id"],
                name="change_code",
            ),
        ),
        AddIndexQuietly(
            model_name="change",
            index=models.Index(
                condition=models.Q(("outcome", "held")),
                fields=["sync", "awaiting", "id"],
                name="change_awaiting",
            ),
        ),
        AddIndexQuietly(
            model_name="logentry",
            index=models.Index(fields=["at"], name="log_entry_at"),
        ),
        AddIndexQuietly(
            model_name="recordkey",
            index=models.Index(
                fields=["sync", "rank", "side", "value"],
                name="record_key_beginning",
                opclasses=[
                    "int8_ops",
                    "int2_ops",
                    "varchar_pattern_ops",
                    "varchar_pattern_ops",
                ],
            ),
        ),
        AddIndexQuietly(
            model_name="recordlink",
            index=models.Index(fields=["sync", "id"], name="record_link_sync"),
        ),
        AddIndexQuietly(
            model_name="recordlink",
            index=models.Index(fields=["state", "id"], name="record_link_any_state"),
        ),
        AddIndexQuietly(
            model_name="recordlink",
            index=models.Index(
                condition=models.Q(("error_code", ""), _negated=True),
                fields=["error_code", "id"],
                name="record_link_code",
            ),
        ),
        AddIndexQuietly(
            model_name="recordlink",
            index=models.Index(
                condition=models.Q(("scope_due_at__isnull", False)),
                fields=["sync", "scope_due_at", "id"],
                name="record_link_scope_due",
            ),
        ),
        AddIndexQuietly(
            model_name="recordlink",
            index=models.Index(
                condition=models.Q(
                    ("hubspot_vanished_at__isnull", False),
                    ("app_vanished_at__isnull", False),
                    _connector="OR",
                ),
                fields=["sync", "id"],
                name="record_link_vanished",
            ),
        ),
        AddIndexQuietly(
            model_name="syncrun",
            index=models.Index(fields=["sync", "id"], name="run_sync"),
        ),
        AddIndexQuietly(
            model_name="syncrun",
            index=models.Index(fields=["app", "id"], name="run_app"),
        ),
        RemoveIndexQuietly(
            model_name="recordkey",
            name="record_key_value",
        ),
        DropColumnIndex(
            model_name="change",
            name="run",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="changes",
                to="syncs.syncrun",
            ),
        ),
        DropColumnIndex(
            model_name="change",
            name="sync",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="syncs.objectsync",
            ),
        ),
        DropColumnIndex(
            model_name="recordkey",
            name="sync",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="syncs.objectsync",
            ),
        ),
        DropColumnIndex(
            model_name="recordlink",
            name="sync",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="record_links",
                to="syncs.objectsync",
            ),
        ),
    ]
