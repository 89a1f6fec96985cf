"""The byte-pair tokenizer: equal to the library's, lossless, and plain about what it cannot do."""

import json

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.scratch import bpe
from course_lib.scratch.bpe import Tokenizer, TokenizerError, split_words

ENGLISH = "It isn't the tokens, it's  the 12 merges!\n\tWe're where they'll be: there, then, thin.\n"
CHINESE = "房间很干净，服务也好。房间不大，服务很好！早餐不好，2晚都不好。"
signs = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cn"]), max_size=40)
# Few signs, so that ties, runs of one sign and overlapping pairs are common.
crowded = st.lists(st.text(alphabet="ab 好é'", max_size=12), min_size=1, max_size=8).filter(any)


def library(corpus, size, special=("[PAD]",)):
    ByteLevel = tokenizers.pre_tokenizers.ByteLevel
    found = tokenizers.Tokenizer(tokenizers.models.BPE())
    found.pre_tokenizer = ByteLevel(add_prefix_space=False)
    found.decoder = tokenizers.decoders.ByteLevel()
    found.train_from_iterator(corpus, tokenizers.trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(special), initial_alphabet=ByteLevel.alphabet(),
        show_progress=False))
    return found


def merges_of(found):
    ids = found.get_vocab()
    stored = json.loads(found.to_str())["model"]["merges"]
    return [tuple(ids[piece] for piece in pair) for pair in stored]


def words_of(text):
    """The words that the library's pattern finds, as text."""
    pre = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return [text[start:end] for _, (start, end) in pre.pre_tokenize_str(text)]


# --- words ----------------------------------------------------------------------------------


@given(signs)
@settings(max_examples=300, deadline=None)
def test_words_are_the_text_and_the_librarys(text):
    assert "".join(split_words(text)) == text
    assert split_words(text) == words_of(text)


@pytest.mark.parametrize("text", [
    ENGLISH, CHINESE, "a  b   c ", "'s 'll 'x don't DON'T", "½²Ⅷ١२ 3rd x²", "a\u00a0b\u2003c\u3000d\x1ce",
    "na\u0308ive e\u0301", "🐈‍⬛!? …", " ", "\n\n a", ""])
def test_words_of_hard_texts(text):
    assert split_words(text) == words_of(text)


# --- learning -------------------------------------------------------------------------------


@given(crowded, st.integers(257, 300))
@settings(max_examples=150, deadline=None)
def test_merges_ids_and_texts_equal_the_librarys(corpus, size):
    ours, theirs = Tokenizer.train(corpus, size), library(corpus, size)
    assert ours.merges == merges_of(theirs)
    assert len(ours) == theirs.get_vocab_size()
    for text in [*corpus, ENGLISH, CHINESE]:
        ids = ours.encode(text)
        assert ids == theirs.encode(text).ids
        assert ours.decode(ids) == theirs.decode(ids) == text


@pytest.mark.parametrize("special", [(), ("[PAD]",), ("[PAD]", "[UNK]", "<|end|>")])
def test_special_tokens_come_first_as_in_the_library(special):
    ours = Tokenizer.train([ENGLISH, CHINESE], 330, special)
    theirs = library([ENGLISH, CHINESE], 330, special)
    assert ours.merges == merges_of(theirs)
    assert [ours.tokens[i].decode() for i in range(len(special))] == list(special)
    assert ours.encode(ENGLISH) == theirs.encode(ENGLISH).ids


@given(signs)
@settings(max_examples=100, deadline=None)
def test_every_text_comes_back(text):
    ours = Tokenizer.train([ENGLISH, CHINESE], 300)
    assert ours.decode(ours.encode(text)) == text


def test_ties_go_to_the_smaller_ids():
    for corpus in (["xy", "ab"], ["ab", "xy"]):
        assert Tokenizer.train(corpus, 258).tokens[257] == b"ab"


def test_training_stops_where_no_pair_is_left():
    ours = Tokenizer.train(["abc"], 1000)
    assert len(ours) == 257 + 2 and ours.encode("abc") == [258]


def test_counts_of_pairs_equal_a_recount_after_every_merge():
    words = [list(text.encode()) for text in ("aaaa", "banana", "abab", "好好吃饭")]
    counts = [2, 3, 5, 1]
    totals, _ = bpe.count_pairs(words, counts)
    for new in range(256, 262):
        pair = max(totals, key=totals.get)
        for word, times in zip(words, counts):
            won = bpe.merge_pair(word, pair, new, times, totals)
            assert won <= {p for p in zip(word, word[1:]) if new in p} | {(new, new)} | won
        again, _ = bpe.count_pairs(words, counts)
        totals[pair] = 0
        assert {p: c for p, c in totals.items() if c} == dict(again)


