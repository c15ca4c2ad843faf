"""Merging two records, and deleting one for privacy.

Source: https://developers.hubspot.com/changelog/updated-merge-functionality-for-contacts-and-companies
"""

from __future__ import annotations

from typing import Any

from connections.sandbox.hubspot.account import Account, Call, Reply
from connections.sandbox.hubspot.errors import ApiError, invalid, not_found
from connections.sandbox.hubspot.kinds import COMPANIES, CONTACTS, Kind
from connections.sandbox.hubspot.links import Pair
from connections.sandbox.hubspot.objects import render
from connections.sandbox.hubspot.records import Record

Json = dict[str, Any]


def merge(call: Call, kind: Kind) -> Reply:
    """POST …/{T}/merge: contacts and companies become a new record with a new id."""
    call.need(kind, "write")
    records = call.account.records
    ids = [call.json.get(name) for name in ("primaryObjectId", "objectIdToMerge")]
    found = [records.id_of(kind, word, None) for word in ids]
    if None in found or found[0] == found[1]:
        raise invalid("primaryObjectId and objectIdToMerge must name two records")
    first, second = (records.find(kind, int(str(record_id))) for record_id in found)
    merged = _merge(call.account, first, second)
    return Reply(200, render(call, merged, []))


def _merge(account: Account, first: Record, second: Record) -> Record:
    kind, records = first.kind, account.records
    values = second.values | first.values
    olds = [record.id for record in (first, second)]
    chain = [r.values.get("hs_merged_object_ids", "") for r in (first, second)]
    if kind.type_id == CONTACTS:
        _keep_emails(values, first, second)
    new_id = first.id
    if kind.type_id in (CONTACTS, COMPANIES):
        new_id = account.store.new_id(kind.type_id)
        gone = olds
    else:
        gone = olds[1:]
    names = [name for name in (*chain, *map(str, gone)) if name]
    values["hs_merged_object_ids"] = ";".join(names)
    merged = Record(kind, new_id, values, first.created, account.clock.now_ms())
    for record_id in gone:
        records.remove(kind, record_id)
    for name, value in records.unique_values(merged):
        row = (kind.type_id, name, value, new_id)
        account.store.run("REPLACE INTO unique_value VALUES (?, ?, ?, ?)", *row)
    records.put(merged)
    for record_id in gone:
        _move_links(account, kind, record_id, new_id)
        _point(account, kind, record_id, new_id)
    return merged


def _keep_emails(values: Json, first: Record, second: Record) -> None:
    """The second contact's address stays, as an additional one."""
    kept = [
        *first.values.get("hs_additional_emails", "").split(";"),
        *second.values.get("hs_additional_emails", "").split(";"),
        second.values.get("email", ""),
    ]
    more = dict.fromkeys(e for e in kept if e and e != values.get("email"))
    if more:
        values["hs_additional_emails"] = ";".join(more)


def _point(account: Account, kind: Kind, old: int, new: int) -> None:
    """Let an old id, and those that led to it, resolve to the new record."""
    store = account.store
    ends = (new, kind.type_id, old)
    store.run("UPDATE merged SET new = ? WHERE kind = ? AND new = ?", *ends)
    store.run("REPLACE INTO merged VALUES (?, ?, ?)", kind.type_id, old, new)


def _move_links(account: Account, kind: Kind, old: int, new: int) -> None:
    """Give a record's links to another; a second primary is dropped."""
    rows = account.store.all(
        "SELECT to_kind, to_id, category, type_id FROM link WHERE from_kind = ? "
        "AND from_id = ? ORDER BY to_kind, to_id",
        kind.type_id,
        old,
    )
    wanted: dict[tuple[str, int], list[tuple[str, int]]] = {}
    for to_kind, to_id, *key in rows:
        wanted.setdefault((to_kind, to_id), []).append((key[0], key[1]))
    account.links.remove_record(kind, old)
    for (to_kind, to_id), keys in wanted.items():
        other = account.catalogue.kind(to_kind)
        if (kind, new) != (other, to_id):
            pair = Pair(kind, new, other, to_id)
            account.links.graft(pair, keys)


def gdpr_delete(call: Call, kind: Kind) -> Reply:
    """POST …/contacts/gdpr-delete: gone for good; an unknown e-mail is blocked."""
    call.need(kind, "write")
    account = call.account
    id_property = call.json.get("idProperty")
    word = str(call.json.get("objectId"))
    if kind.type_id != CONTACTS or id_property not in (None, "email"):
        raise invalid("only contacts, by id or email")
    record_id = account.records.id_of(kind, word, id_property)
    email = word.lower() if id_property else _email_of(account, kind, record_id)
    if email:
        account.store.run("REPLACE INTO blocked VALUES (?)", email)
    if record_id is not None:
        account.links.remove_record(kind, record_id)
        account.records.remove(kind, record_id)
    return Reply(204)


def _email_of(account: Account, kind: Kind, record_id: int | None) -> str | None:
    for archived in (False, True):
        try:
            found = account.records.find(kind, record_id or 0, archived=archived)
        except ApiError:
            continue
        return found.values.get("email")
    raise not_found()
