from django import forms

from dashboard.forms.styled import StyledForm


class IssueForm(StyledForm):
    title = forms.CharField(max_length=1000)
    body = forms.CharField(
        label="Description",
        required=False,
        max_length=60_000,
        widget=forms.Textarea({"rows": 10}),
        help_text="What is wrong or wanted, and how to see that it is done. The agent reads exactly this.",
    )


class CommentForm(StyledForm):
    body = forms.CharField(
        label="Comment",
        max_length=60_000,
        widget=forms.Textarea({"rows": 3}),
        error_messages={"required": "Write something before you send it."},
    )
