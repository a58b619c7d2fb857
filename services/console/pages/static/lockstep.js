// What pages need beyond htmx: closing messages, asking before an action that
// cannot be taken back, search boxes reached by "/", times where people are,
// and dialogs.
"use strict";
// Times come in UTC, and are shown in the browser's time zone.
const two = (n) => String(n).padStart(2, "0");
function localTimes(within) {
  for (const e of within.querySelectorAll("time[data-at]:not([title])")) {
    const at = new Date(e.dateTime);
    e.title = e.textContent;
    e.textContent = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  }
}
document.addEventListener("DOMContentLoaded", () => {
  localTimes(document);
  for (const button of document.querySelectorAll("[data-another]")) button.hidden = false;
  // On a phone the page that is open is in sight among the others.
  for (const open of document.querySelectorAll("nav.bar [aria-current]")) {
    const bar = open.parentElement;
    bar.scrollLeft = open.offsetLeft - bar.offsetLeft - (bar.clientWidth - open.offsetWidth) / 2;
  }
});
document.addEventListener("htmx:load", (event) => localTimes(event.detail.elt.parentElement || document));
document.addEventListener("click", (event) => {
  const close = event.target.closest("[data-close]");
  if (close) (close.closest("dialog, .notice") || close).remove();
  const open = event.target.closest("[data-dialog]");
  if (open) document.getElementById(open.dataset.dialog).showModal();
  const cancel = event.target.closest("[data-cancel]");
  if (cancel) cancel.closest("dialog").close();
  const copy = event.target.closest("[data-copy]");
  const another = event.target.closest("[data-another]");
  if (another) {
    const last = another.parentElement;
    const line = last.previousElementSibling.cloneNode(true);
    for (const field of line.querySelectorAll("input, select")) field.value = "";
    last.before(line);
    line.querySelector("input").focus();
  }
  if (copy) navigator.clipboard.writeText(copy.dataset.copy).then(() => { copy.textContent = "Copied"; });
});
document.addEventListener("submit", (event) => {
  const says = event.submitter?.dataset.confirm || event.target.dataset.confirm;
  if (says && !window.confirm(says)) { event.preventDefault(); return; }
  const button = event.submitter;
  if (button?.dataset.busy) setTimeout(() => { button.textContent = button.dataset.busy; button.disabled = true; }); // when it is sent
}, true);
// A live part is renewed in place: only what changed in it is touched, so that
// a button there keeps the focus and a click that has begun, and a screen
// reader does not start over. Children with an id are found again by it.
function renew(old, fresh) {
  if (old.isEqualNode(fresh)) return old;
  if (old.nodeName !== fresh.nodeName || old.id !== fresh.id) { old.replaceWith(fresh); return fresh; }
  if (old.nodeType !== Node.ELEMENT_NODE) { old.nodeValue = fresh.nodeValue; return old; }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const same = child.id ? [...old.children].find((c) => c.id === child.id) : at && !at.id ? at : null;
    if (!same) { old.insertBefore(child, at); continue; }
    if (same !== at) old.insertBefore(same, at);
    at = renew(same, child).nextSibling;
  }
  while (at) { const next = at.nextSibling; at.remove(); at = next; }
  return old;
}
document.addEventListener("htmx:sseBeforeMessage", (event) => {
  if (!event.target.matches("[data-live]")) return;
  event.preventDefault();
  const fresh = event.target.cloneNode(false);
  fresh.innerHTML = event.detail.data;
  localTimes(fresh);
  renew(event.target, fresh);
  event.target.dispatchEvent(new Event("renewed"));
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, textarea, select, [contenteditable]")) return;
  const search = document.querySelector("input[type=search]");
  if (search) { event.preventDefault(); search.focus(); }
});
