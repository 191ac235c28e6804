// Times as people read them.

const DAY_MS = 86_400_000;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "short" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const exact = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

/** "14:05" today, "Tue" this week, "3 Mar" before. */
export function briefly(time, nowMs = Date.now()) {
  const at = new Date(time);
  const since = startOfDay(nowMs) - startOfDay(at.getTime());
  if (since <= 0) return clock.format(at);
  return since < 7 * DAY_MS ? weekday.format(at) : day.format(at);
}

/** As briefly, with the time of day always. */
export function whenDue(time, nowMs = Date.now()) {
  const at = new Date(time);
  const days = Math.round((startOfDay(at.getTime()) - startOfDay(nowMs)) / DAY_MS);
  if (days === 0) return `today at ${clock.format(at)}`;
  if (days === 1) return `tomorrow at ${clock.format(at)}`;
  return `${day.format(at)} at ${clock.format(at)}`;
}

export const fully = (time) => (time ? full.format(new Date(time)) : "");
export const exactly = (time) => (time ? exact.format(new Date(time)) : "");

/** Which heading a list of sessions puts it under. */
export function dayGroup(time, nowMs = Date.now()) {
  const days = Math.round((startOfDay(nowMs) - startOfDay(new Date(time).getTime())) / DAY_MS);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days < 7) return "This week";
  return days < 31 ? "This month" : "Earlier";
}

export function duration(ms) {
  if (ms < 0) return "0 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  const minutes = Math.floor(ms / 60_000);
  return minutes < 60 ? `${minutes} min ${Math.round((ms % 60_000) / 1000)} s` : `${(ms / 3_600_000).toFixed(1)} h`;
}

export const bytes = (size) =>
  size < 1024 ? `${size} B` : size < 1024 * 1024 ? `${(size / 1024).toFixed(1)} KiB` : `${(size / 1024 / 1024).toFixed(1)} MiB`;

export const count = (number) => number.toLocaleString();

function startOfDay(ms) {
  return new Date(ms).setHours(0, 0, 0, 0);
}
