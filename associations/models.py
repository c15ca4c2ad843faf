"""How records relate: types, mappings, and the links that both sides have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import models

from connections.models import HubSpotAccount
from connections.records import AssociationType as Type
from connections.records import AssociationTypeInfo as TypeInfo
from syncs.models import ObjectSync, RecordLink
from syncs.models.choices import Direction


class AssociationType(models.Model):
    """One association type of an account, seen from one direction."""

    account = models.ForeignKey(
        HubSpotAccount, on_delete=models.CASCADE, related_name="association_types"
    )
    from_object = models.CharField(max_length=100)
    to_object = models.CharField(max_length=100)
    category = models.CharField(max_length=30)
    type_id = models.PositiveBigIntegerField()
    label = models.CharField(max_length=200, blank=True)
    inverse_id = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="its id seen from the other end, where known"
    )
    most = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="links of this type that a record may have, as set in HubSpot",
    )
    plan_most = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="links that the account's plan allows a record; on the plain type",
    )
    gone_at = models.DateTimeField(
        null=True, blank=True, help_text="when HubSpot listed it no more"
    )
    discovered_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "association type"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "from_object", "to_object", "category", "type_id"],
                name="association_type_once",
            )
        ]

    def __str__(self) -> str:
        return self.label or f"{self.category} {self.type_id}"

    @property
    def info(self) -> TypeInfo:
        """As HubSpot listed it."""
        return TypeInfo(
            self.category,
            self.type_id,
            self.label or None,
            self.from_object,
            self.to_object,
        )


class AssociationConflict(models.TextChoices):
    HUBSPOT = "hubspot", "HubSpot wins"
    APP = "app", "The app wins"
    REVIEW = "review", "A person decides"


class OnUnlink(models.TextChoices):
    KEEP_PAIR = "keep_pair", "Keep the plain link"
    REMOVE_PAIR = "remove_pair", "Remove the link"


class By(models.TextChoices):
    """What the app's side of a mapping is."""

    REFERENCE = "reference", "A reference field"
    JOIN_TABLE = "join_table", "A join table"
    MATCH_KEY = "match_key", "A field with the target's key"


class AssociationMapping(models.Model):
    """What the app has of links kept in step with HubSpot association types.

    `app_field` is the reference field, or the join table; of that, `join_from` and
    `join_to` are the columns that hold the two records' keys, `join_label` the one that
    says which of `labels` a row is: [the column's value, as `type` names it, its category
    and id].
    """

    sync = models.ForeignKey(
        ObjectSync, on_delete=models.CASCADE, related_name="association_mappings"
    )
    position = models.PositiveIntegerField(default=0)
    by = models.CharField(
        "kept in", max_length=20, choices=By.choices, default=By.REFERENCE
    )
    app_field = models.CharField("app's field or table", max_length=200)
    join_from = models.CharField("from column", max_length=200, blank=True, default="")
    join_to = models.CharField("to column", max_length=200, blank=True, default="")
    join_label = models.CharField(
        "label column", max_length=200, blank=True, default=""
    )
    labels: models.JSONField[list[Any], list[Any]] = models.JSONField(
        default=list, blank=True
    )
    to_sync = models.ForeignKey(
        ObjectSync,
        on_delete=models.PROTECT,
        related_name="targeted_by",
        verbose_name="target sync",
    )
    type: models.JSONField[Any, Any] = models.JSONField(
        default=str,
        blank=True,
        help_text='"primary", "default", a label, {"category": …, "id": …}, or a list of '
        "these; blank: by default",
    )
    category = models.CharField(max_length=30, blank=True, editable=False)
    type_id = models.PositiveBigIntegerField(null=True, blank=True, editable=False)
    also: models.JSONField[list[Any], list[Any]] = models.JSONField(
        default=list,
        blank=True,
        editable=False,
        help_text="further types of a list, each as [category, id]",
    )
    direction = models.CharField(
        max_length=20, choices=Direction.choices, blank=True, default=""
    )
    links_direction = models.CharField(
        max_length=20,
        blank=True,
        default="",
        editable=False,
        help_text="the direction under which its links were made",
    )
    conflict = models.CharField(
        max_length=20, choices=AssociationConflict.choices, blank=True, default=""
    )
    on_unlink = models.CharField(
        max_length=20, choices=OnUnlink.choices, default=OnUnlink.KEEP_PAIR
    )
    proven_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="when a sweep last found both sides' links equal",
    )
    sweep: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict,
        blank=True,
        editable=False,
        help_text="what the last whole sweep counted: links and their hash, by side",
    )

    class Meta:
        verbose_name = "association mapping"
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["sync", "app_field", "to_sync"], name="association_mapping_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.place} → {self.to_sync.name}"

    @property
    def place(self) -> str:
        """Where the app keeps the links, in words."""
        if self.by != By.JOIN_TABLE:
            return self.app_field
        columns = (self.join_from, self.join_to, self.join_label)
        return f"{self.app_field} ({', '.join(c for c in columns if c)})"

    @property
    def types(self) -> tuple[Type, ...]:
        """What `type` names, in its order; none while that is not known."""
        if self.type_id is None:
            return ()
        also = tuple(Type(str(c), int(i)) for c, i in self.also)
        return (Type(self.category, self.type_id), *also)

    @property
    def label_types(self) -> dict[str, Type]:
        """Which type each value of the label column means, in the map's order."""
        return {value: Type(str(c), int(i)) for value, _, c, i in self.labels}


