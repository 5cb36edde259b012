"""Markdown that others wrote, as HTML that cannot do anything: no tags of theirs, no pictures, no odd links."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from django.utils.safestring import SafeString
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

LINK_SCHEMES = ("http", "https", "mailto")


class _Markdown(MarkdownIt):
    def validateLink(self, url: str) -> bool:
        """Absolute addresses of the web and of mail only: a relative one would lead into the reader's own account."""
        try:
            return urlsplit(url).scheme.lower() in LINK_SCHEMES
        except ValueError:
            return False


def _link_open(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, environment: EnvType
) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer nofollow")
    return renderer.renderToken(tokens, index, options, environment)


def _renderer() -> MarkdownIt:
    markdown = _Markdown("commonmark", {"html": False}).enable(["table", "strikethrough"])
    # A picture would tell a foreign host who reads this page; the page's policy refuses it anyway.
    markdown.disable("image")
    markdown.add_render_rule("link_open", _link_open)
    return markdown


_MARKDOWN = _renderer()


def to_html(text: str) -> SafeString:
    """Safe as it is: with `html` off the library escapes everything that it did not write itself."""
    return SafeString(_MARKDOWN.render(text))
