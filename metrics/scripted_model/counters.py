"""What the scripted model was asked and what it answered, counted at the source: the ledger's witness."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from metrics.scripted_model.usage import Usage

REMEMBERED_CALLS = 10_000


@dataclass
class Tally:
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0

    def add(self, usage: Usage) -> None:
        self.calls += 1
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.cache_read_input_tokens += usage.cache_read_input_tokens
        self.cache_creation_input_tokens += usage.cache_creation_input_tokens


@dataclass
class Counters:
    """Sums over all calls, per model and per API key; the latest calls one by one by request id."""

    total: Tally = field(default_factory=Tally)
    models: dict[str, Tally] = field(default_factory=dict)
    keys: dict[str, Tally] = field(default_factory=dict)
    calls: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict)

    def add(self, *, request_id: str, model: str, api_key: str, usage: Usage, is_complete: bool) -> None:
        key = fingerprint(api_key)
        for tally in (
            self.total,
            self.models.setdefault(model, Tally()),
            self.keys.setdefault(key, Tally()),
        ):
            tally.add(usage)
        self.calls[request_id] = {"model": model, "key": key, "is_complete": is_complete, **usage.as_dict()}
        while len(self.calls) > REMEMBERED_CALLS:
            self.calls.popitem(last=False)

    def as_dict(self) -> dict[str, Any]:
        return {
            "total": vars(self.total),
            "models": {name: vars(tally) for name, tally in self.models.items()},
            "keys": {name: vars(tally) for name, tally in self.keys.items()},
            "calls": dict(self.calls),
        }


def fingerprint(api_key: str) -> str:
    """Enough of a hash to tell keys apart; the key itself is never shown."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:12]
