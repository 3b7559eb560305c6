from typing import final

from typing_extensions import Buffer

__all__ = ["InvalidEvent", "InvalidPattern", "Matcher", "__version__"]

__version__: str

class InvalidPattern(ValueError):
    """An event pattern that does not compile."""

    reason: str
    """What is wrong, in a few words of the matcher's own, not AWS's."""
    path: str
    """The field or object that is wrong, its names joined by dots; "" where it is the pattern as a whole."""
    position: int | None
    """At which byte of the text, in UTF-8 and from 0, it was seen to be no JSON; None where it is JSON."""

class InvalidEvent(ValueError):
    """A text that should be an event but is not a JSON object."""

    reason: str
    """What is wrong, in a few words."""
    position: int
    """At which byte of the text, in UTF-8 and from 0, that was seen."""

@final
class Matcher:
    """Many event patterns, asked at once.

    Safe for use by several threads; matching an event of 4 KiB or more lets other Python threads run. Without
    patterns it is false, as other containers are.
    """

    def __new__(cls) -> Matcher: ...
    def add(self, id: str, pattern: str | Buffer) -> None:
        """Take a pattern in under `id`, in place of the one it had.

        Raises `InvalidPattern`, and then changes nothing. An id with half of a surrogate pair can't be kept:
        `UnicodeEncodeError`, which is a `ValueError` too.
        """

    def remove(self, id: str) -> None:
        """Forget an id; an unknown one changes nothing."""

    def match(self, event: str | Buffer) -> list[str]:
        """The ids whose pattern matches, each once, in no promised order. Raises `InvalidEvent`."""

    def memory_bytes(self) -> int:
        """Bytes that the patterns take, about, and the room that matches have left for those to come.

        Room for patterns that were removed is kept for others. What a match takes that is under way is not counted;
        it keeps at most 4 MiB for the next one, and what grows with the patterns.
        """

    def __len__(self) -> int: ...
    def __contains__(self, id: object, /) -> bool:
        """Whether a pattern is kept under `id`."""
