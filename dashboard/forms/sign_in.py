from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest

from dashboard.forms.styled import style_widget


class SignInForm(AuthenticationForm):
    error_messages = {  # noqa: RUF012 - Django declares it as a plain dict
        "invalid_login": "This e-mail and password do not match. Check both; the password knows upper and lower case.",
        "inactive": "This account is switched off. Ask an owner to switch it on again.",
    }

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.fields["username"].label = "E-mail"
        self.fields["username"].widget.input_type = "email"
        self.fields["username"].widget.attrs.update({"autocomplete": "email", "autofocus": True})
        for field in self.fields.values():
            style_widget(field.widget)
