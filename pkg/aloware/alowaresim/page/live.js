// Live parts of the page follow the account, except a form in which somebody
// is typing.
const touched = new WeakSet();
document.addEventListener("input", e => { if (e.target.form) touched.add(e.target.form); });
async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(location.href.split("#")[0], {headers: {Accept: "text/html"}}).catch(() => null);
  if (!answer || !answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    const busy = touched.has(part) || part.contains(document.activeElement) || [...part.querySelectorAll("form")].some(f => touched.has(f));
    if (next && !busy && next.innerHTML !== part.innerHTML) part.innerHTML = next.innerHTML;
  }
}
if (document.querySelector("[data-live]") && location.pathname !== "/ui/new") setInterval(refresh, 1500);
