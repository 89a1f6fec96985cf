"""Byte-pair encoding: text to whole numbers and back (Sennrich et al. 2016, arXiv:1508.07909).

The tokens start as the 256 bytes; again and again the most frequent pair of neighbours becomes a
token of its own. Ids and ties are those of the `tokenizers` library with its byte-level settings:
special tokens come first, then the bytes (printable ones first), then the merges in the order in
which they were learned; of equally frequent pairs the one with the smaller ids is merged first.
"""

from __future__ import annotations

import heapq
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

FORMAT = "course-bpe-1"
PAD = "[PAD]"
CACHED_WORDS = 200_000  # then the cache starts anew

Pair = tuple[int, int]


class TokenizerError(ValueError):
    """A corpus, a text, an id or a file that a tokenizer cannot use; the message says which."""


# --- words ----------------------------------------------------------------------------------

WHITE_SPACE = set("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000")
WHITE_SPACE |= {chr(code) for code in range(0x2000, 0x200B)}


class _Kinds(dict):
    """Code point -> one letter for its kind: L letter, N number, W white space, O other.

    The space, the apostrophe and the letters of English endings stand for themselves.
    """

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        kind = unicodedata.category(letter)[0]
        if letter in " 'strevmld":
            self[code] = letter
        elif letter in WHITE_SPACE:
            self[code] = "W"
        else:
            self[code] = kind if kind in "LN" else "O"
        return self[code]


_KINDS = _Kinds()
# GPT-2's pattern (Radford et al. 2019), on kinds instead of characters.
_WORD = re.compile(
    r"'(?:[stmd]|re|ve|ll)| ?[Lstrevmld]+| ?N+| ?[O']+|[ W]+(?![^ W])|[ W]+"
)


def split_words(text: str) -> list[str]:
    """Cut a text into words; joined, they are the text again.

    A word is a run of letters, of numbers or of other signs, with the one space before it; or
    white space; or an English ending such as 's. No merge ever crosses the end of a word.
    """
    kinds = text.translate(_KINDS)
    return [text[m.start():m.end()] for m in _WORD.finditer(kinds)]


# --- learning -------------------------------------------------------------------------------

# The order of the byte tokens: those that print as one sign of Latin-1 first.
_PRINT = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES = [*_PRINT, *(byte for byte in range(256) if byte not in set(_PRINT))]


def count_pairs(
    words: Sequence[list[int]], counts: Sequence[int]
) -> tuple[dict[Pair, int], dict[Pair, set[int]]]:
    """How often each pair of neighbours occurs, and in which words."""
    totals: dict[Pair, int] = defaultdict(int)
    where: dict[Pair, set[int]] = defaultdict(set)
    for row, word in enumerate(words):
        for pair in zip(word, word[1:]):
            totals[pair] += counts[row]
            where[pair].add(row)
    return totals, where


def merge_pair(
    word: list[int], pair: Pair, new: int,
    count: int, totals: dict[Pair, int],
) -> set[Pair]:
    """Replace a pair by one token in a word, count, return new pairs.

    ``word`` (ids) and ``totals`` are changed; ``count`` says how often the word occurs.
    """
    left, right = pair
    won, i = set(), 0
    while left in word[i:-1]:
        i = word.index(left, i)
        if word[i + 1] == right:
            if i > 0:
                totals[word[i - 1], left] -= count
                totals[word[i - 1], new] += count
                won.add((word[i - 1], new))
            if i + 2 < len(word):
                totals[right, word[i + 2]] -= count
                totals[new, word[i + 2]] += count
                won.add((new, word[i + 2]))
            word[i:i + 2] = [new]
        i += 1
    return won


