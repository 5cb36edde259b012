"""Reads a template before it is saved or rendered: its variables, its mistakes, and the most work it can do.

Templates are Jinja2, but only the part of it whose cost can be bounded beforehand: text, `{{ variable }}` with
a few filters, `{% if %}` and `{% for %}` over the lists of the context. No call, arithmetic, assignment,
macro or include is allowed, so a template has a worst case that is counted here, in steps, from the most items
that a list of the context may hold. Names and fields are checked against the types in prompts.context.
"""

import difflib
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from jinja2 import TemplateSyntaxError, nodes

from prompts.context import MAX_ITEMS, PromptContext, Untrusted
from prompts.errors import Problem, TemplateRefused
from prompts.template_language import FILTERS, Filter, environment

MAX_TEMPLATE_CHARACTERS = 60_000
MAX_NODES = 4_000
MAX_DEPTH = 40
MAX_LOOP_DEPTH = 2
MAX_CONSTANT_CHARACTERS = 1_000
MAX_STEPS = 200_000
# A step is what looking at a name takes; work on the longest text of the context takes this many.
STEPS_PER_TEXT = 200

_EXPRESSION_HINT = "Only variables, filters, comparisons, and, or, not are possible here."
_STATEMENT_HINT = "Only {% if %} and {% for %} are possible in a prompt."
_LOOP_FIELDS: Mapping[str, type] = {
    "index": int,
    "index0": int,
    "revindex": int,
    "length": int,
    "first": bool,
    "last": bool,
}


class Loop:
    """The type of `loop` inside of a {% for %}."""


@dataclass(frozen=True)
class CheckedTemplate:
    """A template without problems. `variables` are dotted, sorted; `steps` is the worst case."""

    variables: tuple[str, ...]
    steps: int


def check_template(source: str, *, is_system_prompt: bool = False) -> CheckedTemplate:
    """Raise `TemplateRefused` with every problem found, or tell what the template uses."""
    check = _Check(is_system_prompt)
    tree = parse_template(source)
    check.body(tree.body, _Scope(_fields_of(PromptContext), 1, 0))
    if check.steps > MAX_STEPS:
        check.problem(0, f"Filling it in could take {check.steps:,} steps; {MAX_STEPS:,} are allowed. Loop less.")
    if check.problems:
        raise TemplateRefused(tuple(check.problems))
    return CheckedTemplate(tuple(sorted(check.variables)), check.steps)


def parse_template(source: str) -> nodes.Template:
    """The syntax tree, of a size that the checks and Python's compiler can walk."""
    if len(source) > MAX_TEMPLATE_CHARACTERS:
        raise _refused(f"It has {len(source):,} characters; {MAX_TEMPLATE_CHARACTERS:,} are allowed.")
    try:
        tree = environment.parse(source)
    except TemplateSyntaxError as error:
        raise TemplateRefused((Problem(error.lineno, f"{(error.message or '').rstrip('.')}."),)) from error
    except RecursionError as error:
        raise _refused("It is nested too deeply.") from error
    except ValueError as error:  # a number with thousands of digits
        raise _refused("It holds a number that is too long.") from error
    if _size(tree) > MAX_NODES:
        raise _refused(f"It has more than {MAX_NODES:,} parts. Use fewer variables and conditions.")
    return tree


def known_variables() -> tuple[str, ...]:
    """Every variable that a template may use, dotted; a list's own fields follow `[]`."""
    return tuple(_dotted(PromptContext, ""))


def _dotted(kind: Any, prefix: str) -> Iterator[str]:
    for name, found in _fields_of(kind).items():
        item = _item_of(found)
        if is_dataclass(found):
            yield from _dotted(found, f"{prefix}{name}.")
        elif item is not None and is_dataclass(item):
            yield from _dotted(item, f"{prefix}{name}[].")
        else:
            yield f"{prefix}{name}"


def _refused(message: str) -> TemplateRefused:
    return TemplateRefused((Problem(0, message),))


def _size(tree: nodes.Node) -> int:
    """How many nodes; refuses a deep tree. Without recursion: that is what it protects."""
    count, waiting = 0, deque([(tree, 0)])
    while waiting:
        node, depth = waiting.popleft()
        if depth > MAX_DEPTH:
            raise _refused("It is nested too deeply.")
        count += 1
        waiting.extend((child, depth + 1) for child in node.iter_child_nodes())
    return count


@cache
def _fields_of(kind: Any) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {entry.name: hints[entry.name] for entry in fields(kind)}


