"""Responders: the model's side. Turn in, text deltas and a final reply out.

port          Turn, Reply, State and what a responder is
failures      why a turn can fail: the closed list of codes
retries       whether to call once more, and when
loading       `offline`, `anthropic[:MODEL]` or `package.module:name` to a responder
usercode      functions, generators and classes, async or not, as responders; the plain ones in `threads`
offline       a deterministic model that needs no key
anthropic     the Anthropic SDK (imported only there and in `anthropic_errors`, and only when used)
message_stream  an answer put together from its stream
conversation  a conversation as the Messages API accepts it
"""