def learn_merges(
    words: Sequence[list[int]], counts: Sequence[int],
    tokens: list[bytes], size: int, first: int = 0,
) -> list[Pair]:
    """Merge the most frequent pair until there are ``size`` tokens.

    ``words`` hold ids and are changed; ``tokens`` (id -> bytes) grows; ids below ``first`` are no
    text. The heap is lazy: a pair's count there may be too high, never too low, so a pair is put
    back with its true count when it comes to the top.
    """
    totals, where = count_pairs(words, counts)
    ids = {token: i for i, token in enumerate(tokens) if i >= first}
    serial = count()
    heap = [(-totals[p], p, next(serial), rows)
            for p, rows in where.items()]
    heapq.heapify(heap)
    merges = []
    while heap and len(tokens) < size:
        negative, pair, _, rows = heapq.heappop(heap)
        if -negative != totals[pair]:
            heapq.heappush(heap, (-totals[pair], pair, next(serial), rows))
            continue
        if totals[pair] < 1:
            break
        token = tokens[pair[0]] + tokens[pair[1]]
        new = ids.setdefault(token, len(tokens))
        if new == len(tokens):
            tokens.append(token)
        merges.append(pair)
        found = defaultdict(set)
        for row in rows:
            for won in merge_pair(
                    words[row], pair, new, counts[row], totals):
                found[won].add(row)
        for won, rows in found.items():
            heapq.heappush(heap, (-totals[won], won, next(serial), rows))
    return merges


# --- the tokenizer --------------------------------------------------------------------------