def _names_of(kind: Any) -> Mapping[str, Any]:
    return _LOOP_FIELDS if kind is Loop else _fields_of(kind)


def _item_of(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is tuple else None


def _is_text(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, str)


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    found = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean `{found[0]}`?" if found else f" There is {', '.join(f'`{entry}`' for entry in known)}."


def _filters_before(node: nodes.Filter) -> set[str]:
    """A filter may make a text longer, so each is used once in a row of them."""
    names, before = set(), node.node
    while isinstance(before, nodes.Filter):
        names.add(before.name)
        before = before.node
    return names


def _fits(entry: Filter, kind: Any) -> bool:
    if entry.takes == "texts":
        return _is_text(_item_of(kind))
    return _is_text(kind) or (entry.takes == "sized" and _item_of(kind) is not None)


def _can_compare(operator: str, left: Any, right: Any) -> bool:
    """Whether Python can: an ordering of a text and a number would fail while the prompt is filled in."""
    if operator in ("eq", "ne") or left is None or right is None:
        return True
    if operator in ("in", "notin"):
        return _is_text(left) and (_is_text(right) or _is_text(_item_of(right)))
    return left is int and right is int


@dataclass(frozen=True)
class _Scope:
    """The names that may be used here, how often this place can be reached, and in how many loops it stands."""

    names: Mapping[str, Any]
    times: int
    loops: int


class _Check:
    def __init__(self, is_system_prompt: bool) -> None:
        self.is_system_prompt = is_system_prompt
        self.problems: list[Problem] = []
        self.variables: set[str] = set()
        self.steps = 0

    def problem(self, line: int, message: str, name: str = "") -> None:
        self.problems.append(Problem(line, message, name))

    def body(self, statements: list[nodes.Node], scope: _Scope) -> None:
        for statement in statements:
            self.steps += scope.times
            match statement:
                case nodes.Output():
                    for part in statement.nodes:
                        self._output(part, scope)
                case nodes.If():
                    self.expression(statement.test, scope)
                    self.body([*statement.body, *statement.elif_, *statement.else_], scope)
                case nodes.For():
                    self._loop(statement, scope)
                case _:
                    kind = type(statement).__name__.lower()
                    self.problem(statement.lineno, f"`{kind}` cannot be used. {_STATEMENT_HINT}")

    def _output(self, part: nodes.Expr, scope: _Scope) -> None:
        if isinstance(part, nodes.TemplateData):
            self.steps += scope.times
            return
        kind = self.expression(part, scope)
        self.steps += scope.times * (STEPS_PER_TEXT if kind is Untrusted else 1)
        if kind is Untrusted and self.is_system_prompt:
            self.problem(part.lineno, "A system prompt cannot hold text that was written outside of your team.")
        elif _item_of(kind) is not None:
            self.problem(part.lineno, 'This is a list: loop over it, or write `|join(", ")`.')
        elif kind is Loop or is_dataclass(kind):
            names = _names_of(kind)
            self.problem(part.lineno, f"This is not a text. Use one of its fields: {', '.join(names)}.")

    def _loop(self, statement: nodes.For, scope: _Scope) -> None:
        if statement.recursive or not isinstance(statement.target, nodes.Name):
            self.problem(statement.lineno, "Write `{% for item in list %}`.")
            return
        if scope.loops == MAX_LOOP_DEPTH:
            self.problem(statement.lineno, f"At most {MAX_LOOP_DEPTH} loops can stand in each other.")
            return
        if statement.target.name in (*scope.names, "loop"):
            self.problem(statement.lineno, f"`{statement.target.name}` is taken. Give the loop's variable a new name.")
        kind = self.expression(statement.iter, scope)
        item = _item_of(kind)
        if kind is not None and item is None:
            self.problem(statement.lineno, "This is not a list.")
        names = {**scope.names, statement.target.name: item, "loop": Loop}
        inner = _Scope(names, scope.times * MAX_ITEMS, scope.loops + 1)
        if statement.test is not None:
            self.expression(statement.test, inner)
        self.body(statement.body, inner)
        self.body(statement.else_, scope)

    def expression(self, node: nodes.Node, scope: _Scope) -> Any:
        """The type of the expression; None when it is not known because of a problem."""
        self.steps += scope.times
        match node:
            case nodes.Name():
                return self._name(node, scope)
            case nodes.Getattr():
                return self._field(node, scope)
            case nodes.Const():
                return self._constant(node)
            case nodes.Filter():
                return self._filter(node, scope)
            case nodes.Not():
                self.expression(node.node, scope)
                return bool
            case nodes.And() | nodes.Or():
                return self._either(node.left, node.right, scope)
            case nodes.CondExpr(expr2=nodes.Expr() as otherwise):
                self.expression(node.test, scope)
                return self._either(node.expr1, otherwise, scope)
            case nodes.Compare():
                return self._comparison(node, scope)
            case nodes.Call():
                self.problem(node.lineno, f"Nothing can be called from a prompt. {_EXPRESSION_HINT}")
            case nodes.Getitem():
                self.problem(node.lineno, "Write `issue.title`, not `issue['title']`.")
            case nodes.Test():
                self.problem(node.lineno, "There are no tests: every variable is defined, so write `{% if name %}`.")
            case _:
                self.problem(node.lineno, f"`{type(node).__name__.lower()}` cannot be used. {_EXPRESSION_HINT}")
        return None

    def _either(self, left: nodes.Node, right: nodes.Node, scope: _Scope) -> Any:
        """Untrusted if either is."""
        kinds = (self.expression(left, scope), self.expression(right, scope))
        return Untrusted if Untrusted in kinds else kinds[0] if kinds[0] is kinds[1] else str

    def _comparison(self, node: nodes.Compare, scope: _Scope) -> Any:
        left = self.expression(node.expr, scope)
        for operand in node.ops:
            # A search goes through the text; two texts mostly differ at once.
            self.steps += scope.times * (STEPS_PER_TEXT if operand.op in ("in", "notin") else 2)
            right: Any
            if isinstance(operand.expr, nodes.List | nodes.Tuple):
                kinds = {self.expression(item, scope) for item in operand.expr.items}
                right = tuple[str, ...] if all(map(_is_text, kinds)) else tuple[int, ...]
            else:
                right = self.expression(operand.expr, scope)
            if not _can_compare(operand.op, left, right):
                self.problem(node.lineno, "These two cannot be compared.")
            left = right
        return bool

    def _name(self, node: nodes.Name, scope: _Scope) -> Any:
        if node.name not in scope.names:
            known = _fields_of(PromptContext)
            self.problem(node.lineno, f"There is no variable `{node.name}`.{_nearest(node.name, known)}", node.name)
            return None
        kind = scope.names[node.name]
        if node.name in _fields_of(PromptContext) and not is_dataclass(kind):
            self.variables.add(node.name)
        return kind

    def _field(self, node: nodes.Getattr, scope: _Scope) -> Any:
        owner = self.expression(node.node, scope)
        if owner is None:
            return None
        if owner is not Loop and not is_dataclass(owner):
            self.problem(node.lineno, f"`{node.attr}` cannot be asked of a text, number or list.")
            return None
        known = _names_of(owner)
        if node.attr not in known:
            self.problem(node.lineno, f"There is no field `{node.attr}`.{_nearest(node.attr, known)}", node.attr)
            return None
        if isinstance(node.node, nodes.Name) and node.node.name in _fields_of(PromptContext):
            self.variables.add(f"{node.node.name}.{node.attr}")
        return known[node.attr]

    def _constant(self, node: nodes.Const) -> Any:
        if isinstance(node.value, str) and len(node.value) > MAX_CONSTANT_CHARACTERS:
            self.problem(node.lineno, "This text in quotes is too long. Write it outside of the braces.")
        return type(node.value)

    def _filter(self, node: nodes.Filter, scope: _Scope) -> Any:
        entry = FILTERS.get(node.name)
        if entry is None or node.node is None:
            self.problem(node.lineno, f"There is no filter `{node.name}`.{_nearest(node.name, FILTERS)}", node.name)
            return None
        if node.name in _filters_before(node):
            self.problem(node.lineno, f"`{node.name}` stands twice in one row of filters.")
            return None
        kind = self.expression(node.node, scope)
        self.steps += scope.times * STEPS_PER_TEXT
        arguments = [argument.value for argument in node.args if isinstance(argument, nodes.Const)]
        is_plain = len(arguments) == len(node.args) and not (node.kwargs or node.dyn_args or node.dyn_kwargs)
        if not is_plain or not entry.accepts(arguments):
            self.problem(node.lineno, f"Write it as `|{entry.example}`.")
            return None
        if kind is None:
            return None
        if not _fits(entry, kind):
            wanted = {"text": "a text", "texts": "a list of texts", "sized": "a text or a list"}[entry.takes]
            self.problem(node.lineno, f"`{node.name}` needs {wanted} before it.")
            return None
        return entry.gives or (_item_of(kind) if entry.takes == "texts" else kind)
