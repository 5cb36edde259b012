import unittest

from textkit import shorten


class ShortenTest(unittest.TestCase):
    def test_a_short_text_stays(self):
        self.assertEqual(shorten("short", 10), "short")

    def test_a_long_text_ends_with_an_ellipsis(self):
        self.assertEqual(shorten("a long text", 6), "a lon…")
