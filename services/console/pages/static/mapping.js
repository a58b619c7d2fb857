// The mapping page finds rows while somebody types, and warns before unsaved
// changes are left behind.
"use strict";
document.addEventListener("input", (event) => {
  const search = event.target.closest("[data-filter]");
  if (!search) return;
  const text = search.value.trim().toLowerCase();
  const rows = [...document.querySelectorAll(search.dataset.filter)];
  for (const row of rows) row.hidden = !row.dataset.text.toLowerCase().includes(text);
  const shown = new Set(rows.filter((row) => !row.hidden).map((row) => row.parentElement));
  for (const group of new Set(rows.map((row) => row.parentElement))) group.hidden = !shown.has(group);
  document.getElementById("none-found").hidden = shown.size > 0;
});
let leaving = false;
document.addEventListener("click", (event) => { leaving = Boolean(event.target.closest("#save, #discard")); });
window.addEventListener("beforeunload", (event) => { if (!leaving && document.getElementById("draft-bar")) event.preventDefault(); });

// A preview is shown while it is worked out, and stopped at the server when
// somebody cancels it, begins another one, or changes the draft.
let previewing = null;
const previewIn = async (target, address, body) => {
  previewing?.abort();
  const mine = previewing = new AbortController();
  const show = (event, data) => {
    if (!target.isConnected) { mine.abort(); return; }
    if (event === "failed") {
      const words = Object.assign(document.createElement("p"), { className: "bad", textContent: data });
      words.setAttribute("role", "alert");
      target.replaceChildren(words);
      return;
    }
    const fresh = target.cloneNode(false);
    fresh.innerHTML = data;
    renew(target, fresh);
  };
  target.setAttribute("aria-busy", "true");
  let ended = false;
  try {
    const answer = await fetch(address, { method: "POST", body, signal: mine.signal, headers: { Accept: "text/event-stream" } });
    if (!answer.ok || !answer.headers.get("Content-Type").startsWith("text/event-stream")) throw new Error(answer.status);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ;) {
      const { done, value } = await reader.read();
      if (done) break;
      const messages = (rest + value).split("\n\n");
      rest = messages.pop();
      for (const message of messages) {
        const lines = message.split("\n");
        const event = lines[0].replace("event: ", "");
        ended = ended || event !== "part";
        show(event, lines.slice(1).map((line) => line.replace("data: ", "")).join("\n"));
      }
    }
    if (!ended) throw new Error("cut off");
  } catch (error) {
    if (!target.isConnected) return;
    if (!mine.signal.aborted) show("failed", "The preview was cut off. Try again.");
    else if (mine.signal.reason === "cancelled") {
      const words = Object.assign(document.createElement("strong"), { textContent: "Cancelled. What follows is about the contacts looked at until then." });
      target.querySelector(".running")?.replaceChildren(words);
      document.getElementById("preview-button")?.focus();
    }
  } finally {
    if (previewing === mine) { target.removeAttribute("aria-busy"); previewing = null; }
  }
};
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button?.dataset.stream) { previewing?.abort(); return; }
  event.preventDefault();
  event.stopPropagation(); // it is not htmx's
  previewIn(document.getElementById(button.dataset.stream), button.formAction, new URLSearchParams(new FormData(event.target, button)));
}, true);
document.addEventListener("click", (event) => { if (event.target.closest("[data-stop]")) previewing?.abort("cancelled"); });
