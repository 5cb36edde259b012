"""Shape of `accounts.settings`: free for whoever runs the account, within bounds."""

from typing import Annotated

from pydantic import JsonValue, StringConstraints

SettingName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]

# Names in small letters, so that one setting has one spelling; the values are whatever JSON can say.
AccountSettings = dict[SettingName, JsonValue]
