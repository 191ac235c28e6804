// Why an answer was not given, in words.

const REASONS = {
  "model-overloaded": "The model is overloaded.",
  "rate-limited": "The model takes no more requests for now.",
  "spend-limit": "The spending limit of the model's account is reached.",
  "model-auth": "The model did not accept the key.",
  "bad-request": "The model refused the request.",
  "model-unreachable": "The model could not be reached.",
  truncated: "The answer broke off.",
  "model-error": "The model reported an error.",
  timeout: "The model fell silent, or took longer than an answer may.",
  "empty-reply": "The model said nothing.",
  "responder-error": "The code that answers has a mistake.",
  "crash-loop": "The process that answered died again and again on this message.",
  "reply-too-large": "The answer was larger than one answer may be.",
  "too-many-steps": "The answer took more steps than one answer may.",
  "no-message": "There was no message to answer.",
};

/** A sentence for a code; an unknown code speaks for itself. */
export const reasonOf = (code) => REASONS[code] ?? `${code || "unknown"}.`;
