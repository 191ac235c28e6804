// Light or dark before anything is drawn: a plain script in the head, so that nothing flashes.
try {
  const chosen = JSON.parse(localStorage.getItem("chatstream.theme"));
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // As the system has it.
}
