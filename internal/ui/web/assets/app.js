// The page works without this file: it adds what changes while one looks. It asks
// nobody but the updoc that served it, and puts nothing into the page that did not
// come from there as finished markup.
"use strict";
const body = document.body, root = body.dataset.root;
const say = document.getElementById("say"), gone = document.getElementById("gone");

// morph makes an element like another one and keeps what a person has done to it:
// the focus, what is unfolded, how far something is scrolled.
function morph(from, to) {
  if (from.dataset?.keep !== undefined && to.dataset?.keep !== undefined) return; // it grows by itself
  for (const { name } of [...from.attributes])
    if (!to.hasAttribute(name) && !(name === "open" && from.tagName === "DETAILS")) from.removeAttribute(name);
  for (const { name, value } of [...to.attributes])
    if (from.getAttribute(name) !== value && !(name === "open" && from.tagName === "DETAILS")) from.setAttribute(name, value);
  const old = [...from.childNodes], now = [...to.childNodes];
  now.forEach((n, i) => {
    const o = old[i];
    if (!o) from.append(n);
    else if (o.nodeType !== n.nodeType || o.nodeName !== n.nodeName || o.id !== n.id) o.replaceWith(n);
    else if (n.nodeType === Node.ELEMENT_NODE) morph(o, n);
    else if (o.nodeValue !== n.nodeValue) o.nodeValue = n.nodeValue;
  });
  old.slice(now.length).forEach((o) => o.remove());
}

function parse(html) {
  return new DOMParser().parseFromString(html, "text/html").body;
}

function ended() {
  if (gone.querySelector(".gone")) return;
  gone.append(gone.querySelector("template").content.cloneNode(true));
  document.querySelectorAll("button, input").forEach((b) => { if (!b.closest("#gone")) b.disabled = true; });
}

// The stream of what changes. A server that does not answer for some seconds is gone.
let stream, lost = 0;
function listen() {
  stream = new EventSource(root + "events?" + new URLSearchParams({ view: body.dataset.view, phase: body.dataset.phase }));
  stream.addEventListener("open", () => { lost = 0; });
  stream.addEventListener("part", (e) => {
    const { id, html } = JSON.parse(e.data);
    const at = document.querySelector(`[data-part="${CSS.escape(id)}"]`);
    if (!at) { // the view is another one now
      stream.close();
      location.reload();
      return;
    }
    const to = at.cloneNode(false);
    to.append(...parse(html).childNodes);
    morph(at, to);
    if (to.dataset.focus) at.focus();
  });
  stream.addEventListener("say", (e) => { say.textContent = JSON.parse(e.data); });
  stream.addEventListener("go", (e) => { stream.close(); location.assign(root + JSON.parse(e.data)); });
  stream.addEventListener("end", () => { stream.close(); ended(); });
  stream.addEventListener("error", () => {
    if (++lost >= 3 || stream.readyState === EventSource.CLOSED) { stream.close(); ended(); }
  });
}
if (body.dataset.view) listen();
addEventListener("pagehide", () => stream && stream.close());
addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });

// Small commands need no new page.
document.addEventListener("submit", (e) => {
  const form = e.target;
  if (!form.matches("[data-quiet]")) return;
  e.preventDefault();
  const data = new URLSearchParams(new FormData(form, e.submitter));
  fetch(form.action, { method: "POST", body: data, headers: { "X-Updoc": "1" } })
    .then((r) => { if (!r.ok) location.reload(); })
    .catch(ended);
});

// More lines are fetched when one comes to their end, or asks for them.
const seen = new IntersectionObserver((list) => {
  for (const { isIntersecting, target } of list) if (isIntersecting) more(target);
}, { rootMargin: "600px" });
function more(link) {
  seen.unobserve(link);
  fetch(link.href, { headers: { "X-Updoc": "1" } }).then((r) => r.text()).then((html) => {
    const next = parse("<ul>" + html + "</ul>").firstChild;
    watch(next);
    link.closest("li")?.replaceWith(...next.childNodes);
  }).catch(ended);
}
document.addEventListener("click", (e) => {
  const link = e.target.closest("a[data-more]");
  if (!link) return;
  e.preventDefault();
  more(link);
});
function watch(under) { under.querySelectorAll("a[data-more]").forEach((a) => seen.observe(a)); }
watch(document);

document.addEventListener("click", (e) => {
  const b = e.target.closest("[data-copy]");
  if (!b) return;
  const from = document.getElementById(b.dataset.copy);
  navigator.clipboard.writeText(from.value).then(() => { say.textContent = b.textContent + " ✓"; }, () => from.select());
});

// Files that are dropped, or chosen, go to updoc as they are, with their progress.
for (const drop of document.querySelectorAll("[data-drop]")) {
  const input = drop.querySelector("input[type=file]"), sending = drop.querySelector(".sending");
  const send = (files) => {
    if (!files.length) return;
    const data = new FormData();
    for (const f of files) data.append("files", f);
    const x = new XMLHttpRequest();
    x.open("POST", drop.action);
    x.setRequestHeader("X-Updoc", "1");
    x.setRequestHeader("X-Csrf", drop.dataset.csrf);
    sending.hidden = false;
    x.upload.addEventListener("progress", (e) => { if (e.lengthComputable) sending.firstElementChild.value = 1000 * e.loaded / e.total; });
    x.addEventListener("load", () => {
      sending.hidden = true;
      input.value = "";
      if (x.status >= 400) location.assign(root + "other?failed=" + x.status);
    });
    x.addEventListener("error", () => location.assign(root + "other?failed=0"));
    x.send(data);
  };
  input.addEventListener("change", () => send(input.files));
  for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, (e) => { e.preventDefault(); drop.classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (e) => { e.preventDefault(); send(e.dataTransfer.files); });
}
for (const kind of ["dragover", "drop"]) addEventListener(kind, (e) => e.preventDefault());
