"""Responders: the model's side. Turn in, text deltas and a final reply out.

port       Turn, Reply, State and what a responder is
loading    `offline`, `anthropic[:MODEL]` or `package.module:name` to a responder
offline    a deterministic model that needs no key
anthropic  the Anthropic SDK (imported only there, and only when used)
"""
