"""HTTP: every route, on the engine's feed and the table's rows (aiohttp's server is imported only here).

app         the application: what handlers find under which key
route       what is said of a route
routes      the table of all of them
server      listening, and what never becomes a request
boundary    what every request passes: its id, who may ask, errors, counting
origin      Host and Origin
openapi     /openapi.json, made of that table
problems    problem documents, and which error becomes which
codes       all their codes
settings    what it can be told; the typed keys
bodies      the body of a POST as a command
submitting  putting a command on the log
sending     POST messages
cancelling  POST cancel
waiting     for a restore, and for the end of a turn
sessions    GET a session and its messages
listing     GET the list of sessions; listing_query is what it may be asked
peers       asking other nodes
events      GET events: catching up, long polls
following   GET events as a stream
live        GET live: events, and text while it is being said
streaming   a response that goes on, and how it ends
offsets     where a reader wants to begin
proxy       passing a request on to the session's owner
giving      long answers: so many at once, and as fast as they are taken
paging      a page of events for one who follows
sse         server-sent events
tokens      cursors
conditional ETags
history     the last hour, for the console
letters     dead letters, for the console
places      a session's head row, and where its events stand, for the console
pages       the chat and the console: files of static/
health      healthz, readyz, metrics
metrics     counting requests
"""