def test_a_smaller_vocabulary_is_what_training_would_have_given():
    whole = Tokenizer.train([ENGLISH * 3, CHINESE], 320)
    for size in (257, 280, 320):
        assert whole.smaller(size).merges == Tokenizer.train([ENGLISH * 3, CHINESE], size).merges
        assert len(whole.smaller(size)) == size
    for size in (256, 321):
        with pytest.raises(TokenizerError, match=f"vocab_size {size} must lie between 257 and 320"):
            whole.smaller(size)


def test_the_cache_changes_nothing_and_is_not_handed_out(monkeypatch):
    ours = Tokenizer.train([ENGLISH], 300)
    first = ours.encode("there there")
    first.append(-1)
    assert ours.encode("there there") == first[:-1]
    monkeypatch.setattr(bpe, "CACHED_WORDS", 1)
    assert ours.encode(ENGLISH) == Tokenizer(ours.merges).encode(ENGLISH)


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(("texts", "words"), [
    ([], "corpus is empty"), (["", ""], "corpus is empty"), ("one text", "a list of texts"),
    (["fine", 3], "text 1 is int, not str")])
def test_a_bad_corpus_is_named(texts, words):
    with pytest.raises(TokenizerError, match=words):
        Tokenizer.train(texts, 300)


def test_a_vocabulary_too_small_for_the_bytes_is_refused():
    with pytest.raises(TokenizerError, match="vocab_size 256 is too small: .* need 257"):
        Tokenizer.train(["abc"], 256)


@pytest.mark.parametrize("special", ["[PAD]", ["[PAD]", "[PAD]"], [3]])
def test_bad_special_tokens_are_refused(special):
    with pytest.raises(TokenizerError, match="list of different strings"):
        Tokenizer([], special)


@pytest.mark.parametrize("wrong", [-1, 257, 4096])
def test_an_unknown_id_is_named_with_its_place(wrong):
    with pytest.raises(TokenizerError, match=f"id {wrong} at place 2 is not in the vocabulary of 257"):
        Tokenizer([]).decode([5, 6, wrong])


@pytest.mark.parametrize("wrong", [b"bytes", None, ["list"]])
def test_only_texts_are_encoded(wrong):
    with pytest.raises(TokenizerError, match="takes one text"):
        Tokenizer([]).encode(wrong)


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(TokenizerError, match="surrogate"):
        Tokenizer([]).encode("a\ud800")


def test_text_cannot_make_special_tokens():
    ours = Tokenizer([])
    assert 0 not in ours.encode("[PAD]") and ours.decode(ours.encode("[PAD]")) == "[PAD]"
    assert ours.decode([0]) == "" and ours.decode([0], skip_special=False) == "[PAD]"


def test_a_character_cut_in_two_becomes_the_replacement_sign():
    ours = Tokenizer([])
    assert ours.decode(ours.encode("猫")[:2]) == "\ufffd"
    assert ours.decode(ours.encode("猫")) == "猫"


# --- files ----------------------------------------------------------------------------------


def test_saved_and_loaded_it_is_the_same(tmp_path):
    ours = Tokenizer.train([ENGLISH, CHINESE], 320, ("[PAD]", "[END]"))
    ours.save(tmp_path / "tokens.json")
    back = Tokenizer.load(tmp_path / "tokens.json")
    assert (back.tokens, back.merges, back.special_tokens) == (
        ours.tokens, ours.merges, ours.special_tokens)
    assert back.encode(CHINESE) == ours.encode(CHINESE)


@pytest.mark.parametrize(("content", "words"), [
    (b"\xff\xfe", "not JSON"), (b"{", "not JSON"), (b"[]", "not a tokenizer of format"),
    (b'{"model": {}}', "not a tokenizer of format"),
    (b'{"format": "course-bpe-1", "merges": [[1, 2]]}', "damaged"),
    (b'{"format": "course-bpe-1", "special_tokens": ["[PAD]"], "merges": [[1, 900]]}',
     "damaged .*merge 0 is"),
    (b'{"format": "course-bpe-1", "special_tokens": ["[PAD]"], "merges": [[0, 5]]}', "damaged"),
    (b'{"format": "course-bpe-1", "special_tokens": ["[PAD]"], "merges": [3]}', "damaged")])
def test_a_bad_file_is_named(tmp_path, content, words):
    path = tmp_path / "tokens.json"
    path.write_bytes(content)
    with pytest.raises(TokenizerError, match=f"tokens.json is {words}.*train one"):
        Tokenizer.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TokenizerError, match="nowhere.json cannot be read .*train one"):
        Tokenizer.load(tmp_path / "nowhere.json")
