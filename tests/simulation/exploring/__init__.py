"""Every order in which the parts of the protocol can take their steps, for a few messages and at most one fault.

The real code: fold and ghost rule (core.claims, engine.projection), restore and claim (engine.claiming), the writer with its
confirmations and gaps (engine.partition), publishing (engine.publishing). What is explored is what lies between them: when
what was sent lands, when who hears of it, who is killed, stopped or fenced in between.

log      the shared log, and what a node waits for
seat     one owner: the writer and the publisher, and what they ask of their surroundings
node     claims, owns, is fenced, dies
world    all nodes, the steps that can be taken now, and whether what can be seen is right
search   depth first over all of it with states met before left out; or at random
"""