def type_columns(types: Sequence[Type]) -> dict[str, Any]:
    """The columns of a mapping that hold what was found for its `type`."""
    return {
        "category": types[0].category,
        "type_id": types[0].type_id,
        "also": [[t.category, t.type_id] for t in types[1:]],
    }


class LinkState(models.TextChoices):
    IN_SYNC = "in_sync", "In sync"
    PENDING = "pending", "Pending"
    FAILING = "failing", "Failing"
    APART = "apart", "On one side only, by an undo"
    SKIPPED = "skipped", "Skipped"


class AssociationLink(models.Model):
    """One link of a mapping: the baseline of a link that both sides have, or one that is
    pending, failing, or skipped while its far record is out of scope.

    `other` is the far record link; for a pending link whose far record was never read it
    is null and `other_remote_id` holds its id on `side`. An undo leaves a link apart: it
    stands on `side` alone, and travels nowhere until somebody changes it.
    """

    # Indexes below begin with the mapping, and with the other end.
    mapping = models.ForeignKey(
        AssociationMapping,
        on_delete=models.CASCADE,
        related_name="links",
        db_index=False,
    )
    link = models.ForeignKey(
        RecordLink, on_delete=models.CASCADE, related_name="association_links"
    )
    other = models.ForeignKey(
        RecordLink,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
    )
    other_remote_id = models.CharField(max_length=300, blank=True)
    side = models.CharField(max_length=8, blank=True)
    state = models.CharField(
        max_length=8, choices=LinkState.choices, default=LinkState.IN_SYNC
    )
    types: models.JSONField[list[Any], list[Any]] = models.JSONField(
        default=list, blank=True
    )
    code = models.CharField(max_length=40, blank=True)
    text = models.TextField(blank=True)
    attempts = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(
        null=True, blank=True, help_text="when a refused link is tried again"
    )
    since = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "association link"
        constraints = [
            models.UniqueConstraint(
                fields=["mapping", "link", "other", "other_remote_id", "state"],
                name="association_link_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["mapping", "state", "id"], name="association_link_mapping"
            ),
            models.Index(fields=["other", "state"], name="association_link_other"),
            models.Index(
                fields=["state", "id"],
                condition=~models.Q(state="in_sync"),
                name="association_link_open",
            ),
            models.Index(
                fields=["code", "id"],
                condition=~models.Q(code=""),
                name="association_link_code",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.link} → {self.other or self.other_remote_id}"
