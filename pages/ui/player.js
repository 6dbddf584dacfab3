// λ from A to B as a film of what the network in between answers.

const SPARK = { width: 132, height: 44, pad: 5 };

export default function (component) {
  return mountFilm(component, LambdaFilm);
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

class LambdaFilm extends Film {
  static value = "lam";
  static grid = "lams";
  static stepMs = 150;
  static slider = "λ, the share of network B";
  static play = "λ from A to B";

  words(lam) {
    return `λ = ${lam.toFixed(2)}`;
  }

  meaning(lam) {
    return `${this.words(lam)}, ${Math.round(100 * lam)}% of B`;
  }

  said(at) {
    const found = this.data.methods.map((method) => `${method.label} ${percent(method.error[at])}`);
    return `${this.words(this.data.lams[at])}. The ${this.data.split} error is: ${found.join(", ")}.`;
  }

  ends() {
    return ["A", "B"].map((name) => make("span", { class: `end ${name.toLowerCase()}`, "aria-hidden": "true" }, name));
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
