"""What two records are matched by: key values, normalised so that spelling does not count."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product

import idna
import phonenumbers

from connections.records import Canon, Side
from syncs.engine.parsing import checked_text
from syncs.engine.values import ValueProblem, words

MAX_HOST = 1000  # characters; a DNS name has at most 253 when it is encoded
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://|^//", re.IGNORECASE)
_PORT = re.compile(r":\d*$")
_INTERNATIONAL = re.compile(r"^[\s(]*(\+|00)")


@dataclass(frozen=True, slots=True)
class KeyPart:
    """A field of each side that must agree, and how it is normalised.

    `normalize` is exact, casefold, email, domain, phone or digits.
    """

    hubspot: str
    app: str
    normalize: str

    def name_on(self, side: Side) -> str:
        return self.hubspot if side is Side.HUBSPOT else self.app


Key = tuple[KeyPart, ...]


def normalise(value: Canon, how: str) -> str | None:
    """A value as keys compare it; None where it is no key (blank, or not of that sort).

    Raises: KeyError for an unknown normaliser.
    """
    normaliser = _NORMALISERS[how]
    text = ";".join(words(value))
    if not text.strip():
        return None
    try:
        return normaliser(checked_text(text)) or None
    except ValueProblem:
        return None


def key_values(
    values: Mapping[str, Canon],
    more: Mapping[str, tuple[str, ...]],
    key: Key,
    side: Side,
) -> set[str]:
    """Every value that a record has for a key; none if a part of the key is blank.

    Args: values, canonical; more, further values by field name (additional e-mails and
    domains); side, whose record it is.
    """
    parts: list[set[str]] = []
    for part in key:
        name = part.name_on(side)
        held = (values.get(name), *more.get(name, ()))
        found = {normalise(value, part.normalize) for value in held}
        parts.append({value for value in found if value is not None})
    if len(parts) == 1:
        return parts[0]
    return {"|".join(map(_escaped, row)) for row in product(*parts)}


def _escaped(text: str) -> str:
    """A part that cannot be mistaken for two once it is joined with others."""
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _exact(text: str) -> str:
    return text


def _casefold(text: str) -> str:
    composed = unicodedata.normalize("NFC", " ".join(text.split()))
    return unicodedata.normalize("NFC", composed.casefold())


def _email(text: str) -> str | None:
    local, at, host = unicodedata.normalize("NFC", text.strip()).rpartition("@")
    if not (local and at and host):
        return None
    return f"{local.lower()}@{_encoded(host)}"


def _domain(text: str) -> str | None:
    """The host of an address or URL; None for a text that names none ("n/a")."""
    rest = _SCHEME.sub("", text.strip(), count=1)
    host = re.split(r"[/?#\\]", rest, maxsplit=1)[0].rpartition("@")[2]
    host = _encoded(_PORT.sub("", host))
    if host.startswith("www.") and "." in host[4:]:
        host = host[4:]
    return host if "." in host and not re.search(r"\s", host) else None


def _encoded(host: str) -> str:
    """A host name as DNS knows it: lower case, IDNA, no dot at the end."""
    host = host.strip().rstrip(".。").lower()
    if len(host) > MAX_HOST:
        return host
    try:
        return idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        return host  # such as a name with an underscore: still a key, as it is


def _phone(text: str) -> str | None:
    """E.164 where the number names its country, with an extension; else its digits.

    Taken again until it stays: a country's own prefix may come off at the second look.
    """
    form: str | None = text
    for _ in range(8):
        before, form = form, _phone_once(form or "")
        if form is None or form == before:
            return form
    return _bare_digits(text)


def _phone_once(text: str) -> str | None:
    plain = unicodedata.normalize("NFKC", text)
    plain = re.sub(r"^\s*tel:", "", plain, flags=re.IGNORECASE)
    if not _INTERNATIONAL.match(plain):
        return _digits(plain)
    plain = re.sub(r"^[\s(]*00", "+", plain, count=1)
    try:
        found = phonenumbers.parse(plain, region=None)
    except phonenumbers.NumberParseException:
        return _bare_digits(plain)
    if not phonenumbers.is_possible_number(found):
        # Of no known length: a country's own prefix cannot be told from the rest.
        return _bare_digits(plain)
    number: str = phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)
    return f"{number}x{found.extension}" if found.extension else number


def _bare_digits(text: str) -> str | None:
    """The digits of what is no number, without zeros that would look like a prefix."""
    return (_digits(text) or "").lstrip("0") or None


def _digits(text: str) -> str | None:
    return "".join(str(unicodedata.decimal(c)) for c in text if c.isdecimal()) or None


_NORMALISERS: dict[str, Callable[[str], str | None]] = {
    "exact": _exact,
    "casefold": _casefold,
    "email": _email,
    "domain": _domain,
    "phone": _phone,
    "digits": _digits,
}
