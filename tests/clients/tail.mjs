// Reads a session's events with the official client: `node tail.mjs URL false|long-poll|sse OFFSET`. Prints each event as a
// line of JSON, and when it has caught up and is not to go on, the offset to go on from.
import { stream } from "@durable-streams/client"

const [url, mode, from] = process.argv.slice(2)
const live = mode === "false" ? false : mode
let offset = from

const print = (events) => events.forEach((event) => console.log(JSON.stringify(event)))

for (;;) {
  try {
    const answer = await stream({ url, offset, live, json: true })
    if (live === false) {
      print(await answer.json())
      offset = answer.offset
      if (!answer.upToDate) continue // without live this client reads one page
      console.log(JSON.stringify({ offset }))
      break
    }
    answer.subscribeJson(async (batch) => {
      print(batch.items)
      offset = batch.offset // where a reader goes on that keeps its place, as the client's documentation has it
    })
    await answer.closed
  } catch (error) {
    console.error(String(error)) // the client tries again by itself, except where a stream is torn while it is read
  }
}
