"""Any text in place of a diff is shown; of a real one, no line is lost."""

from hypothesis import given
from hypothesis import strategies as st

from dashboard import diffs

line = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20)
headers = st.sampled_from(
    ["diff --git a/x b/x", 'diff --git "a/\\303\\244" "b/\\303\\244"', "@@ -1 +1 @@", "@@ -1,2 +3,4 @@ def f",
     "new file mode", "@@ -" + "9" * 5_000 + " +1 @@", "--- a/x", "+++ b/x",
     "\\ No newline at end of file", "Binary files differ"]
)  # fmt: skip


@given(st.lists(line | headers, max_size=30))
def test_any_text_is_taken_apart(patch: list[str]):
    files = diffs.parse("\n".join(patch))
    assert len(files) <= sum(entry.startswith("diff --git ") for entry in patch)
    assert sum(len(file.lines) for file in files) <= len(patch)


@given(st.lists(st.tuples(st.sampled_from(["+", "-", " "]), line), max_size=30), st.integers(1, 500))
def test_of_a_hunk_every_line_is_there_with_its_number(body: list[tuple[str, str]], start: int):
    old, new = (sum(sign in signs for sign, _ in body) for signs in ("- ", "+ "))
    patch = [
        "diff --git a/app.py b/app.py", "--- a/app.py", "+++ b/app.py", f"@@ -{start},{old} +{start},{new} @@",
        *(sign + text for sign, text in body),
    ]  # fmt: skip
    (file,) = diffs.parse("\n".join(patch) + "\n")
    _, *lines = file.lines
    kinds = {"+": "added", "-": "removed", " ": "context"}
    assert [(found.kind, found.text) for found in lines] == [(kinds[sign], text) for sign, text in body]
    assert [found.new_number for found in lines if found.new_number] == list(range(start, start + new))
    assert [found.old_number for found in lines if found.old_number] == list(range(start, start + old))
