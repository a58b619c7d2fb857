// What pages need beyond htmx: closing messages, asking before an action that
// cannot be taken back, search boxes reached by "/", and dialogs.
"use strict";
document.addEventListener("click", (event) => {
  const close = event.target.closest("[data-close]");
  if (close) (close.closest("dialog, .notice") || close).remove();
  const open = event.target.closest("[data-dialog]");
  if (open) document.getElementById(open.dataset.dialog).showModal();
  const cancel = event.target.closest("[data-cancel]");
  if (cancel) cancel.closest("dialog").close();
  const copy = event.target.closest("[data-copy]");
  if (copy) navigator.clipboard.writeText(copy.dataset.copy).then(() => { copy.textContent = "Copied"; });
});
document.addEventListener("submit", (event) => {
  const says = event.submitter?.dataset.confirm || event.target.dataset.confirm;
  if (says && !window.confirm(says)) event.preventDefault();
}, true);
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, textarea, select, [contenteditable]")) return;
  const search = document.querySelector("input[type=search]");
  if (search) { event.preventDefault(); search.focus(); }
});
