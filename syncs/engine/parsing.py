"""Read numbers, truths, dates and times from the ways that systems and people write them.

Every function here takes text or a driver's value and gives one canonical form
(`connections.records`); what cannot be read is a `ValueProblem`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Context, Decimal

from connections.catalogue import Code

MAX_EXPONENT = 1000  # digits before or after the point; keeps 1e999999999 from growing
# PostgreSQL rounds half away from zero, and so do people.
_EXACT = Context(prec=4 * MAX_EXPONENT, rounding=ROUND_HALF_UP)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,9})?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_EPOCH_MS = re.compile(r"-?\d{1,18}", re.ASCII)
_MOMENT = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})[T ](?P<clock>\d{2}:\d{2}(:\d{2})?)"
    r"([.,](?P<fraction>\d+))? ?(?P<zone>Z|UTC|GMT|[+-]\d{2}(:?\d{2}){0,2})?",
    re.ASCII | re.IGNORECASE,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0"})
_SHOWN = 60  # characters of a value in a message


class ValueProblem(Exception):
    """A value that cannot be read, or that its target cannot hold.

    `code` is one of the catalogue's, `message` a sentence that shows the value.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def shown(value: object) -> str:
    """A value as messages show it: quoted, short, and printable whatever it holds."""
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…")


def invalid(value: object, why: str) -> ValueProblem:
    return ValueProblem(Code.VALUE_INVALID, f"{shown(value)} {why}.")


def checked_text(text: str) -> str:
    """Text as it is, unless no database and no JSON could keep it."""
    if "\x00" in text:
        raise invalid(text, "holds a NUL character, which cannot be stored")
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise invalid(text, "holds half a character (a lone surrogate)")
    return text


def number(raw: str | float | Decimal, scale: int | None) -> str:
    """A number as a plain decimal, rounded half up to `scale` digits after the point."""
    if isinstance(raw, str):
        if not _NUMBER.fullmatch(raw.strip()):
            raise invalid(raw, "is not a number")
        value = Decimal(raw.strip())
    else:
        # A float's own shortest form: 0.1 is 0.1, not what binary makes of it.
        value = Decimal(repr(raw)) if isinstance(raw, float) else Decimal(raw)
    if not value.is_finite():
        raise invalid(raw, "is not a number that can be stored")
    if value and abs(value.adjusted()) > MAX_EXPONENT:
        raise invalid(raw, "is too large or too small a number")
    if len(value.as_tuple().digits) > 2 * MAX_EXPONENT:
        raise invalid(raw, "has too many digits")
    if scale is not None and value:
        value = value.quantize(Decimal(1).scaleb(-scale), context=_EXACT)
    return format(value.normalize(_EXACT), "f") if value else "0"


def boolean(raw: str | float | Decimal) -> bool:
    word = str(raw).strip().casefold()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise invalid(raw, "is neither true nor false")


def day(raw: str | float | Decimal | date, *, epoch: bool) -> str:
    """A date; a time's date is the one in UTC.

    Args: epoch, whether digits alone are milliseconds since 1970 (HubSpot's own form).
    """
    if isinstance(raw, date) and not isinstance(raw, datetime):
        return raw.isoformat()
    if isinstance(raw, str) and _DAY.fullmatch(raw.strip()):
        try:
            return date.fromisoformat(raw.strip()).isoformat()
        except ValueError:
            raise invalid(raw, "is not a date of the calendar") from None
    try:
        return moment(raw, UTC, epoch=epoch)[:10]
    except ValueProblem:
        raise invalid(raw, "is not a date that can be stored") from None


def moment(raw: str | float | Decimal | date, zone: tzinfo, *, epoch: bool) -> str:
    """A time in UTC, cut to milliseconds as HubSpot keeps them.

    Args: zone, of a time that names none; epoch, as for `day`. A date is its midnight in
    UTC, and of a local time that a clock change repeats, the first is meant.
    """
    try:
        at = _moment(raw, epoch=epoch)
        utc = (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise invalid(raw, "is not a time that can be stored") from None
    # Cut, not rounded: the same value is read back tomorrow, whoever keeps more digits.
    return utc.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _moment(raw: str | float | Decimal | date, *, epoch: bool) -> datetime:
    if isinstance(raw, datetime):
        return raw
    if isinstance(raw, date):
        return datetime(raw.year, raw.month, raw.day, tzinfo=UTC)
    text = raw.strip() if isinstance(raw, str) else str(int(raw))
    if epoch and _EPOCH_MS.fullmatch(text):
        return _EPOCH + timedelta(milliseconds=int(text))
    if _DAY.fullmatch(text):
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError(text)
    zone = (found["zone"] or "").upper()
    zone = "+00:00" if zone in ("Z", "UTC", "GMT") else zone
    fraction = f".{found['fraction'][:6]:0<6}" if found["fraction"] else ""
    clock = found["clock"] if found["clock"].count(":") == 2 else f"{found['clock']}:00"
    return datetime.fromisoformat(f"{found['day']}T{clock}{fraction}{zone}")
