"""The commands by name, and the one place where errors become a line on stderr and an exit code."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from chatstream.cli import adopt, chat, doctor, replay, talk, top, topics, up
from chatstream.core.errors import BadInput, BadSettings, ChatstreamError, Unreachable

USAGE_ERROR: Final = 2
FAILED: Final = 1

app: Final = typer.Typer(
    name="chatstream",
    help="Persistent chat sessions for language-model applications, on Kafka.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("up")(up.up)
app.command("send")(talk.send)
app.command("history")(talk.history)
app.command("tail")(talk.tail)
app.command("chat")(chat.chat)
app.command("export")(talk.export)
app.command("top")(top.top)
app.command("replay")(replay.replay)
app.command("doctor")(doctor.doctor)
app.command("adopt")(adopt.adopt)
app.add_typer(topics.app, name="topics", help="The five topics on Kafka, as topics.yaml declares them.")


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"chatstream {installed('chatstream')}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program and exit: 0 done, 1 it did not work, 2 it was called wrongly, 130 interrupted."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Run a command line and return its exit code. Errors that a person can cause become one line on stderr."""
    try:
        code = app(list(argv), prog_name="chatstream", standalone_mode=False)
    except typer.TyperException as error:
        return _complain(f"{error.format_message().rstrip('.')}; see chatstream --help", error.exit_code)
    except (BadSettings, BadInput) as error:
        return _complain(str(error), USAGE_ERROR)
    except Unreachable as error:
        return _complain(f"{error} (`chatstream up`, or --url)", FAILED)
    except ChatstreamError as error:
        return _complain(str(error), FAILED)
    except BrokenPipeError:
        # Who read our output has left. What is still buffered has nowhere to go, and is not to fail once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code if isinstance(code, int) else 0


def _complain(message: str, code: int) -> int:
    print("chatstream: " + " ".join(message.split()), file=sys.stderr)
    return code
