"""Masks secrets in text that leaves the process: log lines, errors, answers kept."""

from __future__ import annotations

import logging
import re

MASK = "***"

# Each pattern's first group, where it has one, is kept: it says what was masked.
_PATTERNS = (
    # An Authorization header, however it was printed.
    re.compile(r"(?i)\b((?:bearer|basic|token)\s+)[\w.~+/=-]{8,}"),
    re.compile(
        r"(?i)(x-cybozu-(?:api-token|authorization)['\"]?\s*[:=]\s*['\"]?)[^\s'\"]+"
    ),
    # HubSpot and Airtable tokens, Notion's secrets.
    re.compile(r"\b(pat-)(?:\w+-)*[0-9a-f-]{8,}\b", re.IGNORECASE),
    re.compile(r"\b(pat)[A-Za-z0-9]{14}\.[0-9a-f]{16,}\b"),
    re.compile(r"\b(ntn_|secret_)[A-Za-z0-9]{16,}\b"),
    # The password of a URL: scheme://user:password@host. It may itself hold an "@".
    re.compile(r"(\b[a-zA-Z][\w+.-]{0,30}://[^\s:/@]*:)[^\s/]+(?=@)"),
    # libpq's keyword form, JSON members and query parameters.
    re.compile(
        r"(?i)(\b(?:password|passwd|pgpassword|secret|client_secret|api_?key|api_?tokens?"
        r"|(?:access|refresh)_token|token|hapikey)['\"]?\s*[:=]\s*['\"]?)"
        r"[^\s'\",;&}{\[\]]+"
    ),
    # A Fernet key, or a Fernet token (which starts with the version byte 0x80).
    re.compile(r"(?<![\w-])[\w-]{43}=(?![\w=])"),
    re.compile(r"(?<![\w-])gAAAA[\w-]{60,}={0,2}"),
)


def redact(text: str) -> str:
    """Mask what looks like a secret.

    Args: text, anything about to be logged, shown or stored.
    Returns: the text with tokens, passwords and keys replaced by ***.
    """
    for pattern in _PATTERNS:
        text = pattern.sub(_keep_label, text)
    return text


def _keep_label(match: re.Match[str]) -> str:
    return (match.group(1) if match.re.groups else "") + MASK


class RedactFilter(logging.Filter):
    """Masks a log record's message and its traceback before a handler prints them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place; nothing is ever held back."""
        record.msg, record.args = redact(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True
