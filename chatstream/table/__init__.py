"""The table: the projection of one partition's log into rows, rebuildable at any time.

port     what the engine needs of a store
rows     which rows an event becomes: keys, values, changes
reads    what readers ask: the conversation, the events, a head
listing  the list of sessions
rocks    RocksDB (rocksdict is imported only here and in log/embedded.py)
memory   a dict, for the simulation and for unit tests
"""
