// λ from A to B as a film. All values come once in `data`; only where λ rests goes back to the server.

const players = new WeakMap();
const STEP_MS = 150;
const CALM_STEP_MS = 600; // for readers who asked their system for less motion
const SVG = "http://www.w3.org/2000/svg";
const SPARK = { width: 132, height: 44, pad: 5 };

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const root = parentElement.querySelector(".player");
  const rest = (lam) => setStateValue("lam", lam);
  const old = players.get(parentElement);
  if (old && old.root === root) old.update(data, rest);
  else players.set(parentElement, new Player(root, data, rest));
  return () => {
    players.get(parentElement)?.pause(false);
    players.delete(parentElement);
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

function percent(value) {
  return `${(100 * value).toFixed(1)}%`;
}

/** The bytes that were deflated and written in base64. */
async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

class Player {
  constructor(root, data, rest) {
    this.root = root;
    this.sent = []; // resting places the server has not answered yet
    this.timer = null;
    this.build(data, rest);
    this.show(this.nearest(data.lam));
  }

  /** The page ran again: take new values, follow a λ set elsewhere, ignore the echo of our own. */
  update(data, rest) {
    const asked = data.lam !== this.data.lam;
    const lam = this.data.lams[this.at];
    this.rest = rest;
    if (data.show !== this.data.show) {
      this.pause(false);
      this.build(data, rest);
      this.show(this.nearest(lam));
    }
    this.data = data;
    const echo = this.sent.indexOf(data.lam);
    if (echo >= 0) this.sent.splice(0, echo + 1);
    else if (asked && this.timer === null) this.show(this.nearest(data.lam));
  }

  nearest(lam) {
    const far = this.data.lams.map((value) => Math.abs(value - lam));
    return far.indexOf(Math.min(...far));
  }

  build(data, rest) {
    const focused = this.root.contains(this.root.getRootNode().activeElement)
      ? this.root.getRootNode().activeElement.className
      : null;
    this.data = data;
    this.rest = rest;
    this.board = null;
    this.live = make("p", { class: "hidden", "aria-live": "polite" });
    this.place = make("div", { class: `place of-${data.kind}` });
    this.root.replaceChildren(this.controls(), this.place, this.live);
    if (focused) this.root.querySelector(`.${focused.split(" ")[0]}`)?.focus();
    this.fill(data);
  }

  /** Put the pictures in, as soon as their bytes are unpacked. */
  async fill(data) {
    const packed = data.kind === "points" ? data.methods.map((method) => method.plane) : [data.images];
    const bytes = await Promise.all(packed.map(unpack));
    if (this.data.show !== data.show) return; // the page has moved on
    this.board = data.kind === "points"
      ? new PlaneBoard(data, { planes: bytes })
      : new ImageBoard(data, { images: bytes[0] });
    this.place.replaceChildren(this.board.element);
    this.board.show(this.at);
  }

  controls() {
    const last = this.data.lams.length - 1;
    this.button = make("button", { type: "button", class: "play" });
    this.button.addEventListener("click", () => (this.timer === null ? this.play() : this.pause(true)));
    this.slider = make("input", {
      type: "range", class: "slider", min: 0, max: last, step: 1, "aria-label": "λ, the share of network B",
    });
    this.slider.addEventListener("input", () => {
      this.pause(false);
      this.show(Number(this.slider.value));
    });
    this.slider.addEventListener("change", () => this.report());
    this.value = make("output", { class: "value" });
    this.drawButton();
    const track = make(
      "div", { class: "track" },
      make("span", { class: "end a", "aria-hidden": "true" }, "A"),
      this.slider,
      make("span", { class: "end b", "aria-hidden": "true" }, "B"),
    );
    return make("div", { class: "controls" }, this.button, track, this.value);
  }

  drawButton() {
    const playing = this.timer !== null;
    const shape = playing ? "M5 4h5v16H5zM14 4h5v16h-5z" : "M6 3.5v17l14-8.5z";
    const icon = make("svg:svg", { viewBox: "0 0 24 24", width: 20, height: 20, "aria-hidden": "true" });
    icon.append(make("svg:path", { d: shape, fill: "currentColor" }));
    this.button.replaceChildren(icon, make("span", {}, playing ? "Pause" : "Play"));
    this.button.setAttribute("aria-label", playing ? "Pause λ" : "Play λ from A to B");
  }

  /** Draw everything at grid point `at`. */
  show(at) {
    this.at = at;
    const lam = this.data.lams[at];
    const words = `λ = ${lam.toFixed(2)}`;
    this.slider.value = at;
    this.slider.style.setProperty("--done", `${(100 * at) / (this.data.lams.length - 1)}%`);
    this.slider.setAttribute("aria-valuetext", `${words}, ${Math.round(100 * lam)}% of B`);
    this.value.textContent = words;
    this.board?.show(at);
  }

  play() {
    const last = this.data.lams.length - 1;
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (this.at >= last) this.show(0);
    this.timer = setInterval(() => {
      this.show(this.at + 1);
      if (this.at >= last) this.pause(true);
    }, calm ? CALM_STEP_MS : STEP_MS);
    this.drawButton();
  }

  pause(tell) {
    if (this.timer === null) return;
    clearInterval(this.timer);
    this.timer = null;
    this.drawButton();
    if (tell) this.report();
  }

  /** λ rests: say so to screen readers and to the server. */
  report() {
    const lam = this.data.lams[this.at];
    const found = this.data.methods.map((method) => `${method.label} ${percent(method.error[this.at])}`);
    this.live.textContent = `λ = ${lam.toFixed(2)}. The ${this.data.split} error is: ${found.join(", ")}.`;
    this.sent.push(lam);
    this.rest(lam);
  }
}

/** Name, error and small curve of a method; `show(at)` moves them. */
function methodHead(method, { lams, methods, split }) {
  const top = Math.max(0.02, ...methods.flatMap((one) => one.error));
  const number = make("strong", { class: "number" });
  const { svg, marker, rule } = spark(method, lams, top);
  const name = make("p", { class: "name" }, make("span", { class: "dot", "aria-hidden": "true" }), method.label);
  const error = make("p", { class: "error" }, number, make("span", {}, ` ${split} error`));
  const element = make("div", { class: "info" }, make("div", {}, name, error), svg);
  const show = (at) => {
    number.textContent = percent(method.error[at]);
    const [x, y] = point(lams[at], method.error[at], top);
    marker.setAttribute("cx", x);
    marker.setAttribute("cy", y);
    rule.setAttribute("x1", x);
    rule.setAttribute("x2", x);
  };
  return { element, show };
}

function point(lam, error, top) {
  const { width, height, pad } = SPARK;
  return [pad + lam * (width - 2 * pad), height - pad - (error / top) * (height - 2 * pad)].map((v) => v.toFixed(1));
}

/** The small curve of the error over λ; all methods share one scale. */
function spark(method, lams, top) {
  const { width, height, pad } = SPARK;
  const curve = lams.map((lam, i) => point(lam, method.error[i], top).join(",")).join(" ");
  const svg = make("svg:svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" });
  const floor = make("svg:line", { class: "floor", x1: pad, x2: width - pad, y1: height - pad, y2: height - pad });
  const rule = make("svg:line", { class: "rule", y1: 0, y2: height });
  const marker = make("svg:circle", { class: "marker", r: 5 });
  svg.append(floor, rule, make("svg:polyline", { class: "curve", points: curve }), marker);
  return { svg, marker, rule };
}
