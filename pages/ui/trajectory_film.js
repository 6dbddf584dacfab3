// Training as a film: the curve between two networks at every epoch, under three permutations.

const CHART = { height: 340, left: 62, right: 26, top: 16, bottom: 46 };

export default function (component) {
  return mountFilm(component, EpochFilm);
}

class EpochFilm extends Film {
  static value = "epoch";
  static grid = "epochs";
  static stepMs = 900;
  static slider = "Epoch of training";
  static play = "training from its start to its end";

  words(epoch) {
    return `Epoch ${epoch}`;
  }

  meaning(epoch) {
    return this.words(epoch);
  }

  said(at) {
    const found = this.data.curves.map((curve) => `${curve.labels[at]} ${curve.barriers[at]}`);
    return `${this.words(this.grid[at])}. The ${this.data.split} ${this.data.measure} barrier is: ${found.join(", ")}.`;
  }

  ends() {
    const [first, last] = [this.grid[0], this.grid[this.grid.length - 1]];
    return [first, last].map((epoch) => make("span", { class: "edge", "aria-hidden": "true" }, String(epoch)));
  }

  fill(data) {
    this.board = new CurveBoard(data);
    this.place.replaceChildren(this.board.element);
  }
}

/** The three curves at one epoch, with their names and barriers above; it fills the width that it has. */
class CurveBoard {
  constructor(data) {
    this.data = data;
    this.at = 0;
    this.heads = data.curves.map((curve) => new Head(curve, data));
    this.frame = make("div", { class: "frame" });
    this.element = make("div", {}, make("div", { class: "heads" }, ...this.heads.map((head) => head.element)), this.frame);
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(this.frame);
  }

  end() {
    this.watch.disconnect();
  }

  show(at) {
    this.at = at;
    for (const head of this.heads) head.show(at);
    this.draw();
  }

  draw() {
    const width = this.frame.clientWidth;
    if (!width) return; // not on the page yet; the observer calls again
    const { height, left, right, top, bottom } = CHART;
    const x = (lam) => (left + lam * (width - left - right)).toFixed(1);
    const y = (value) => (height - bottom - (value / this.data.top) * (height - top - bottom)).toFixed(1);
    const svg = make("svg:svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": this.spoken() });
    svg.append(...this.axes(x, y, width));
    this.data.curves.forEach((curve) => svg.append(...this.curve(curve, x, y)));
    this.frame.replaceChildren(svg);
  }

  axes(x, y, width) {
    const { height, left, right, bottom } = CHART;
    const lines = this.data.ticks.flatMap(({ value, text }) => [
      make("svg:line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
      make("svg:text", { x: left - 8, y: y(value), dy: "0.35em", "text-anchor": "end" }, text),
    ]);
    const ends = [["A", 0, "start"], ["halfway", 0.5, "middle"], ["B", 1, "end"]].map(([word, lam, anchor]) =>
      make("svg:text", { x: x(lam), y: height - bottom + 22, "text-anchor": anchor, class: word.length === 1 ? "letter" : "" }, word),
    );
    const middle = (height - bottom) / 2;
    const title = make(
      "svg:text", { class: "title", transform: `translate(16 ${middle}) rotate(-90)`, "text-anchor": "middle" },
      this.data.title,
    );
    return [...lines, ...ends, title];
  }

  curve({ low, high, values, colors, dash }, x, y) {
    const { lams } = this.data;
    const at = this.at;
    const along = (numbers) => lams.map((lam, i) => `${x(lam)},${y(numbers[i])}`);
    const line = make("svg:polyline", {
      class: "line", points: along(values[at]).join(" "), stroke: colors[at], "stroke-dasharray": dash,
    });
    if (!low) return [line];
    const around = [...along(high[at]), ...along(low[at]).reverse()].join(" ");
    return [make("svg:polygon", { class: "band", points: around, fill: colors[at] }), line];
  }

  spoken() {
    const found = this.data.curves.map((curve) => `${curve.labels[this.at]}, barrier ${curve.barriers[this.at]}`);
    return `${this.data.title} from A to B at epoch ${this.data.epochs[this.at]}: ${found.join("; ")}.`;
  }
}

/** Name and barrier of one curve. */
class Head {
  constructor(curve, data) {
    this.curve = curve;
    this.line = make("svg:line", { x1: 0, x2: 34, y1: 6, y2: 6, "stroke-dasharray": curve.dash });
    const key = make("svg:svg", { class: "key", viewBox: "0 0 34 12", width: 34, height: 12, "aria-hidden": "true" }, this.line);
    this.words = make("span", {});
    this.number = make("strong", { class: "number" });
    this.element = make(
      "div", { class: "head" },
      make("p", { class: "name" }, key, this.words),
      make("p", { class: "error" }, this.number, make("span", {}, ` ${data.unit}`)),
    );
  }

  show(at) {
    this.line.setAttribute("stroke", this.curve.colors[at]);
    this.words.textContent = this.curve.labels[at];
    this.number.textContent = this.curve.barriers[at];
  }
}
