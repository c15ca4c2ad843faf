"""What was written to a record lately, made while others write."""

from __future__ import annotations

from django.db import migrations, models

from connections.migrating import AddIndexQuietly


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("syncs", "0008_quiet_indexes"),
    ]

    operations = [
        AddIndexQuietly(
            model_name="change",
            index=models.Index(
                condition=models.Q(("kind", "update"), ("outcome", "applied")),
                fields=["link", "done_at"],
                name="change_wrote",
            ),
        ),
    ]
