"""Which path is which call.

Dated, v4 and v3 paths lead to the same families; `{kind}` and `{other}` are object
types by any of their names, the rest of the braces are taken as they come.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from connections.sandbox.hubspot import (
    associations,
    associations_v3,
    batches,
    labels,
    merges,
    metadata,
    objects,
    properties,
    quotas,
    schemas,
    search,
)
from connections.sandbox.hubspot.account import Reply

DATED = "(?P<version>2026-03|2026-09)"
V3_TOO = "(?P<version>2026-03|2026-09|v3)"  # families whose dated path v3 shares
V4_TOO = "(?P<version>2026-03|2026-09|v4)"
# Path prefixes, most specific first, and the family that each leads to.
PREFIXES = tuple(
    (re.compile(pattern), family)
    for pattern, family in (
        (r"/crm/(?P<version>v3)/associations/", "associations_v3/"),
        (rf"/crm/associations/{V4_TOO}/(?=definitions/)", "associations/"),
        (rf"/crm/associations/{DATED}/", "associations/"),
        (r"/crm/(?P<version>v4)/associations/", "associations/"),
        (rf"/crm/objects/{DATED}/", "objects/"),
        (r"/crm/(?P<version>v3)/objects/", "objects/"),
        # Of v4, associations alone.
        (r"/crm/(?P<version>v4)/objects/(?=[^/]+/[^/]+/associations/)", "objects/"),
        (rf"/crm/properties/{DATED}/", "properties/"),
        (r"/crm/(?P<version>v3)/properties/", "properties/"),
        (rf"/crm-object-schemas/{V3_TOO}/schemas", "schemas"),
        (r"/crm/(?P<version>v3)/schemas", "schemas"),
        (rf"/crm/pipelines/{DATED}/", "pipelines/"),
        (r"/crm/(?P<version>v3)/pipelines/", "pipelines/"),
        (rf"/crm/owners/{DATED}", "owners"),
        (r"/crm/(?P<version>v3)/owners", "owners"),
        (rf"/crm/limits/{DATED}/", "limits/"),
        (r"/crm/(?P<version>v3)/limits/", "limits/"),
        (rf"/crm/object-library/{DATED}/", "object-library/"),
        (rf"/account-info/{V3_TOO}/", "account-info/"),
    )
)
PAIR = "associations/{kind}/{other}"
PAIR_V3 = "associations_v3/{kind}/{other}"
CAPS = "associations/definitions/configurations"
RECORD = "objects/{kind}/{record}"
FAR = RECORD + "/associations/{other}/{other_record}"
PROPERTY = "properties/{kind}"
Handler = Callable[..., Reply]
TABLE: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "objects/{kind}/batch/read", batches.read),
    ("POST", "objects/{kind}/batch/create", batches.create),
    ("POST", "objects/{kind}/batch/update", batches.update),
    ("POST", "objects/{kind}/batch/upsert", batches.upsert),
    ("POST", "objects/{kind}/batch/archive", batches.archive),
    ("POST", "objects/{kind}/search", search.search),
    ("POST", "objects/{kind}/merge", merges.merge),
    ("POST", "objects/{kind}/gdpr-delete", merges.gdpr_delete),
    ("GET", "objects/{kind}", objects.read_list),
    ("POST", "objects/{kind}", objects.create),
    ("GET", RECORD, objects.read),
    ("PATCH", RECORD, objects.update),
    ("DELETE", RECORD, objects.archive),
    ("GET", RECORD + "/associations/{other}", associations.read_one),
    (
        "PUT",
        RECORD + "/associations/default/{other}/{other_record}",
        associations.write_default,
    ),
    ("PUT", FAR, associations.write_labels),
    ("DELETE", FAR, associations.remove),
    ("PUT", FAR + "/{name}", associations_v3.write_one),
    ("DELETE", FAR + "/{name}", associations_v3.remove_one),
    ("POST", PAIR + "/batch/read", associations.batch_read),
    ("POST", PAIR + "/batch/create", associations.batch_create),
    ("POST", PAIR + "/batch/associate/default", associations.batch_default),
    ("POST", PAIR + "/batch/archive", associations.batch_archive),
    ("POST", PAIR + "/batch/labels/archive", associations.labels_archive),
    ("GET", CAPS + "/all", labels.read_all_caps),
    ("GET", CAPS + "/{kind}/{other}", labels.read_caps),
    ("POST", CAPS + "/{kind}/{other}/batch/create", labels.write_caps),
    ("POST", CAPS + "/{kind}/{other}/batch/update", labels.update_caps),
    ("POST", CAPS + "/{kind}/{other}/batch/purge", labels.purge_caps),
    ("POST", "associations/usage/high-usage-report/{name}", quotas.high_usage),
    ("GET", PAIR + "/labels", labels.read_labels),
    ("POST", PAIR + "/labels", labels.create_label),
    ("PUT", PAIR + "/labels", labels.rename_label),
    ("DELETE", PAIR + "/labels/{label}", labels.delete_label),
    ("GET", PAIR_V3 + "/types", associations_v3.types),
    ("POST", PAIR_V3 + "/batch/read", associations_v3.batch_read),
    ("POST", PAIR_V3 + "/batch/create", associations_v3.batch_create),
    ("POST", PAIR_V3 + "/batch/archive", associations_v3.batch_archive),
    ("POST", PROPERTY + "/batch/read", properties.batch_read),
    ("POST", PROPERTY + "/batch/create", properties.batch_create),
    ("POST", PROPERTY + "/batch/archive", properties.batch_archive),
    ("GET", PROPERTY + "/groups", properties.read_groups),
    ("POST", PROPERTY + "/groups", properties.create_group),
    ("GET", PROPERTY, properties.read_all),
    ("POST", PROPERTY, properties.create),
    ("GET", PROPERTY + "/{name}", properties.read),
    ("PATCH", PROPERTY + "/{name}", properties.update),
    ("DELETE", PROPERTY + "/{name}", properties.archive),
    ("POST", "schemas/batch/read", schemas.batch_read),
    ("GET", "schemas", schemas.read_all),
    ("POST", "schemas", schemas.create),
    ("GET", "schemas/{kind}", schemas.read),
    ("PATCH", "schemas/{kind}", schemas.update),
    ("DELETE", "schemas/{kind}", schemas.archive),
    ("POST", "schemas/{kind}/associations", schemas.associate),
    ("GET", "limits/associations/labels", quotas.labels),
    ("GET", "limits/associations/records/from", quotas.records_from),
    ("GET", "limits/associations/records/{kind}/to", quotas.records_to),
    ("GET", "limits/associations/records/{kind}/{other}", quotas.records),
    ("GET", "limits/records", quotas.records_used),
    ("GET", "limits/custom-properties", quotas.custom_properties),
    ("GET", "limits/custom-object-types", quotas.custom_types),
    ("GET", "limits/pipelines", quotas.pipelines),
    ("GET", "limits/calculated-properties", quotas.calculated_properties),
    ("GET", "owners", metadata.owners),
    ("GET", "owners/{name}", metadata.owner),
    ("GET", "pipelines/{kind}", metadata.pipelines),
    ("GET", "pipelines/{kind}/{name}", metadata.pipeline),
    ("GET", "object-library/enablement", metadata.enablement),
    ("GET", "account-info/details", metadata.details),
    ("GET", "account-info/api-usage/daily/private-apps", metadata.usage),
)
# POST calls that change nothing.
READS = {batches.read, search.search, associations.batch_read}
READS |= {associations_v3.batch_read, properties.batch_read, schemas.batch_read}


@dataclass(frozen=True, slots=True)
class Route:
    """One kind of call: how its path looks, and who answers."""

    method: str
    template: str
    parts: tuple[str, ...]
    handler: Handler

    @property
    def writes(self) -> bool:
        return self.method != "GET" and self.handler not in READS

    @property
    def bucket(self) -> str:
        """The rate limit that the call spends."""
        if self.handler is search.search:
            return "search"
        linked = "/associations/" in self.template and self.parts[0] == "objects"
        if linked or self.parts[0].startswith("associations"):
            return "association"
        return "general"

    def match(self, parts: list[str]) -> dict[str, str] | None:
        """Return the braces' values if a path is of this kind."""
        found = {}
        for wanted, part in zip(self.parts, parts, strict=True):
            if wanted.startswith("{"):
                found[wanted[1:-1]] = part
            elif wanted != part:
                return None
        return found


ROUTES: dict[tuple[str, str, int], list[Route]] = {}
for _method, _template, _handler in TABLE:
    _parts = tuple(_template.split("/"))
    _key = (_method, _parts[0], len(_parts))
    ROUTES.setdefault(_key, []).append(Route(_method, _template, _parts, _handler))


@dataclass(frozen=True, slots=True)
class Found:
    """A path that leads somewhere."""

    route: Route
    version: str
    values: dict[str, str]


def find(method: str, path: str) -> Found | None:
    """Return the call that a path makes, or None."""
    for prefix, family in PREFIXES:
        start = prefix.match(path)
        if start:
            rest = family + path[start.end() :]
            parts = [part for part in rest.split("/") if part]
            for route in ROUTES.get((method, parts[0], len(parts)), []):
                values = route.match(parts)
                if values is not None:
                    return Found(route, start["version"], values)
            return None
    return None


def v3_single(found: Found) -> bool:
    """Say whether this is v3's own single-record association read."""
    return found.version == "v3" and found.route.handler is associations.read_one
