// The mapping page finds rows while somebody types, and warns before unsaved
// changes are left behind.
"use strict";
document.addEventListener("input", (event) => {
  const search = event.target.closest("[data-filter]");
  if (!search) return;
  const text = search.value.trim().toLowerCase();
  document.querySelectorAll(search.dataset.filter).forEach((row) => { row.hidden = !row.dataset.text.toLowerCase().includes(text); });
});
let leaving = false;
document.addEventListener("click", (event) => { leaving = Boolean(event.target.closest("#save, #discard")); });
window.addEventListener("beforeunload", (event) => { if (!leaving && document.getElementById("draft-bar")) event.preventDefault(); });
