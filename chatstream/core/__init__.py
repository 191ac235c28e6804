"""The pure heart: values in, values out. No clock, no randomness, no await, no I/O.

ids         names of things, as types of their own, and what a well-formed one is
errors      the one error tree
limits      how much of everything, with defaults
commands    what may be asked of a session
events      what has happened to a session
unlogged    what stands on a live stream and not in the log
codec       bytes on the topics to commands and events, and back
partitioner which partition a session lives in
head        what is known of a session: its row
session     decide, evolve, react: the life of one conversation
claims      who may write a partition, and which of its records count
prompt      what of the conversation the model sees
"""
