"""The only way from a sandbox to a language model: who asks, may it, what does it cost, and not a byte changed."""
