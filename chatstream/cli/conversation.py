"""A conversation in the terminal, answers word by word.

Nothing is held while a person types: after each message the stream is taken up from where it was left, so what others said
meanwhile comes first.
"""

import uuid
from typing import Final

from chatstream.cli.keyboard import Keyboard
from chatstream.cli.screen import Screen
from chatstream.client import Client, offset_behind
from chatstream.client.living import Frame
from chatstream.client.results import Item
from chatstream.core.commands import Verdict
from chatstream.core.errors import ChatstreamError, Erased, RequestRefused, Unreachable
from chatstream.core.events import ApprovalRequested, MessageAccepted, ReplyCancelled, ReplyCompleted, ReplyFailed, Terminal
from chatstream.core.unlogged import AttemptStarted, TextDelta, TurnRetrying, Unlogged

INTERRUPTED: Final = 130
BUSY: Final = ("running", "waiting")


class Chat:
    """One conversation. run gives the exit code."""

    def __init__(self, client: Client, session: str, user: str, on: Screen, keyboard: Keyboard) -> None:
        self.client = client
        self.session = session
        self._user = user
        self.screen = on
        self.keyboard = keyboard
        self.offset = "-1"

    def run(self, history: int) -> int:
        """Until the person leaves. Raises ChatstreamError for what ends a conversation: erased, nobody there."""
        try:
            if self._begin(history):
                Listening(self, "").run()
            while (text := self._read()) is not None:
                if text.strip():
                    self._say(text)
        except KeyboardInterrupt:
            self.screen.end()
            return INTERRUPTED
        return 0

    def _read(self) -> str | None:
        try:
            return self.keyboard.read()
        except KeyboardInterrupt:
            return None

    def _begin(self, history: int) -> bool:
        """Show what there was; is an answer being given?"""
        try:
            now = self.client.session(self.session)
        except RequestRefused as error:
            if error.code != "no-such-session":
                raise
            self.screen.note(f"a new session: {self.session}")
            return False
        page = self.client.messages(self.session, limit=max(history, 1))
        self.offset = page.offset
        if page.has_more and history:
            self.screen.note("earlier messages: chatstream history " + self.session)
        for item in page.data[-history:] if history else ():
            if not item.superseded and not item.rewound:
                show(self.screen, item)
        return now.status in BUSY

    def _say(self, text: str) -> None:
        message_id = uuid.uuid4().hex
        try:
            self.client.send(self.session, text, message_id=message_id, user=self._user)
        except Erased:
            raise
        except ChatstreamError as error:
            self.screen.note(f"not sent: {error}")
            return
        Listening(self, message_id).run()


def show(on: Screen, item: Item) -> None:
    """A message of the past."""
    if item.role == "user":
        on.user(item.text, item.user or "you")
        return
    on.say(item.text)
    on.end()
    if item.status != "completed":
        on.note(f"{item.status}{': ' if item.detail else ''}{item.detail}")


class Listening:
    """The stream from where the chat is to the end of one turn. message_id: of it; empty: of the running one."""

    def __init__(self, chat: Chat, message_id: str) -> None:
        self._chat = chat
        self._screen = chat.screen
        self._message_id = message_id
        self._turn: int | None = None
        self._said = ""
        self._stopped = False
        self._over = False

    def run(self) -> None:
        """Raises KeyboardInterrupt when the person wants to leave, ChatstreamError when the stream is over for good."""
        chat = self._chat
        frames = chat.client.live(chat.session, offset=chat.offset, told=self._tell)
        try:
            while not self._over:
                try:
                    self._take(next(frames))
                except KeyboardInterrupt:  # also while a frame is being shown: then it may have been the last
                    if self._stopped:
                        raise
                    if not self._over:
                        self._stop()
        finally:
            self._screen.end()
            frames.close()

    def _tell(self, error: ChatstreamError | None) -> None:
        self._screen.note("connected again" if error is None else f"{error}; connecting again")

    def _stop(self) -> None:
        """The person wants this answer no longer."""
        self._stopped = True
        self._screen.note("stopping; Ctrl-C again to leave")
        try:
            self._chat.client.cancel(self._chat.session, turn=self._turn)
        except RequestRefused as error:
            if error.code != "not-running":  # else it has ended meanwhile, and its end is on its way
                self._screen.note(str(error))
        except Unreachable as error:
            self._screen.note(f"not stopped: {error}")

    def _take(self, frame: Frame) -> None:
        """Show one frame."""
        if not isinstance(frame, Unlogged):
            self._chat.offset = offset_behind(frame)
        match frame:
            case MessageAccepted():
                self._accepted(frame.message_id, frame.text, frame.user, frame.seq)
            case AttemptStarted():
                self._begin(frame.attempt)
            case TextDelta():
                self._said += frame.text
                self._screen.say(frame.text)
            case TurnRetrying():
                self._screen.note(
                    f"attempt {frame.attempt} failed: {frame.detail or frame.reason}; again in {frame.after_s:.0f} s"
                )
            case ReplyCompleted() | ReplyFailed() | ReplyCancelled():
                self._end(frame)
            case ApprovalRequested():
                self._asked(frame)

    def _accepted(self, message_id: str, text: str, user: str, seq: int) -> None:
        if message_id == self._message_id:
            self._turn = seq
        else:
            self._screen.user(text, user or "somebody")

    def _begin(self, attempt: int) -> None:
        if self._said:
            self._screen.note(f"attempt {attempt}: the answer begins anew")
        self._said = ""

    def _end(self, event: Terminal) -> None:
        self._over = self._message_id in ("", event.message_id)
        self._screen.say(self._unsaid("" if isinstance(event, ReplyFailed) else event.text))
        self._screen.end()
        self._said = ""
        if isinstance(event, ReplyFailed):
            self._screen.note(f"failed: {event.detail or event.code}")
        elif isinstance(event, ReplyCancelled):
            self._screen.note("stopped")

    def _unsaid(self, text: str) -> str:
        """What of the recorded answer was not on the screen; all of it where another one was."""
        if text.startswith(self._said) or self._said.startswith(text):
            return text[len(self._said) :]
        self._screen.note("the answer on record is another one:")
        return text

    def _asked(self, event: ApprovalRequested) -> None:
        """A turn waits for somebody. It may be this person; if not now, later or elsewhere."""
        name = event.name.rpartition("#")[0]
        self._screen.note(f"to be decided: {name} {event.detail if event.detail is not None else ''}")
        answer = self._chat.keyboard.ask("approve? [y]es, [n]o, Enter for later: ")
        if answer[:1] in ("y", "n"):
            verdict: Verdict = "approved" if answer[0] == "y" else "rejected"
            self._chat.client.approve(self._chat.session, name, verdict)
        else:
            self._over = True