class Tokenizer:
    """Merges in the order in which they were learned, and what follows from them.

    ``tokens`` (id -> bytes) holds special tokens, the 256 bytes, and one token a merge.
    """

    def __init__(
        self, merges: Iterable[Pair], special_tokens: Sequence[str] = (PAD,)
    ):
        self.tokens = _first_tokens(special_tokens)
        self.special_tokens = tuple(special_tokens)
        self.merges = [tuple(pair) for pair in merges]
        first = len(self.special_tokens)
        self._byte_id = [0] * 256
        for place, byte in enumerate(BYTES):
            self._byte_id[byte] = first + place
        ids = {token: i for i, token in enumerate(self.tokens) if i >= first}
        self._rank: dict[Pair, int] = {}
        self._merged: list[int] = []
        for rank, pair in enumerate(self.merges):
            self._check_merge(rank, pair, first)
            token = self.tokens[pair[0]] + self.tokens[pair[1]]
            new = ids.setdefault(token, len(self.tokens))
            if new == len(self.tokens):
                self.tokens.append(token)
            self._rank[pair] = rank
            self._merged.append(new)
        self._cache: dict[str, list[int]] = {}

    def _check_merge(self, rank: int, pair: Pair, first: int) -> None:
        known = len(self.tokens)
        fine = len(pair) == 2 and all(
            isinstance(i, int) and first <= i < known for i in pair)
        if not fine:
            raise TokenizerError(
                f"merge {rank} is {pair}, but only ids {first} to {known - 1} are known by then;"
                " train the tokenizer again, or load the file that was saved")

    @classmethod
    def train(
        cls, texts: Iterable[str], vocab_size: int, special_tokens: Sequence[str] = (PAD,)
    ) -> Tokenizer:
        """Learn merges from texts until there are ``vocab_size`` tokens, or no pair is left.

        Raises
        ------
        TokenizerError
            If the texts are one string, not strings, or empty, or the size has no room for the
            256 bytes and the special tokens.
        """
        tokens = _first_tokens(special_tokens)
        if vocab_size < len(tokens):
            raise TokenizerError(
                f"vocab_size {vocab_size} is too small: 256 bytes and {len(special_tokens)}"
                f" special tokens need {len(tokens)}")
        first = len(special_tokens)
        byte_id = {byte: first + place for place, byte in enumerate(BYTES)}
        found = count_words(texts)
        words = [[byte_id[byte] for byte in word.encode("utf-8")] for word in found]
        merges = learn_merges(words, list(found.values()), tokens, vocab_size, first)
        return cls(merges, special_tokens)

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """The ids of a text. No text gives a special token: ``[PAD]`` in a text is five signs."""
        if not isinstance(text, str):
            raise TokenizerError(f"encode takes one text (str), not {type(text).__name__}")
        if len(self._cache) > CACHED_WORDS:
            self._cache.clear()
        ids: list[int] = []
        for word in split_words(text):
            if word not in self._cache:
                self._cache[word] = self._encode_word(word)
            ids += self._cache[word]
        return ids

    def _encode_word(self, word: str) -> list[int]:
        """Apply the earliest merge that fits, leftmost first, and again."""
        try:
            ids = [self._byte_id[byte] for byte in word.encode("utf-8")]
        except UnicodeEncodeError as error:
            raise TokenizerError(
                f"{word!r} holds half of a surrogate pair, which is no text:"
                " read the file with the encoding in which it was written") from error
        rank, never = self._rank, len(self.merges)
        ranks = [rank.get(pair, never) for pair in zip(ids, ids[1:])]
        while ranks and (best := min(ranks)) < never:
            i = ranks.index(best)
            ids[i:i + 2] = [self._merged[best]]
            del ranks[i]
            if i > 0:
                ranks[i - 1] = rank.get((ids[i - 1], ids[i]), never)
            if i < len(ranks):
                ranks[i] = rank.get((ids[i], ids[i + 1]), never)
        return ids

    def decode(self, ids: Iterable[int], skip_special: bool = True) -> str:
        """The text of ids; bytes that are no UTF-8 become the sign U+FFFD.

        Raises ``TokenizerError`` naming the first id that the vocabulary does not have.
        """
        first, pieces = len(self.special_tokens), []
        for place, i in enumerate(ids):
            if not 0 <= i < len(self.tokens):
                raise TokenizerError(
                    f"id {i} at place {place} is not in the vocabulary of {len(self)} tokens"
                    f" (0 to {len(self) - 1}); decode with the tokenizer that made the ids")
            if i >= first or not skip_special:
                pieces.append(self.tokens[i])
        return b"".join(pieces).decode("utf-8", errors="replace")

    def smaller(self, vocab_size: int) -> Tokenizer:
        """The tokenizer that training with a smaller ``vocab_size`` would have given."""
        least = 256 + len(self.special_tokens)
        if not least <= vocab_size <= len(self):
            raise TokenizerError(
                f"vocab_size {vocab_size} must lie between {least} and {len(self)}")
        known, kept = least, 0
        while known < vocab_size:
            known = max(known, self._merged[kept] + 1)
            kept += 1
        return Tokenizer(self.merges[:kept], self.special_tokens)

    def save(self, path: str | Path) -> None:
        """Write the tokenizer as JSON."""
        content = {"format": FORMAT, "special_tokens": self.special_tokens, "merges": self.merges}
        Path(path).write_text(json.dumps(content, ensure_ascii=False), "utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Read what ``save`` wrote; ``TokenizerError`` says what is wrong with the file."""
        again = "save a tokenizer there first, or train one"
        try:
            content = json.loads(Path(path).read_text("utf-8"))
        except OSError as error:
            raise TokenizerError(f"{path} cannot be read ({error.strerror}): {again}") from None
        except ValueError as error:
            raise TokenizerError(f"{path} is not JSON in UTF-8 ({error}): {again}") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise TokenizerError(f"{path} is not a tokenizer of format {FORMAT!r}: {again}")
        try:
            merges, special = content["merges"], content["special_tokens"]
            return cls([tuple(pair) for pair in merges], special)
        except (KeyError, TypeError, TokenizerError) as error:
            raise TokenizerError(f"{path} is damaged ({error}): {again}") from None


def _first_tokens(special_tokens: Sequence[str]) -> list[bytes]:
    """The special tokens and the 256 bytes, in the order of their ids."""
    fine = not isinstance(special_tokens, str) and all(isinstance(t, str) for t in special_tokens)
    if not fine or len(set(special_tokens)) != len(special_tokens):
        raise TokenizerError(
            f"special_tokens must be a list of different strings, not {special_tokens!r}")
    return [t.encode("utf-8") for t in special_tokens] + [bytes([byte]) for byte in BYTES]


def count_words(texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs in the texts.

    Raises ``TokenizerError`` where the texts are one string, not strings, or hold no word.
    """
    if isinstance(texts, str):
        raise TokenizerError("give a list of texts, not one string: [text]")
    found: Counter[str] = Counter()
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise TokenizerError(f"text {row} is {type(text).__name__}, not str")
        found.update(split_words(text))
    if not found:
        raise TokenizerError("the corpus is empty: give at least one text that is not empty")
    return found
