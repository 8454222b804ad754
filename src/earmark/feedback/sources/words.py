"""The words of a comment, and nothing else of it: a text may hold what nobody may keep."""

import re
import unicodedata

from earmark.feedback.event import LONGEST_WORD

SHORTEST = 3  # letters; of scripts that write vowels as marks, letters and marks
# Addresses of pages and of people, and names as networks write them; whole, before words are looked for. Every piece
# has a longest length, so that a text takes as long as it is and no longer.
_ADDRESSES = re.compile(
    r"""(?ix)
        \b [a-z][a-z0-9+.-]{1,20} :// \S+    # https://…
      | \b www\. \S+
      | [^\s@]{1,64} @ \S+                  # somebody@example.org
      | [@＠] [\w.]+                        # @somebody
      | \b (?: [\w-]{1,63} \. ){1,6} (?: com|org|net|info|io|de|fr|uk|ru|jp|cn|tv|me|gg|ly|be|co ) \b (?: /\S* )?
    """
)
_APOSTROPHES = re.compile("(?<=\\w)['’](?=\\w)")
# Scripts that write no spaces: what stands between two is a sentence, which nobody here can take apart.
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")


def names_somebody(text: str) -> bool:
    """Whether an address of a page or a person stands in a text, or a name as networks write it.

    Example:
        >>> names_somebody("by @anna"), names_somebody("calm")
        (True, False)
    """
    return _ADDRESSES.search(text) is not None


def words_of(text: str) -> tuple[str, ...]:
    """The distinct words of a text, in small letters, in order; those with a digit are none.

    Example:
        >>> words_of("So SAD, so slow … mail me@example.org or see https://example.org/x")
        ('sad', 'slow', 'mail', 'see')
    """
    text = _APOSTROPHES.sub("", unicodedata.normalize("NFC", _ADDRESSES.sub(" ", text)).lower())
    spaced = "".join(letter if unicodedata.category(letter)[0] in "LMN" or letter == "_" else " " for letter in text)
    return tuple(dict.fromkeys(word for word in spaced.split() if _is_word(word)))


def _is_word(word: str) -> bool:
    kinds = [unicodedata.category(letter)[0] for letter in word]
    return (
        SHORTEST <= len(word) <= LONGEST_WORD
        and "L" in kinds
        and set(kinds) <= {"L", "M"}
        and (word.isascii() or not any(unicodedata.name(letter, "").startswith(_UNSPACED) for letter in word))
    )
