"""HubSpot's official client, unchanged, behind the methods of `calls.Http`.

Requests are built from the client's own models, and answers go through them: a field
that the client requires and the sandbox lacks is an error here. Only the base URL is
the sandbox's.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from typing import Any

from connections.sandbox.server import SandboxServer
from tests.sandbox.calls import Json, Reply
from tests.vendor import vendor_client

# Method of ours: method of the client, its request model.
RECORD_BATCHES = {
    "read": ("read", "BatchReadInputSimplePublicObjectId"),
    "create": ("create", "BatchInputSimplePublicObjectBatchInputForCreate"),
    "update": ("update", "BatchInputSimplePublicObjectBatchInput"),
    "upsert": ("upsert", "BatchInputSimplePublicObjectBatchInputUpsert"),
    "archive": ("archive", "BatchInputSimplePublicObjectId"),
}
LINK_BATCHES = {
    "read": ("get_page", "BatchInputPublicFetchAssociationsBatchRequest"),
    "create": ("create", "BatchInputPublicAssociationMultiPost"),
    "associate/default": (
        "create_default",
        "BatchInputPublicDefaultAssociationMultiPost",
    ),
    "archive": ("archive", "BatchInputPublicAssociationMultiArchive"),
    "labels/archive": ("archive_labels", "BatchInputPublicAssociationMultiPost"),
}
CONFIGURATION = "BatchInputPublicAssociationDefinitionConfiguration"
CAP_BATCHES = {
    "create": ("batch_create", f"{CONFIGURATION}CreateRequest"),
    "update": ("batch_update", f"{CONFIGURATION}UpdateRequest"),
    "purge": ("batch_remove", "BatchInputPublicAssociationSpec"),
}
PROPERTY_BATCHES = {
    "read": ("read", "BatchReadInputPropertyName"),
    "create": ("create", "BatchInputPropertyCreate"),
    "archive": ("archive", "BatchInputPropertyName"),
}


class Official:
    """The client's calls; `dated` says that its paths are v3 and v4."""

    dated = False

    def __init__(self, sandbox: SandboxServer) -> None:
        client = vendor_client(sandbox, sandbox.token)
        self._crm = client.crm
        self._v4 = client.crm.associations.v4

    # Records

    def page(self, kind: str, **query: Any) -> Reply:
        return _call(self._crm.objects.basic_api, "get_page", kind, **query)

    def read(self, kind: str, word: object, **query: Any) -> Reply:
        query = {_snake(name): value for name, value in query.items()}
        return _call(self._crm.objects.basic_api, "get_by_id", kind, word, **query)

    def create(self, kind: str, properties: Json, links: Sequence[Json] = ()) -> Reply:
        api = self._crm.objects.basic_api
        body = {"properties": properties, "associations": list(links)}
        made = model(api, "SimplePublicObjectInputForCreate", body)
        return _call(api, "create", kind, made)

    def update(self, kind: str, word: object, properties: Json, **query: Any) -> Reply:
        api = self._crm.objects.basic_api
        made = model(api, "SimplePublicObjectInput", {"properties": properties})
        query = {_snake(name): value for name, value in query.items()}
        return _call(api, "update", kind, word, made, **query)

    def archive(self, kind: str, word: object) -> Reply:
        return _call(self._crm.objects.basic_api, "archive", kind, word)

    def batch(self, kind: str, act: str, body: Json, **query: Any) -> Reply:
        api = self._crm.objects.batch_api
        if act == "read":
            body = {"propertiesWithHistory": []} | body
        return _batch(api, RECORD_BATCHES[act], (kind,), body, **query)

    def search(self, kind: str, body: Json) -> Reply:
        api = self._crm.objects.search_api
        made = model(api, "PublicObjectSearchRequest", body)
        return _call(api, "do_search", kind, made)

    def merge(self, kind: str, primary: str, other: str) -> Reply:
        api = getattr(self._crm, kind).basic_api
        body = {"primaryObjectId": primary, "objectIdToMerge": other}
        return _call(api, "merge", model(api, "PublicMergeInput", body))

    def purge(self, body: Json) -> Reply:
        api = self._crm.contacts.basic_api
        return _call(api, "purge", model(api, "PublicGdprDeleteInput", body))

    # Links

    def read_links(self, kind: str, word: object, other: str, **query: Any) -> Reply:
        return _call(self._v4.basic_api, "get_page", kind, word, other, **query)

    def put_default(self, kind: str, one: str, other: str, two: str) -> Reply:
        return _call(self._v4.basic_api, "create_default", kind, one, other, two)

    def put_types(self, kind: str, one: str, other: str, two: str, types: Any) -> Reply:
        api = self._v4.basic_api
        made = model(api, "list[AssociationSpec]", types)
        return _call(api, "create", kind, one, other, two, made)

    def remove_pair(self, kind: str, one: str, other: str, two: str) -> Reply:
        return _call(self._v4.basic_api, "archive", kind, one, other, two)

    def link_batch(
        self, kind: str, other: str, act: str, inputs: Sequence[Json]
    ) -> Reply:
        body = {"inputs": list(inputs)}
        return _batch(self._v4.batch_api, LINK_BATCHES[act], (kind, other), body)

    # Association types

    def labels(self, kind: str, other: str) -> Reply:
        return _call(self._v4.schema.definitions_api, "get_all", kind, other)

    def create_label(self, kind: str, other: str, body: Json) -> Reply:
        api = self._v4.schema.definitions_api
        made = model(api, "PublicAssociationDefinitionCreateRequest", body)
        return _call(api, "create", kind, other, made)

    def rename_label(self, kind: str, other: str, body: Json) -> Reply:
        api = self._v4.schema.definitions_api
        made = model(api, "PublicAssociationDefinitionUpdateRequest", body)
        return _call(api, "update", kind, other, made)

    def delete_label(self, kind: str, other: str, type_id: int) -> Reply:
        return _call(self._v4.schema.definitions_api, "remove", kind, other, type_id)

    def caps(self, *ends: str) -> Reply:
        api = self._v4.schema.definition_configurations_api
        name = "get_all_between_two_object_types" if ends else "get_all"
        return _call(api, name, *ends)

    def caps_batch(
        self, kind: str, other: str, act: str, inputs: Sequence[Json]
    ) -> Reply:
        api = self._v4.schema.definition_configurations_api
        body = {"inputs": list(inputs)}
        return _batch(api, CAP_BATCHES[act], (kind, other), body)

    def high_usage(self, user_id: int) -> Reply:
        return _call(self._v4.report_api, "request", user_id)

    # Definitions

    def properties(self, kind: str, **query: Any) -> Reply:
        return _call(self._crm.properties.core_api, "get_all", kind, **query)

    def property(self, kind: str, name: str, **query: Any) -> Reply:
        return _call(self._crm.properties.core_api, "get_by_name", kind, name, **query)

    def create_property(self, kind: str, body: Json) -> Reply:
        api = self._crm.properties.core_api
        return _call(api, "create", kind, model(api, "PropertyCreate", body))

    def update_property(self, kind: str, name: str, body: Json) -> Reply:
        api = self._crm.properties.core_api
        return _call(api, "update", kind, name, model(api, "PropertyUpdate", body))

    def archive_property(self, kind: str, name: str) -> Reply:
        return _call(self._crm.properties.core_api, "archive", kind, name)

    def property_batch(self, kind: str, act: str, body: Json) -> Reply:
        api = self._crm.properties.batch_api
        if act == "read":
            body = {"archived": False} | body
        return _batch(api, PROPERTY_BATCHES[act], (kind,), body)

    def groups(self, kind: str) -> Reply:
        return _call(self._crm.properties.groups_api, "get_all", kind)

    def create_group(self, kind: str, body: Json) -> Reply:
        api = self._crm.properties.groups_api
        return _call(api, "create", kind, model(api, "PropertyGroupCreate", body))

    def schemas(self, **query: Any) -> Reply:
        return _call(self._crm.schemas.core_api, "get_all", **query)

    def schema(self, kind: str) -> Reply:
        return _call(self._crm.schemas.core_api, "get_by_id", kind)

    def create_schema(self, body: Json) -> Reply:
        api = self._crm.schemas.core_api
        return _call(api, "create", model(api, "ObjectSchemaEgg", body))

    def update_schema(self, kind: str, body: Json) -> Reply:
        api = self._crm.schemas.core_api
        return _call(api, "update", kind, model(api, "ObjectTypeDefinitionPatch", body))

    def archive_schema(self, kind: str) -> Reply:
        return _call(self._crm.schemas.core_api, "archive", kind)

    def link_schema(self, kind: str, body: Json) -> Reply:
        api = self._crm.schemas.core_api
        made = model(api, "AssociationDefinitionEgg", body)
        return _call(api, "create_association", kind, made)

    def owners(self, **query: Any) -> Reply:
        return _call(self._crm.owners.owners_api, "get_page", **query)

    def owner(self, word: object, **query: Any) -> Reply:
        query = {_snake(name): value for name, value in query.items()}
        return _call(self._crm.owners.owners_api, "get_by_id", word, **query)

    def pipelines(self, kind: str) -> Reply:
        return _call(self._crm.pipelines.pipelines_api, "get_all", kind)

    def pipeline(self, kind: str, name: str) -> Reply:
        return _call(self._crm.pipelines.pipelines_api, "get_by_id", kind, name)


