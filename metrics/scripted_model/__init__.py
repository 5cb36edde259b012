"""A language model that is a script: the demo's and the tests' stand-in for a provider, over real HTTP.

It speaks the Anthropic Messages protocol, decides from the conversation alone, and counts what it receives
and sends, so that the gateway's ledger can be compared with figures that come from outside it.
"""
