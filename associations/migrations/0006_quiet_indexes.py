"""Indexes that lists go by, made while others write."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

from connections.migrating import AddIndexQuietly, DropColumnIndex, RemoveIndexQuietly


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("associations", "0005_links_apart"),
        ("syncs", "0008_quiet_indexes"),
    ]

    operations = [
        AddIndexQuietly(
            model_name="associationlink",
            index=models.Index(
                fields=["mapping", "state", "id"], name="association_link_mapping"
            ),
        ),
        AddIndexQuietly(
            model_name="associationlink",
            index=models.Index(
                condition=models.Q(("state", "in_sync"), _negated=True),
                fields=["state", "id"],
                name="association_link_open",
            ),
        ),
        AddIndexQuietly(
            model_name="associationlink",
            index=models.Index(
                condition=models.Q(("code", ""), _negated=True),
                fields=["code", "id"],
                name="association_link_code",
            ),
        ),
        RemoveIndexQuietly(
            model_name="associationlink",
            name="association_link_state",
        ),
        DropColumnIndex(
            model_name="associationlink",
            name="mapping",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="links",
                to="associations.associationmapping",
            ),
        ),
        DropColumnIndex(
            model_name="associationlink",
            name="other",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="syncs.recordlink",
            ),
        ),
    ]
