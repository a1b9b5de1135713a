"""What fuzz tests share: texts that break programs, runs that repeat, and a limit on how long one may take."""

import signal
from contextlib import contextmanager

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

#: Every run draws the same examples, so that a failure on one machine is a failure on all.
SETTINGS = {
    "derandomize": True,
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}


class HangError(BaseException):
    """Something took longer than it may; no ``except Exception`` swallows it."""


@contextmanager
def within(seconds):
    def stop(number, frame):
        raise HangError(f"still running after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def runs(n):
    return settings(max_examples=n, **SETTINGS)


SIMPLE = (
    *("", " ", "\t", "\r", "\n", "\r\n", "\n\n", "\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u2028", "\u2029"),
    *(
        "\0",
        "\x01",
        "\x1b[31m",
        "\x7f",
        "\ufeff",
        "\ufffe",
        "\u200b",
        "\u200d",
        "\u202e",
        "\ufdd0",
        "\U0010ffff",
    ),
    *(
        "שלום עולם.",
        "السلام عليكم؟",
        "مرحبا\u200f abc",
        "नमस्ते।",
        "こんにちは。",
        "e\u0301" * 30,
        "ﷺ",
        "ß" * 9,
    ),
    *("👩‍👩‍👧‍👦", "🏳️‍🌈 🇺🇳", "👍🏽" * 5, "\ud83d", "\udc80", "\ud83d\ude00", "a\udcff"),
    *(
        "NaN",
        "null",
        "None",
        "-1",
        "1e999",
        "{}",
        "[]",
        '"',
        "'",
        ",",
        ";",
        '"a',
        'a"b,c',
        "=1+1",
        "\\",
        "\\u0000",
    ),
    *(
        "<s>",
        "</s>",
        "<pad>",
        "<unk>",
        "[CLS] [SEP]",
        "<|endoftext|>",
        "%s %n {0} {text}",
        "[/bold]",
        "../..",
    ),
    *(
        "The river rose.",
        "Snow fell. It was dark!",
        "...",
        "?!?!",
        ". . . .",
        "Dr. A. I. e.g. 3.5.",
        "x" * 600,
    ),
)
#: Texts that are too long to be drawn often.
HUGE = (
    "the river rose " * 70_000,
    "x" * 1_000_000,
    "." * 300_000,
    " " * 1_000_000 + "a",
    "\n" * 200_000 + "snow",
    "e.g. " * 100_000,
    "\u0301" * 200_000,
    "👩‍👩‍👧‍👦" * 40_000,
    "“" * 200_000,
    "Is it? " * 100_000,
    "." * 300_000 + "x",
    ". " * 200_000 + "x",
    "?!" * 150_000 + "x",
    '."' * 150_000 + "x",
    "." + '"' * 300_000 + "x",
    "\n " * 200_000 + "x",
    "1.\n" * 100_000,
)


def texts():
    """Single texts, from plain to malformed."""
    simple = st.sampled_from(SIMPLE)
    joined = st.lists(st.one_of(simple, st.sampled_from([" ", "the sea was dark", ". "])), max_size=6).map(
        "".join
    )
    drawn = st.text(st.characters(), max_size=40)
    return st.one_of(simple, joined, drawn)
