// The stage tree: pointing at a band, or coming to it by keyboard, lights the paths through it; a click keeps them lit,
// and tells all of it below without a new page. Everything works by plain links without this.

let kept = null; // the number of the node that stays lit, as a text
let lit = null; // the node that is

function nodeOf(target) {
  return target instanceof Element ? target.closest("#tree g.node") : null;
}

/** Lights a node, what it hangs on, and what hangs on it. */
function light(node) {
  if (node === lit) return;
  lit = node;
  const drawing = node.ownerSVGElement;
  const all = [...drawing.querySelectorAll("g.node")];
  const byNumber = new Map(all.map((each) => [each.dataset.node, each]));
  const bright = new Set();
  for (let each = node; each && !bright.has(each); each = byNumber.get(each.dataset.parent)) bright.add(each);
  const below = new Set([node.dataset.node]);
  // A node may be drawn before what it hangs on: goes on until nothing comes to it.
  for (let size = 0; size !== below.size;) {
    size = below.size;
    for (const each of all) {
      if (below.has(each.dataset.parent)) { below.add(each.dataset.node); bright.add(each); }
    }
  }
  drawing.classList.add("lighting");
  for (const each of all) each.classList.toggle("pointed", bright.has(each));
}

/** Lights what was clicked, or nothing. */
function unlight() {
  const node = kept && document.querySelector(`#tree g.node[data-node="${CSS.escape(kept)}"]`);
  if (node) { light(node); return; }
  lit = null;
  document.querySelector("#tree svg.lighting")?.classList.remove("lighting");
}

/** Keeps the node lit that the address names. */
function keep() {
  kept = new URLSearchParams(location.search).get("node");
  unlight();
}

async function tell(address) {
  const fragment = new URL(address);
  fragment.hash = "";
  fragment.searchParams.set("fragment", "node");
  const answer = await fetch(fragment, { headers: { Accept: "text/html" } });
  if (!answer.ok) { location.assign(address); return; }
  const made = new DOMParser().parseFromString(await answer.text(), "text/html");
  const place = document.getElementById("node");
  place.replaceChildren(...document.adoptNode(made.body).childNodes);
  place.scrollIntoView({ block: "nearest" });
}

document.addEventListener("pointerover", (event) => {
  const node = nodeOf(event.target);
  if (node) light(node); else unlight();
});
document.addEventListener("focusin", (event) => {
  const node = nodeOf(event.target);
  if (node) light(node); else unlight();
});
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("#tree a") : null;
  if (!link || !link.href.baseVal.includes("node=") || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const address = new URL(link.href.baseVal, location.href);
  history.pushState(null, "", address);
  keep();
  tell(address.href);
});
document.addEventListener("hippo:replaced", unlight);
addEventListener("popstate", () => { keep(); tell(location.href); });
keep();
