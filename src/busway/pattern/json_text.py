"""JSON read token by token from text, keeping what a parsed tree loses: literal numbers, repeated names, positions.

Works as Jackson's streaming parser does, since AWS's messages carry Jackson's wording and Jackson's idea of "how far
the text was read": a string is consumed only to its first character until somebody asks for its text, and after a
name the colon and the first character of the value are consumed too. Slow (about 1 MB/s): events go through here only
when `event_tree` must look closer. Iterative: depth costs no Python stack.
"""

from __future__ import annotations

import re
from typing import Literal, NoReturn

from busway.errors import MalformedJson

Kind = Literal["{", "}", "[", "]", "name", "string", "number", "true", "false", "null", "end"]

# Jackson's own limit since 2.15 (StreamReadConstraints).
DEPTH_MAX = 1_000
# Jackson quotes at most this much of the text in a location.
SNIPPET_CHARS_MAX = 500

_SPACE = re.compile(r"[ \t\r\n]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?")
_LEADING_ZERO = re.compile(r"-?0[0-9]")
_WORD = re.compile(r"[\w$]+")
# To its end, or to where the text breaks off.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_LINE_END = re.compile(r"\r\n?|\n")
_BEYOND_16_BITS = re.compile("[\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERALS: dict[str, Kind] = {"true": "true", "false": "false", "null": "null"}
_VALUES = "JSON String, Number, Array, Object or token 'null', 'true' or 'false'"


def location(text: str, consumed: int) -> str:
    """Where in `text` the reader was, in Jackson's words; `consumed` counts characters, lines and columns from 1.

    Columns, and what is cut off, count as Java does: a character beyond U+FFFF is two.
    """
    # A line ends only between tokens, not where a string was broken off by what may not stand in it.
    strings_blank = _STRING.sub(lambda string: "_" * len(string[0]), text[:consumed])
    line_starts = [0, *(end.end() for end in _LINE_END.finditer(strings_blank))]
    column = _java_length(text[line_starts[-1] : consumed]) + 1
    cut = _java_length(text) - SNIPPET_CHARS_MAX
    truncated = f"[truncated {cut} chars]" if cut > 0 else ""
    return f'[Source: (String)"{_snippet(text)}"{truncated}; line: {len(line_starts)}, column: {column}]'


def _java_length(text: str) -> int:
    return len(text) + len(_BEYOND_16_BITS.findall(text))


def _snippet(text: str) -> str:
    """The beginning of `text`; of a character cut in two nothing, as its half would be no text."""
    cut = text[:SNIPPET_CHARS_MAX]
    while _java_length(cut) > SNIPPET_CHARS_MAX:
        cut = cut[:-1]
    return cut


class Tokens:
    """A cursor over one JSON value. `kind` is the current token, `consumed` how many characters were read so far.

    Text after the value is never looked at. Raises `MalformedJson` where the text stops being JSON.
    """

    def __init__(self, text: str) -> None:
        self.source = text
        self.kind: Kind = "end"
        self.consumed: int = 0
        self._open: list[tuple[str, int]] = []  # brackets not yet closed, with their positions
        self._text = ""
        self._lazy = False  # the current string was consumed only up to its opening quote
        # The value behind a name, already begun: its kind, its text and whether that is still to be read.
        self._value: tuple[Kind, str, bool] | None = None
        self._first = True  # no member or element of the innermost bracket was read yet

    def next(self) -> Kind:
        """Move to the next token and return its kind; "end" after the value."""
        if self._value is not None:
            (self.kind, self._text, self._lazy), self._value = self._value, None
            self._enter()
            return self.kind
        if self._lazy:
            self._finish_string()
        if not self._open:
            self.kind = self._begin_value() if self._at_start() else "end"
        elif self._open[-1][0] == "{":
            self.kind = self._begin_member()
        else:
            self.kind = self._begin_element()
        self._enter()
        return self.kind

    def text(self) -> str:
        """The decoded string or name, the literal text of a number, or the token itself."""
        if self._lazy:
            self._finish_string()
        return self._text

    def _at_start(self) -> bool:
        return self.consumed == 0 and bool(self.source.strip(" \t\r\n"))

    def _enter(self) -> None:
        if self.kind in ("{", "["):
            self._first = True
            self._open.append((self.kind, self.consumed - 1))
            if len(self._open) > DEPTH_MAX:
                limit = f"({DEPTH_MAX}, from `StreamReadConstraints.getMaxNestingDepth()`)"
                self._fail(f"Document nesting depth ({len(self._open)}) exceeds the maximum allowed {limit}")
        elif self.kind in ("}", "]"):
            self._open.pop()
            self._first = False
        elif self.kind != "name":
            self._first = False

    def _begin_member(self) -> Kind:
        char = self._peek()
        if char == "}":
            return self._bracket("}")
        if not self._first:
            if char != ",":
                self._unexpected(char, "was expecting comma to separate Object entries")
            self.consumed += 1
            char = self._peek()
        if char != '"':
            self._unexpected(char, "was expecting double-quote to start field name")
        self.consumed += 1
        self._finish_string("name")
        name = self._text
        char = self._peek()
        if char != ":":
            self._unexpected(char, "was expecting a colon to separate field name and value")
        self.consumed += 1
        self._value = (self._begin_value(), self._text, self._lazy)
        self._text, self._lazy = name, False
        return "name"

    def _begin_element(self) -> Kind:
        char = self._peek()
        if char == "]":
            return self._bracket("]")
        if not self._first:
            if char != ",":
                self._unexpected(char, "was expecting comma to separate Array entries")
            self.consumed += 1
        return self._begin_value()

    def _begin_value(self) -> Kind:
        char = self._peek()
        if char == '"':
            self.consumed += 1
            self._lazy = True
            return "string"
        if char == "{" or char == "[":
            return self._bracket(char)
        if char in "-0123456789":
            return self._number()
        return self._word(char)

    def _bracket(self, char: Literal["{", "}", "[", "]"]) -> Kind:
        self.consumed += 1
        self._text = char
        return char

    def _number(self) -> Kind:
        found = NUMBER.match(self.source, self.consumed)
        if found is None:
            self.consumed += 1  # the minus sign
            self._bad_number("expected digit (0-9) to follow minus sign, for valid numeric value")
        text = found.group()
        self.consumed = found.end()
        if _LEADING_ZERO.match(text):
            self.consumed = found.start() + text.index("0") + 1
            self._fail("Invalid numeric value: Leading zeroes not allowed")
        if text[-1] == "." or ".e" in text.lower():
            self._bad_number("Decimal point not followed by a digit")
        if text[-1] in "eE+-":
            self._bad_number("Exponent indicator not followed by a digit")
        self._text = text
        return "number"

    def _word(self, char: str) -> Kind:
        found = _WORD.match(self.source, self.consumed)
        if found is None:
            if char == "+":
                flag = "`JsonReadFeature.ALLOW_LEADING_PLUS_SIGN_FOR_NUMBERS`"
                self._bad_number(f"JSON spec does not allow numbers to have plus signs: enable {flag} to allow")
            self._unexpected(char, f"expected a valid value ({_VALUES})")
        self.consumed = found.end()
        word = found.group()
        if word in ("NaN", "Infinity", "INF"):
            flag = "`JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS`"
            self._fail(f"Non-standard token '{word}': enable {flag} to allow")
        if word not in _LITERALS:
            self._fail(f"Unrecognized token '{word}': was expecting ({_VALUES})")
        self._text = word
        return _LITERALS[word]

    def _finish_string(self, what: Literal["string", "name"] = "string") -> None:
        """Read to the closing quote. Surrogate escapes are joined in pairs; a lone one stays as it is."""
        self._lazy = False
        parts: list[str] = []
        source = self.source
        while True:
            plain = _PLAIN.match(source, self.consumed)
            assert plain is not None  # it matches the empty text too
            parts.append(plain.group())
            self.consumed = plain.end()
            char = source[self.consumed : self.consumed + 1]
            if not char:
                if what == "name":
                    self._fail("Unexpected end-of-input in field name")
                self._fail("Unexpected end-of-input: was expecting closing '\"' for a string value")
            self.consumed += 1
            if char == '"':
                break
            if char != "\\":
                where = "string value" if what == "string" else "name"
                wanted = f"has to be escaped using backslash to be included in {where}"
                self._fail(f"Illegal unquoted character ((CTRL-CHAR, code {ord(char)})): {wanted}")
            parts.append(self._escape())
        text = "".join(parts)
        if _SURROGATE.search(text):
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        self._text = text

    def _escape(self) -> str:
        char = self.source[self.consumed : self.consumed + 1]
        if not char:
            self._fail("Unexpected end-of-input in character escape sequence")
        self.consumed += 1
        if char == "u":
            found = _HEX.match(self.source, self.consumed)
            if found is None:
                bad = self.source[self.consumed : self.consumed + 1] or " "
                self._unexpected(bad, "expected a hex-digit for character escape sequence")
            self.consumed = found.end()
            return chr(int(found.group(), 16))
        if char not in _ESCAPES:
            self._fail(f"Unrecognized character escape '{char}' (code {ord(char)})")
        return _ESCAPES[char]

    def _peek(self) -> str:
        """The next character that is not white space; fails at the end of the text."""
        found = _SPACE.match(self.source, self.consumed)
        assert found is not None
        self.consumed = found.end()
        if self.consumed == len(self.source):
            # Never outside all brackets: `next` asks for a root value only where there is something.
            bracket, start = self._open[-1]
            noun = "Object" if bracket == "{" else "Array"
            marker = location(self.source, start)
            self._fail(f"Unexpected end-of-input: expected close marker for {noun} (start marker at {marker})")
        return self.source[self.consumed]

    def _unexpected(self, char: str, wanted: str) -> NoReturn:
        code = ord(char)
        if char == "/":
            wanted = (
                "maybe a (non-standard) comment? "
                "(not recognized as one since Feature 'ALLOW_COMMENTS' not enabled for parser)"
            )
        if code < 32:
            space = "only regular white space (\\r, \\n, \\t) is allowed between tokens"
            self._fail(f"Illegal character ((CTRL-CHAR, code {code})): {space}")
        self._fail(f"Unexpected character ('{char}' (code {code})): {wanted}")

    def _bad_number(self, wanted: str) -> NoReturn:
        char = self.source[self.consumed : self.consumed + 1]
        if not char:
            self._fail("Unexpected end-of-input in numeric value")
        self._fail(f"Unexpected character ('{char}' (code {ord(char)})) in numeric value: {wanted}")

    def _fail(self, reason: str) -> NoReturn:
        raise MalformedJson(reason, self.consumed)
