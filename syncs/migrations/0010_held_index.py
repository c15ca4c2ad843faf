"""Indexes over what waits, failed or was left out, made while others write."""

from __future__ import annotations

from django.db import migrations, models

from connections.migrating import AddIndexQuietly


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("syncs", "0009_wrote"),
    ]

    operations = [
        AddIndexQuietly(
            model_name="change",
            index=models.Index(
                condition=models.Q(("outcome", "held")),
                fields=["id"],
                name="change_held",
            ),
        ),
        AddIndexQuietly(
            model_name="change",
            index=models.Index(
                condition=models.Q(
                    models.Q(("outcome", "planned"), _negated=True),
                    models.Q(("outcome", "sent"), _negated=True),
                    models.Q(("outcome", "applied"), _negated=True),
                ),
                fields=["outcome", "id"],
                name="change_unusual",
            ),
        ),
    ]
