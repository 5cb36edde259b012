"""The Jinja2 that prompts are written in: an immutable sandbox with nothing in it but the filters below."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jinja2 import StrictUndefined, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from prompts.context import Untrusted

# The name under which rendering hands over the fence. Templates cannot reach it: the check knows no such name.
FENCE_NAME = "fence of this rendering"


@dataclass(frozen=True)
class Filter:
    """`takes` is what may stand before it; `gives` is its type, or None for that of what it takes."""

    apply: Callable[..., Any]
    takes: Literal["text", "texts", "sized"]
    example: str
    accepts: Callable[[Sequence[Any]], bool] = lambda arguments: not arguments
    gives: type | None = None


def _alike(value: str, result: str) -> str:
    """What is made of an untrusted text stays untrusted."""
    return value.alike(result) if isinstance(value, Untrusted) else result


def _truncate(value: str, length: int) -> str:
    return _alike(value, value if len(value) <= length else f"{value[: length - 1]}…")


def _indent(value: str, width: int) -> str:
    return _alike(value, value.replace("\n", "\n" + " " * width))


def _join(values: Sequence[str], separator: str = ", ") -> str:
    joined = separator.join(values)
    return _alike(values[0], joined) if values else joined


def _default(value: str, fallback: str) -> str:
    return value or fallback


def _is_number(low: int, high: int) -> Callable[[Sequence[Any]], bool]:
    return lambda arguments: len(arguments) == 1 and type(arguments[0]) is int and low <= arguments[0] <= high


def _is_text(least: int, longest: int) -> Callable[[Sequence[Any]], bool]:
    return lambda arguments: (
        least <= len(arguments) <= 1
        and all(isinstance(argument, str) and len(argument) <= longest for argument in arguments)
    )


FILTERS: dict[str, Filter] = {
    "trim": Filter(lambda value: _alike(value, value.strip()), "text", "trim"),
    "upper": Filter(lambda value: _alike(value, value.upper()), "text", "upper"),
    "lower": Filter(lambda value: _alike(value, value.lower()), "text", "lower"),
    "truncate": Filter(_truncate, "text", "truncate(200)", _is_number(1, 100_000)),
    "indent": Filter(_indent, "text", "indent(4)", _is_number(1, 16)),
    "default": Filter(_default, "text", 'default("none")', _is_text(1, 1_000)),
    "join": Filter(_join, "texts", 'join(", ")', _is_text(0, 20)),
    "length": Filter(len, "sized", "length", gives=int),
}


@pass_context
def _finalize(context: Context, value: Any) -> Any:
    """Every printed value passes here: what is untrusted goes into the fence."""
    return context[FENCE_NAME].around(value) if isinstance(value, Untrusted) else value


def _make_environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        optimized=False,  # nothing is computed while compiling
        autoescape=False,  # S701 is about HTML: prompts are plain text, and fences do what escaping would
        cache_size=0,
    )
    made.globals.clear()
    made.tests.clear()
    made.filters.clear()
    made.filters.update({name: entry.apply for name, entry in FILTERS.items()})
    return made


environment = _make_environment()
