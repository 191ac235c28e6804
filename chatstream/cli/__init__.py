"""The command line: the outermost ring. `main` is the program `chatstream`.

app     the commands by name, and the one place where errors become a line and an exit code
flags   flags that several commands share
up      a node
talk    send, history, tail, export: over HTTP to a node
chat    a conversation in the terminal
top     what a node is doing
opening the client behind them
conversation, keyboard, screen  what chat is made of
topics  topics plan, apply, check
replay  the table, rebuilt and compared
doctor  what is wrong here
adopt   go on with commands that were made again

Nothing heavy is imported before a command needs it: `chatstream send` has to feel like `echo`.
"""

from chatstream.cli.app import main

__all__ = ["main"]
