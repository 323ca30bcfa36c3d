// Charts: what a mark tells beside the pointer, or beside the mark that the arrow keys have come to; brushing on the axes
// of parallel coordinates, with the pointer or by sliders. All that is told is in the page without this, too.

const NEAR = [[0, 0], [3, 0], [-3, 0], [0, 3], [0, -3], [5, 5], [-5, -5], [5, -5], [-5, 5]];
let tip = null;
let pointed = null;

function chartOf(target) {
  return target instanceof Element ? target.closest(".data-chart") : null;
}

/** The mark at a place, or next to it: lines are thin. */
function markAt(x, y) {
  for (const [right, down] of NEAR) {
    const mark = document.elementFromPoint(x + right, y + down)?.closest(".hippo-chart .mark");
    if (mark) return mark;
  }
  return null;
}

/** What a mark tells: its title, taken away lest the browser show it a second time. */
function toldBy(mark) {
  const title = mark.querySelector("title");
  if (title) { mark.dataset.tip = title.textContent; title.remove(); }
  return mark.dataset.tip ?? "";
}

function hide() {
  pointed?.classList.remove("pointed");
  tip?.remove();
  pointed = tip = null;
}

function show(chart, mark, x, y) {
  if (pointed !== mark) {
    hide();
    const words = toldBy(mark);
    if (!words) return;
    pointed = mark;
    mark.classList.add("pointed");
    tip = document.createElement("div");
    tip.className = "tip";
    tip.setAttribute("role", "status");
    chart.append(tip);
    tip.textContent = mark.dataset.trial === undefined ? words : `${words}\nclick or Enter: the trial's page`;
  }
  const frame = chart.getBoundingClientRect();
  const left = x - frame.left + chart.scrollLeft + 14;
  const most = chart.scrollLeft + chart.clientWidth - tip.offsetWidth - 4;
  tip.style.left = `${Math.max(0, Math.min(left, most))}px`;
  tip.style.top = `${Math.max(0, y - frame.top - tip.offsetHeight - 8)}px`;
}

function open(chart, mark) {
  if (mark?.dataset.trial !== undefined) location.assign(chart.dataset.trials + mark.dataset.trial);
}

document.addEventListener("pointermove", (event) => {
  const chart = chartOf(event.target);
  if (!chart || brushing) { if (!chart) hide(); return; }
  const mark = markAt(event.clientX, event.clientY);
  if (mark) show(chart, mark, event.clientX, event.clientY); else hide();
});
document.addEventListener("click", (event) => {
  const chart = chartOf(event.target);
  if (chart && event.target.closest("svg")) open(chart, markAt(event.clientX, event.clientY));
});
document.addEventListener("focusout", (event) => { if (chartOf(event.target)) hide(); });
document.addEventListener("hippo:replaced", hide);
document.addEventListener("keydown", (event) => {
  const chart = event.target;
  if (!(chart instanceof Element) || !chart.matches(".data-chart")) return;
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (event.key === "Enter") { open(chart, pointed); return; }
  if (event.key === "Escape") { hide(); return; }
  if (!step) return;
  const marks = [...chart.querySelectorAll(".mark:not(.out)")];
  if (!marks.length) return;
  event.preventDefault();
  const next = pointed ? marks.indexOf(pointed) + step : step > 0 ? 0 : marks.length - 1;
  const mark = marks[(next + marks.length) % marks.length];
  const place = mark.getBoundingClientRect();
  show(chart, mark, place.left + place.width / 2, place.top + place.height / 2);
});

// Brushing.

let brushing = null;
let kept = null; // by axis, from where to where, as shares of it; stays when the chart is drawn anew

class Parallel {
  constructor(chart) {
    this.chart = chart;
    this.svg = chart.querySelector("svg");
    this.axes = JSON.parse(chart.dataset.axes);
    const panel = this.svg.querySelector(".panel");
    const [left, top, right, bottom] = panel.dataset.frame.split(" ").map(Number);
    const [low, high] = panel.dataset.x.split(" ").map(Number);
    const [lowest, highest] = panel.dataset.y.split(" ").map(Number);
    this.x = (place) => left + (place - low) / (high - low) * (right - left);
    this.y = (share) => bottom - (share - lowest) / (highest - lowest) * (bottom - top);
    this.share = (y) => lowest + (bottom - y) / (bottom - top) * (highest - lowest);
    this.lines = [...this.svg.querySelectorAll("path.mark")].map((path) => [path, this.through(path)]);
    if (kept?.length !== this.axes.length) kept = this.axes.map(() => [0, 1]);
    this.inputs = this.makeInputs();
    this.apply();
  }