def model(api: Any, name: str, body: Any) -> Any:
    """Return a JSON body as the client's model of a name, and those inside it."""
    if name.startswith("list["):
        return [model(api, name[5:-1], item) for item in body]
    kind = getattr(_package(api), name, None)
    if kind is None or not isinstance(body, dict):
        return body  # a plain value
    parts = {wire: attribute for attribute, wire in kind.attribute_map.items()}
    made = {parts[wire]: value for wire, value in body.items()}
    types = kind.openapi_types
    return kind(**{part: model(api, types[part], v) for part, v in made.items()})


def _batch(
    api: Any, how: tuple[str, str], ends: tuple[str, ...], body: Json, **query: Any
) -> Reply:
    name, kind = how
    return _call(api, name, *ends, model(api, kind, body), **query)


def _call(api: Any, name: str, *args: Any, **query: Any) -> Reply:
    """Make a call, and return what the client made of the answer as JSON again."""
    try:
        data, status, headers = getattr(api, f"{name}_with_http_info")(*args, **query)
    except _package(api).ApiException as error:
        return Reply(error.status, json.loads(error.body), error.headers)
    body = api.api_client.sanitize_for_serialization(data)
    return Reply(status, body, headers)


def _package(api: Any) -> Any:
    return importlib.import_module(type(api).__module__.rpartition(".api.")[0])


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
