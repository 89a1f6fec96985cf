"""Vocabulary size against length, for English and Chinese, by the text that it was learned on.

Byte-pair encodings are learned on 150,000 characters: of English Wikipedia articles, of Chinese
reviews, or half and half. Each is cut back to several sizes (merges are learned in order, so a
smaller vocabulary is the beginning of a larger one) and measured on the first 20,000 characters of
the test articles and of the test reviews, none of which it has seen. Each seed draws other
training texts.
"""

from functools import lru_cache

from course_lib.data import load
from course_lib.data.texts import draw_texts
from course_lib.scratch.bpe import Tokenizer

CONFIG = {"characters": 150_000, "largest": 8192, "test_characters": 20_000}
BAND = {"english": 0.02, "chinese": 0.03}  # tokens a character
FRAMEWORKS = ("numpy",)


def rows():
    return [{"learned_on": learned_on, "tokens": tokens}
            for learned_on in ("english", "chinese", "both")
            for tokens in (257, 512, 1024, 2048, 4096, 8192)]


@lru_cache(maxsize=None)
def training():
    return load("wikipedia").train, load("chinese-reviews").text_train


@lru_cache(maxsize=None)
def tokenizer(learned_on, characters, largest, seed):
    english, chinese = training()
    texts = {
        "english": lambda: draw_texts(english, characters, seed),
        "chinese": lambda: draw_texts(chinese, characters, seed),
        "both": lambda: (draw_texts(english, characters // 2, seed)
                         + draw_texts(chinese, characters // 2, seed)),
    }
    return Tokenizer.train(texts[learned_on](), largest)


@lru_cache(maxsize=None)
def unseen(characters):
    return {"english": "\n".join(load("wikipedia").test)[:characters],
            "chinese": "\n".join(load("chinese-reviews").text_test)[:characters]}


def run(config, seed, framework):
    whole = tokenizer(config["learned_on"], config["characters"], config["largest"], seed)
    cut = whole.smaller(config["tokens"])
    texts = unseen(config["test_characters"])
    return {name: len(cut.encode(text)) / len(text) for name, text in texts.items()}
