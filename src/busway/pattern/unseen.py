"""Characters that nobody sees in a text: spaces of no width, spaces that do not break, letters and accents apart."""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = re.compile(
    "[\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u180b-\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0]"
)


def escaped(text: str) -> str:
    """JSON text, or a path, in which one sees them: a space of no width as `\\u200b`."""
    if text.isascii():
        return text
    text = _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if unicodedata.is_normalized("NFC", text):
        return text
    return "".join(f"\\u{ord(each):04x}" if _accent(each) else each for each in text)


def as_seen(text: str) -> str:
    """The text as it looks: two that look the same become equal."""
    plain = _UNSEEN.sub(lambda found: " " if found[0].isspace() else "", text)
    return unicodedata.normalize("NFC", plain)


def _accent(char: str) -> bool:
    return char <= "\uffff" and unicodedata.combining(char) > 0