  /** By axis, where a line passes; null: it has not that parameter. */
  through(path) {
    const found = this.axes.map(() => null);
    for (const [, x, y] of path.getAttribute("d").matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)) {
      const axis = this.axes.findIndex((_, place) => Math.abs(this.x(place) - Number(x)) < 1);
      if (axis >= 0) found[axis] = this.share(Number(y));
    }
    return found;
  }

  /** The axis at a place of the drawing, and how high on it. */
  at(event) {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    const axis = this.axes.findIndex((_, each) => Math.abs(this.x(each) - place.x) < 12);
    return [axis, Math.max(0, Math.min(1, this.share(place.y)))];
  }

  words(axis, share) {
    const { ends, log, options } = this.axes[axis];
    if (!ends.length) return "";
    if (options) return ends.reduce((one, other) => Math.abs(other[0] - share) < Math.abs(one[0] - share) ? other : one)[1];
    const [low, high] = [Number(ends[0][1]), Number(ends.at(-1)[1])];
    return String(Number((log ? low * (high / low) ** share : low + (high - low) * share).toPrecision(3)));
  }

  makeInputs() {
    this.chart.parentElement.querySelector(".brushes")?.remove();
    const form = document.createElement("div");
    form.className = "brushes";
    form.setAttribute("role", "group");
    form.setAttribute("aria-label", "Which lines are drawn");
    const inputs = this.axes.map((axis, place) => {
      const set = form.appendChild(document.createElement("fieldset"));
      set.appendChild(document.createElement("legend")).textContent = axis.name;
      return ["from", "to"].map((word, end) => {
        const label = set.appendChild(document.createElement("label"));
        const input = document.createElement("input");
        Object.assign(input, { type: "range", min: 0, max: 1, step: 0.01 });
        const told = document.createElement("output");
        label.append(`${word} `, input, " ", told);
        input.addEventListener("input", () => {
          kept[place][end] = Number(input.value);
          this.apply();
        });
        return [input, told];
      });
    });
    const all = form.appendChild(document.createElement("button"));
    all.type = "button";
    all.textContent = "Show all lines";
    all.addEventListener("click", () => { kept = this.axes.map(() => [0, 1]); this.apply(); });
    this.count = form.appendChild(document.createElement("span"));
    this.count.className = "faint";
    this.count.setAttribute("role", "status");
    this.chart.after(form);
    return inputs;
  }

  apply() {
    let drawn = 0;
    for (const [path, shares] of this.lines) {
      const fits = shares.every((share, axis) => {
        const [low, high] = kept[axis];
        if (low <= 0 && high >= 1) return true;
        return share !== null && share >= low - 0.005 && share <= high + 0.005;
      });
      path.classList.toggle("out", !fits);
      drawn += fits;
    }
    this.count.textContent = `${drawn} of ${this.lines.length} lines`;
    this.svg.querySelectorAll(".brush").forEach((each) => each.remove());
    kept.forEach(([low, high], axis) => {
      this.inputs[axis].forEach(([input, told], end) => {
        input.value = kept[axis][end];
        told.textContent = this.words(axis, kept[axis][end]);
        input.setAttribute("aria-valuetext", told.textContent);
      });
      if (low <= 0 && high >= 1) return;
      const band = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const sides = { class: "brush", x: this.x(axis) - 7, width: 14, y: this.y(high), height: Math.max(1, this.y(low) - this.y(high)) };
      for (const [name, value] of Object.entries(sides)) band.setAttribute(name, value);
      this.svg.querySelector(".panel").append(band);
    });
  }
}

let parallel = null;

function begin() {
  const chart = document.querySelector(".data-chart[data-axes]");
  parallel = chart?.querySelector(".panel") ? new Parallel(chart) : null;
}

document.addEventListener("pointerdown", (event) => {
  if (!parallel || chartOf(event.target) !== parallel.chart || event.button) return;
  const [axis, share] = parallel.at(event);
  if (axis < 0) return;
  event.preventDefault();
  brushing = { axis, share };
});
document.addEventListener("pointermove", (event) => {
  if (!brushing) return;
  const [, share] = parallel.at(event);
  kept[brushing.axis] = [Math.min(share, brushing.share), Math.max(share, brushing.share)];
  parallel.apply();
});
document.addEventListener("pointerup", (event) => {
  if (!brushing) return;
  const [, share] = parallel.at(event);
  if (Math.abs(share - brushing.share) < 0.01) { kept[brushing.axis] = [0, 1]; parallel.apply(); } // a click frees it
  brushing = null;
});
document.addEventListener("hippo:replaced", begin);
begin();
