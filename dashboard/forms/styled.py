"""Gives every widget the design system's class, and ties errors and hints to their field for screen readers."""

from typing import Any

from django import forms
from django.forms.renderers import BaseRenderer
from django.forms.utils import flatatt
from django.utils.safestring import SafeString

from dashboard.markup import filled, joined

OPTION = '<option value="{key}"{selected}>{label}</option>'


class StyledForm(forms.Form):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            style_widget(field.widget)

    def add_field(self, name: str, field: forms.Field) -> None:
        """For forms whose fields depend on rows."""
        style_widget(field.widget)
        self.fields[name] = field


def style_widget(widget: forms.Widget) -> None:
    if isinstance(widget, forms.CheckboxInput | forms.CheckboxSelectMultiple):
        css = "form-check-input"
    elif isinstance(widget, forms.Select):
        css = "form-select"
    else:
        css = "form-control"
    widget.attrs["class"] = f"{css} {widget.attrs.get('class', '')}".strip()


class FlatSelect(forms.Select):
    """A select without groups: Django's own renders two templates for each option, which above a list of runs was a
    third of the page's time at forty projects."""

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: BaseRenderer | None = None
    ) -> SafeString:
        chosen = set(self.format_value(value))
        options = joined(
            filled(OPTION, key=key, selected=" selected" if str(key) in chosen else "", label=label)
            for key, label in self.choices
        )
        flat = flatatt(self.build_attrs(self.attrs, {"name": name, **(attrs or {})}))
        return filled("<select{attributes}>{options}</select>", attributes=flat, options=options)
