// A film: a button and a slider over values that came at once in `data`; only where it rests goes back to the server.

const films = new WeakMap();
const CALM_STEP_MS = 600; // at least, for readers who asked their system for less motion
const SVG = "http://www.w3.org/2000/svg";

/** Show `component` as a film of this kind, or give the one that is there its new data. */
function mountFilm(component, Kind) {
  const { data, parentElement, setStateValue } = component;
  const root = parentElement.querySelector(".player");
  const old = films.get(parentElement);
  const rest = (value) => setStateValue(Kind.value, value);
  if (old && old.root === root) old.update(data, rest);
  else films.set(parentElement, new Kind(root, data, rest));
  return () => {
    films.get(parentElement)?.end();
    films.delete(parentElement);
  };
}

/** An element with attributes; children are elements or text. */
function make(tag, attributes = {}, ...children) {
  const element = tag.startsWith("svg:")
    ? document.createElementNS(SVG, tag.slice(4))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * What every film does. A kind of film says, as static fields, the name `value` of what it goes through (in `data` and
 * for the server), that of the list `grid` of its values, `stepMs`, and what its `slider` and `play` are called; as
 * methods `words(value)`, `meaning(value)`, `said(at)`, `ends()` (what stands beside the slider) and `fill(data)`,
 * which sets `board`, something with `show(at)`, once it can be drawn.
 */
class Film {
  constructor(root, data, rest) {
    this.root = root;
    this.sent = []; // resting places the server has not answered yet
    this.timer = null;
    this.build(data, rest);
    this.show(this.nearest(this.asked(data)));
  }

  get kind() {
    return this.constructor;
  }

  get grid() {
    return this.data[this.kind.grid];
  }

  asked(data) {
    return data[this.kind.value];
  }

  /** The page ran again: take new values, follow a place set elsewhere, ignore the echo of our own. */
  update(data, rest) {
    const moved = this.asked(data) !== this.asked(this.data);
    const value = this.grid[this.at];
    this.rest = rest;
    if (data.show !== this.data.show) {
      this.pause(false);
      this.build(data, rest);
      this.show(this.nearest(value));
    }
    this.data = data;
    const echo = this.sent.indexOf(this.asked(data));
    if (echo >= 0) this.sent.splice(0, echo + 1);
    else if (moved && this.timer === null) this.show(this.nearest(this.asked(data)));
  }

  nearest(asked) {
    const far = this.grid.map((value) => Math.abs(value - asked));
    return far.indexOf(Math.min(...far));
  }

  build(data, rest) {
    const focused = this.root.contains(this.root.getRootNode().activeElement)
      ? this.root.getRootNode().activeElement.className
      : null;
    this.data = data;
    this.rest = rest;
    this.board?.end?.();
    this.board = null;
    this.live = make("p", { class: "hidden", "aria-live": "polite" });
    this.place = make("div", { class: `place of-${data.kind}` });
    this.root.replaceChildren(this.controls(), this.place, this.live);
    if (focused) this.root.querySelector(`.${focused.split(" ")[0]}`)?.focus();
    this.fill(data);
  }

  controls() {
    this.button = make("button", { type: "button", class: "play" });
    this.button.addEventListener("click", () => (this.timer === null ? this.play() : this.pause(true)));
    this.slider = make("input", {
      type: "range", class: "slider", min: 0, max: this.grid.length - 1, step: 1, "aria-label": this.kind.slider,
    });
    this.slider.addEventListener("input", () => {
      this.pause(false);
      this.show(Number(this.slider.value));
    });
    this.slider.addEventListener("change", () => this.report());
    this.value = make("output", { class: "value" });
    this.drawButton();
    const [before, after] = this.ends();
    return make("div", { class: "controls" }, this.button, make("div", { class: "track" }, before, this.slider, after), this.value);
  }

  drawButton() {
    const playing = this.timer !== null;
    const shape = playing ? "M5 4h5v16H5zM14 4h5v16h-5z" : "M6 3.5v17l14-8.5z";
    const icon = make("svg:svg", { viewBox: "0 0 24 24", width: 20, height: 20, "aria-hidden": "true" });
    icon.append(make("svg:path", { d: shape, fill: "currentColor" }));
    this.button.replaceChildren(icon, make("span", {}, playing ? "Pause" : "Play"));
    this.button.setAttribute("aria-label", `${playing ? "Pause" : "Play"} ${this.kind.play}`);
  }

  /** Draw everything at the place `at` of the grid. */
  show(at) {
    this.at = at;
    const value = this.grid[at];
    this.slider.value = at;
    this.slider.style.setProperty("--done", `${(100 * at) / Math.max(1, this.grid.length - 1)}%`);
    this.slider.setAttribute("aria-valuetext", this.meaning(value));
    this.value.textContent = this.words(value);
    this.board?.show(at);
  }

  play() {
    const last = this.grid.length - 1;
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (this.at >= last) this.show(0);
    this.timer = setInterval(() => {
      this.show(Math.min(last, this.at + 1));
      if (this.at >= last) this.pause(true);
    }, calm ? Math.max(CALM_STEP_MS, this.kind.stepMs) : this.kind.stepMs);
    this.drawButton();
  }

  pause(tell) {
    if (this.timer === null) return;
    clearInterval(this.timer);
    this.timer = null;
    this.drawButton();
    if (tell) this.report();
  }

  end() {
    this.pause(false);
    this.board?.end?.();
  }

  /** The film rests: say so to screen readers and to the server. */
  report() {
    const value = this.grid[this.at];
    this.live.textContent = this.said(this.at);
    this.sent.push(value);
    this.rest(value);
  }
}
