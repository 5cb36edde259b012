import unittest

from textkit import slugify


class SlugTest(unittest.TestCase):
    def test_words_are_joined_by_hyphens(self):
        self.assertEqual(slugify("Hello World"), "hello-world")

    def test_punctuation_is_left_out(self):
        self.assertEqual(slugify("Hello, World!"), "hello-world")

    def test_several_spaces_make_one_hyphen(self):
        self.assertEqual(slugify("Hello   wide  World"), "hello-wide-world")
