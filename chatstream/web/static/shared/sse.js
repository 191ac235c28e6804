// Server-sent events off a fetch: it can be ended, says its status, and brings headers, which EventSource does not.

/** {event, id, data} of every frame; id: the last one told. heard: called with every piece, comments too. Throws when it breaks. */
export async function* frames(response, heard) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let frame = emptyFrame("");
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heard();
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line) {
          takeLine(frame, line);
        } else {
          if (frame.data.length) yield { event: frame.event, id: frame.id, data: frame.data.join("\n") };
          frame = emptyFrame(frame.id);
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

const emptyFrame = (id) => ({ event: "message", id, data: [] });

function takeLine(frame, line) {
  const colon = line.indexOf(":");
  if (colon === 0) return;
  const name = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
  if (name === "data") frame.data.push(value);
  else if (name === "event") frame.event = value;
  else if (name === "id") frame.id = value;
}
