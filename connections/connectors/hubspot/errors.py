"""HubSpot's refusals in the words of our catalogue.

Source: https://developers.hubspot.com/docs/api-reference/error-handling
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from connections.catalogue import Code
from connections.connectors.base import (
    ConnectorError,
    RejectedError,
    SchemaError,
    TransientError,
)
from connections.connectors.dialect import Answer
from connections.records import Outcome
from connections.redaction import redact

Json = Mapping[str, Any]
MAX_TEXT = 400  # characters of a message that are kept

_EXISTING = (
    re.compile(r"Existing ID: ?(\d+)", re.IGNORECASE),
    re.compile(r"(\d+) already has that value", re.IGNORECASE),
)
_QUOTED_PROPERTY = re.compile(r'[Pp]roperty "([^"]+)"|propertyName=([\w.]+)')
_UNKNOWN_OBJECT = re.compile(r"infer object type", re.IGNORECASE)
NO_LINKS = "NO_ASSOCIATIONS_FOUND"

# The first pattern found in a refusal's codes, then in its text, decides.
_BY_CODE = (
    (re.compile(r"PROPERTY_DOESNT_EXIST"), Code.FIELD_MISSING),
    (re.compile(r"INVALID_OPTION"), Code.OPTION_UNKNOWN),
    (re.compile(r"TOO_LONG|MAX_LENGTH|LENGTH_EXCEEDED"), Code.VALUE_TOO_LONG),
    (re.compile(r"READ_ONLY|CALCULATED"), Code.FIELD_READ_ONLY),
    (re.compile(r"REQUIRED"), Code.REQUIRED_MISSING),
    (
        re.compile(r"ASSOCIATION.*LIMIT|LIMIT.*(ASSOCIATION|EXCEEDED|REACHED)"),
        Code.LIMIT_REACHED,
    ),
    (re.compile(r"ASSOCIATION_TYPE|ASSOCIATION_SPEC"), Code.TYPE_UNKNOWN),
    (re.compile(r"^CONFLICT$|DUPLICATE|ALREADY_EXISTS"), Code.DUPLICATE_KEY),
    (re.compile(r"OBJECT_NOT_FOUND"), Code.RECORD_GONE),
)
_BY_TEXT = (
    (re.compile(r"propert\w+ .*(does not|doesn't) exist", re.I), Code.FIELD_MISSING),
    (re.compile(r"not one of the allowed options", re.I), Code.OPTION_UNKNOWN),
    (
        re.compile(r"too long|maximum length|exceeds? .*characters", re.I),
        Code.VALUE_TOO_LONG,
    ),
    (re.compile(r"read.?only", re.I), Code.FIELD_READ_ONLY),
    (re.compile(r"already (exists|has that value)", re.I), Code.DUPLICATE_KEY),
    (re.compile(r"limit\b.*associat|associat\w+ limit", re.I), Code.LIMIT_REACHED),
    (
        re.compile(
            r"association type .*(not|n't) valid|invalid association type", re.I
        ),
        Code.TYPE_UNKNOWN,
    ),
    (re.compile(r"is required|required propert", re.I), Code.REQUIRED_MISSING),
)


def outcome_of(error: Json, *, correlation_id: str = "") -> Outcome:
    """What a refusal says about the one record or pair that it is about.

    Args: error, the body of a 4xx answer or one entry of a batch's `errors`.
    """
    message = str(error.get("message") or "HubSpot refused the request.")
    code, name, detail = _reason(error, message)
    existing = next(
        (m[1] for pattern in _EXISTING if (m := pattern.search(message))), None
    )
    return Outcome(
        False,
        code=code,
        message=redact(detail or message)[:MAX_TEXT],
        field=name,
        existing_id=existing if code == Code.DUPLICATE_KEY else None,
        correlation_id=str(error.get("correlationId") or correlation_id),
    )


def _reason(error: Json, message: str) -> tuple[Code, str, str]:
    """The code, the property and the sentence of a refusal's first known reason."""
    details = list(_details(error, message))
    for words, name, text in details:
        for pattern, code in _BY_CODE:
            if pattern.search(words):
                return code, name, text
    if context_names(error, "fromObjectId") and _about_link_limit(error, message):
        return Code.LIMIT_REACHED, "", message
    for words in (
        str(error.get("subCategory") or ""),
        str(error.get("category") or ""),
    ):
        for pattern, code in _BY_CODE:
            if pattern.search(words):
                return code, *_first_name(details, message)
    for pattern, code in _BY_TEXT:
        if pattern.search(message):
            return code, *_first_name(details, message)
    return Code.VALUE_INVALID, *_first_name(details, message)


def _about_link_limit(error: Json, message: str) -> bool:
    words = f"{error.get('category')} {error.get('subCategory')} {message}"
    return re.search(r"limit", words, re.IGNORECASE) is not None


def _first_name(details: list[tuple[str, str, str]], message: str) -> tuple[str, str]:
    for _, name, text in details:
        if name:
            return name, text
    found = _QUOTED_PROPERTY.search(message)
    return (found[1] or found[2] if found else ""), ""


def _details(error: Json, message: str) -> Iterator[tuple[str, str, str]]:
    """The single reasons: (code, property name, sentence).

    They stand in `errors`, or as JSON inside the message, or in both.
    """
    for entry in entries(error):
        names = context_names(entry, "propertyName", "properties") or [""]
        text = str(entry.get("message") or "")
        yield str(entry.get("code") or ""), names[0], text
    start = message.find("[{")
    if start < 0:
        return
    try:
        listed, _ = json.JSONDecoder().raw_decode(message[start:])
    except ValueError:
        return
    for item in listed:
        if isinstance(item, dict):
            text = str(item.get("message") or "")
            yield str(item.get("error") or ""), str(item.get("name") or ""), text


def context_names(error: Json, *names: str) -> list[str]:
    """The ids that an error entry's context names under any of these words."""
    context = error.get("context")
    found: list[str] = []
    for name in names:
        given = context.get(name) if isinstance(context, dict) else None
        if given is not None:
            found += [str(g) for g in (given if isinstance(given, list) else [given])]
    return found


def entries(error: Json) -> list[Json]:
    """The single errors inside a refusal; none of its parts is promised."""
    listed = error.get("errors")
    found = listed if isinstance(listed, list) else []
    return [entry for entry in found if isinstance(entry, dict)]


def correlation(answer: Answer) -> str:
    """The id under which HubSpot's support finds a call."""
    body = answer.body if isinstance(answer.body, dict) else {}
    found = body.get("correlationId") or answer.headers.get("x-hubspot-correlation-id")
    return str(found or "")


def unknown_object(body: object) -> bool:
    """Whether a refusal is about the object type, and so about every input alike."""
    message = body.get("message") if isinstance(body, dict) else None
    return _UNKNOWN_OBJECT.search(str(message or "")) is not None


def error_of(answer: Answer, doing: str) -> ConnectorError:
    """The error for a read that HubSpot refused as a whole.

    Args: doing, what was tried, such as "read contacts".
    """
    body = answer.body if isinstance(answer.body, dict) else {}
    message = redact(str(body.get("message") or f"status {answer.status}"))[:MAX_TEXT]
    text = f"HubSpot would not {doing}: {message}"
    found = correlation(answer)
    gone = re.search(r"object type .*(not|n't) ", message, re.IGNORECASE)
    if answer.status == 404 or gone or unknown_object(body):
        return SchemaError(text, correlation_id=found)
    if answer.ok:
        return TransientError(text, correlation_id=found)
    return RejectedError(text, code=Code(outcome_of(body).code), correlation_id=found)
