"""How often somebody may try to sign in. Counted in the cache, so that all web processes count together."""

import hashlib
import logging
from dataclasses import dataclass

from django.core.cache import cache
from redis.exceptions import RedisError

logger = logging.getLogger("paid.accounts")

WINDOW_SECONDS = 15 * 60
# One person at one address; one address with many names; one name from many addresses (many machines guess).
ATTEMPTS_OF_PAIR = 10
ATTEMPTS_OF_ADDRESS = 200
ATTEMPTS_OF_EMAIL = 100


@dataclass(frozen=True)
class SignInAttempt:
    """An attempt is counted before its password is looked at: a hundred at once get no further than a hundred in turn.

    While the cache is away nobody is held back, and the log says so: better than locking everybody out.
    """

    email: str
    address: str

    def is_one_too_many(self) -> bool:
        """Count this attempt; True when it must not be made."""
        try:
            return max(_counted(key) - limit for key, limit in self._limits()) > 0
        except RedisError as error:
            logger.warning("sign-ins are not counted: the cache is away (%s)", type(error).__name__)
            return False

    def succeeded(self) -> None:
        """It was the right password: this person begins anew, and others behind the same address are not charged."""
        try:
            (pair, _), *others = self._limits()
            cache.delete(pair)
            for key, _ in others:
                if cache.get(key):
                    cache.decr(key)
        except (RedisError, ValueError):
            logger.info("a sign-in was not taken off the count")

    def _limits(self) -> tuple[tuple[str, int], ...]:
        email = self.email.strip().lower()
        return (
            (_key("pair", f"{email} {self.address}"), ATTEMPTS_OF_PAIR),
            (_key("address", self.address), ATTEMPTS_OF_ADDRESS),
            (_key("email", email), ATTEMPTS_OF_EMAIL),
        )


def _counted(key: str) -> int:
    cache.add(key, 0, WINDOW_SECONDS)
    try:
        return int(cache.incr(key))
    except ValueError:  # it ran out between the two
        cache.set(key, 1, WINDOW_SECONDS)
        return 1


def _key(kind: str, name: str) -> str:
    # A hash, because names come from strangers: of any length, with any character.
    return f"sign-in:{kind}:{hashlib.sha256(name.encode(errors='replace')).hexdigest()}"
