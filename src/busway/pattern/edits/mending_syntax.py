"""Text that is nearly JSON, as JSON: what people write who know JavaScript, Python or YAML better."""

from __future__ import annotations

import re

# A string with its quotes, a comment, or one character.
_PIECE = re.compile(
    r"""(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<single>'(?:[^'\\\n]|\\.)*')|(?P<comment>//[^\n]*|\#[^\n]*|/\*.*?\*/)"""
    r"""|(?P<word>[A-Za-z_$@][\w$.-]*)|(?P<number>-?[0-9][\w.+-]*)|(?P<space>\s+)|(?P<other>.)""",
    re.DOTALL,
)
_CURLY_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'"})
_WORDS = {"True": "true", "False": "false", "None": "null", "undefined": "null"}
_CLOSERS = {"{": "}", "[": "]"}
_ESCAPED_QUOTE = re.compile(r"\\(.)", re.DOTALL)


def mended_json(text: str) -> str:
    """Quotes straight and double, names quoted, no comments, no comma too many or too few, brackets closed."""
    pieces = list(_PIECE.finditer(text.translate(_CURLY_QUOTES) if '"' not in text else text))
    out: list[str] = []
    opened: list[str] = []
    for at, piece in enumerate(pieces):
        kind, written = piece.lastgroup or "other", piece[0]
        if kind == "comment":
            continue
        if kind == "space":
            out.append(written)
            continue
        if kind == "other" and written in "}]":
            _drop_comma(out)
            if not opened:
                break
            if _CLOSERS[opened[-1]] != written and written not in (_CLOSERS[one] for one in opened):
                continue
            while _CLOSERS[opened[-1]] != written:
                out.append(_CLOSERS[opened.pop()])
            opened.pop()
            out.append(written)
            continue
        names = _before_colon(pieces, at)
        if names and opened[-2:] == ["{", "["]:
            # A name inside a list: its bracket is missing.
            _drop_comma(out)
            out.append(_CLOSERS[opened.pop()])
        if _begins_value(kind, written) and _ended_value(out):
            out.append(", ")
        if kind == "other" and written in "{[":
            opened.append(written)
        out.append(_mended_piece(kind, written, names))
    _drop_comma(out)
    out.extend(_CLOSERS[one] for one in reversed(opened))
    return "".join(out)


def _before_colon(pieces: list[re.Match[str]], at: int) -> bool:
    """Whether a piece is a name: a colon follows it, on this line or a later one."""
    if pieces[at].lastgroup not in ("string", "single", "word"):
        return False
    following = (piece[0] for piece in pieces[at + 1 :] if piece.lastgroup not in ("space", "comment"))
    return next(following, "") == ":"


def _mended_piece(kind: str, written: str, names: bool) -> str:
    if kind == "single":
        inner = _ESCAPED_QUOTE.sub(lambda found: found[1] if found[1] == "'" else found[0], written[1:-1])
        return '"' + inner.replace('"', '\\"') + '"'
    if kind == "word":
        word = _WORDS.get(written, written)
        return word if word in ("true", "false", "null") and not names else f'"{word}"'
    return written


def _begins_value(kind: str, written: str) -> bool:
    return kind in ("string", "single", "word", "number") or written in ("{", "[")


def _ended_value(out: list[str]) -> bool:
    last = next((piece for piece in reversed(out) if piece.strip()), "")
    return bool(last) and (last[-1] in '}]"' or last[-1].isalnum())


def _drop_comma(out: list[str]) -> None:
    for at in range(len(out) - 1, -1, -1):
        if out[at].strip():
            if out[at].strip() == ",":
                del out[at]
            return
