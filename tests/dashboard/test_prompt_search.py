"""The search of the page of prompts: while typing, by a plain form, and what it says when nothing fits."""

import re
from html import unescape

from django.test import Client

from tests.dashboard.world import World
from tests.factories.prompts import PromptFactory, prompt_with_version

ADDRESS = "/a/northwind/prompts/"


def test_a_hit_is_marked_and_everything_else_escaped(world: World, bob: Client):
    prompt_with_version(account=world.account, template="Beware of <script>zebras</script> & lions.")
    page = bob.get(ADDRESS, {"text": "zebra"}).content.decode()

    assert "Beware of &lt;script&gt;<mark>zebras</mark>&lt;/script&gt; &amp; lions" in page
    assert "1 prompt, the best first." in page


def test_the_hit_leads_to_the_version_that_has_it(world: World, bob: Client):
    in_use = bob.get(ADDRESS, {"text": "failing"}).content.decode()
    every = bob.get(ADDRESS, {"text": "solve", "versions": "all"}).content.decode()

    assert "<mark>fails</mark>" in in_use
    assert f"{ADDRESS}{world.prompt.pk}/?version=2" in in_use
    assert [f"{ADDRESS}{world.prompt.pk}/?version={number}" in every for number in (1, 2)] == [True, True]
    assert '<option value="all" selected>' in every


def test_while_typing_only_the_rows_are_sent(world: World, bob: Client):
    part = bob.get(ADDRESS, {"text": "fail"}, headers={"HX-Request": "true"}).content.decode()
    whole = bob.get(
        ADDRESS, {"text": "fail"}, headers={"HX-Request": "true", "HX-History-Restore-Request": "true"}
    ).content.decode()

    assert ("<html" in part, "<html" in whole) == (False, True)
    assert "<mark>fails</mark>" in part


def test_a_typing_error_says_what_was_understood_and_links_to_it(world: World, bob: Client):
    page = bob.get(ADDRESS, {"text": "fialing <b>"}).content.decode()
    assert "No prompt says “fialing &lt;b&gt;”" in page
    mended = bob.get(ADDRESS, {"text": "firts"}).content.decode()
    assert "Nothing says “firts”. These say something like" in mended
    assert '<a href="?text=first">first</a>' in mended


def test_where_nothing_fits_it_says_what_to_try(world: World, bob: Client):
    page = bob.get(ADDRESS, {"text": "zebra"}).content.decode()
    every = bob.get(ADDRESS, {"text": "zebra", "versions": "all"}).content.decode()

    assert "No prompt says “zebra”" in page
    assert '<a href="?text=zebra&amp;versions=all">search every version</a>' in page
    assert "search every version" not in every


def test_a_stranger_s_prompt_is_not_found(world: World, bob: Client, charlie: Client):
    prompt_with_version(template="Secret zebras.")

    assert "No prompt says" in bob.get(ADDRESS, {"text": "zebra"}).content.decode()
    assert "No prompt says" in charlie.get("/a/elsewhere/prompts/", {"text": "failing"}).content.decode()


def test_without_a_search_the_list_comes_in_pages(world: World, bob: Client):
    for number in range(60):
        PromptFactory(account=world.account, slug=f"coding.zz_{number:02}")
    first = bob.get(ADDRESS).content.decode()
    (link,) = re.findall(r'href="(\?after=[^"]+)"', first)
    last = bob.get(ADDRESS + unescape(link)).content.decode()

    assert first.count('<tr class="linked">') == 50
    assert (">coding.zz_59<" in first, ">coding.zz_59<" in last) == (False, True)
    assert f'href="{ADDRESS}"' in last
    assert 'href="?after=' not in last
    assert "Prompts" in bob.get(ADDRESS, {"after": "nonsense"}).content.decode()
