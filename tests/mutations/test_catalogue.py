"""That the catalogue fits the code: to break it takes minutes a mutation, to see that it can be broken none."""

import re
from pathlib import Path

import pytest

from tests.mutations.catalogue import LAYERS, MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_what_a_mutation_replaces_stands_once_and_its_tests_are_there(mutation: Mutation) -> None:
    assert (ROOT / mutation.path).read_text().count(mutation.old) == 1
    names = [] if mutation.tests == LAYERS else [test.split("::") for test in mutation.tests]
    missing = [name for file, name in names if not re.search(rf"def {name}\(", (ROOT / file).read_text())]
    assert missing == []


def test_the_page_of_mutations_has_a_row_for_each() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| `([^`|]+)` \| ", (ROOT / "docs/mutations.md").read_text(), re.MULTILINE
    )
    assert rows == [(mutation.name, mutation.why, mutation.path) for mutation in MUTATIONS]
